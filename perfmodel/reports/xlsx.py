"""An estimate as a workbook of plain values: inputs, summary and operators; :mod:`perfmodel.workbook` has formulas."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.files import defused, write_bytes
from perfmodel.reports.ops_table import operator_columns, operators_of
from perfmodel.reports.summary import BANDS, input_text, inputs_of, memory_of, stages_of
from perfmodel.reports.text import Report, number

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

_TIMES = ("ttft_s", "tpot_s", "e2e_s", "step_s", "latency_s")
_NUMBERS = (
    "tokens_per_s",
    "tokens_per_s_per_device",
    "requests_per_s",
    "joules_per_token",
    "usd_per_million_tokens",
    "samples_per_s",
    "samples_per_s_bound",
    "samples_per_s_per_device",
    "joules_per_sample",
    "usd_per_million_samples",
    "parameters",
    "matmul_flops_per_sample",
    "flops_per_sample",
    "bytes_per_sample",
    "arithmetic_intensity_flops_per_byte",
    "memory_bytes_per_device",
    "fits",
    "bottleneck",
    "mfu",
    "mbu",
    "running",
    "waiting",
)
_CREATED = datetime(2000, 1, 1, tzinfo=UTC)
_OPTIONS = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def write_xlsx(path: str | Path, report: Report) -> None:
    """Write a workbook with the sheets inputs, summary and operators, units in the names; the same report, same bytes.

    The file is written whole or not at all. Raises :class:`InputError` where no file can be written.
    """
    write_bytes(path, estimate_xlsx(report))


def estimate_xlsx(report: Report) -> bytes:
    """Return the workbook of an estimate."""
    from xlsxwriter import Workbook

    buffer = io.BytesIO()
    with Workbook(buffer, _OPTIONS) as book:
        book.set_properties({"created": _CREATED, "title": "perfmodel estimate"})
        bold, quoted = book.add_format({"bold": True}), book.add_format({"quote_prefix": True})
        for name, rows in _sheets(report).items():
            _fill(book.add_worksheet(name), rows, bold, quoted)
    return buffer.getvalue()


def _sheets(report: Report) -> dict[str, list[list[Any]]]:
    columns = operator_columns(report)
    operators = [[row.get(column) for column in columns] for row in operators_of(report)]
    stages = stages_of(report)
    return {
        "inputs": [["input", "value"], *([key, input_text(value)] for key, value in inputs_of(report).items())],
        "summary": [["answer", "value", *BANDS], *_summary(report)],
        **({"stages": [list(stages[0]), *([input_text(v) for v in row.values()] for row in stages)]} if stages else {}),
        "operators": [list(columns), *operators],
    }


def _summary(report: Report) -> list[list[Any]]:
    bands = {key: report.get(key) or {} for key in _TIMES if key in report}
    rows = [[key, band.get("expected"), *(band.get(name) for name in BANDS)] for key, band in bands.items()]
    rows += [[key, report.get(key)] for key in _NUMBERS if key in report]
    rows += [[f"memory.{key}", value] for key, value in memory_of(report).items()]
    rows += [[key, report.get(key)] for key in ("schema", "version")]
    rows += [[f"spec_hashes.{key}", value] for key, value in (report.get("spec_hashes") or {}).items()]
    return rows + [["note", note] for note in report.get("notes") or ()]


def _fill(sheet: Worksheet, rows: list[list[Any]], bold: Format, quoted: Format) -> None:
    for place, row in enumerate(rows):
        for column, value in enumerate(row):
            # a text is one already; quoted it stays one when somebody edits the cell
            edited = isinstance(value, str) and defused(value) != value
            _write(sheet, place, column, value, quoted if edited else None if place else bold)
    sheet.freeze_panes(1, 0)
    for column, width in enumerate(_widths(rows)):
        sheet.set_column(column, column, width)


def _write(sheet: Worksheet, row: int, column: int, value: object, form: Format | None) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value, form)
    elif (known := number(value)) is not None:
        sheet.write_number(row, column, known, form)
    elif isinstance(value, str) and value:
        sheet.write_string(row, column, value, form)


def _widths(rows: list[list[Any]]) -> list[int]:
    texts = [[len(str(row[column])) for row in rows if column < len(row)] for column in range(len(rows[0]))]
    return [min(max(lengths) + 2, 40) for lengths in texts]
