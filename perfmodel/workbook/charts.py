"""Charts of a live workbook: they show the cells, and so follow them. No user's text is in their titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.workbook.cells import BATCHES, FIRST_ROW, WORDS
from perfmodel.workbook.model import OPERATOR_CELLS, PhaseSheet

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

_MOST_BARS = 120
_SIZE = {"width": 720, "height": 400}


def add_operators(book: Workbook, sheet: Worksheet, phase: PhaseSheet) -> None:
    """Add bars of each operator's expected time and bound below the step's numbers; none of too many."""
    first, last = FIRST_ROW - 1, FIRST_ROW + len(phase.operators) - 2
    if len(phase.operators) > _MOST_BARS:
        return
    chart: Any = book.add_chart({"type": "bar"})
    for name in ("expected_s", "bound_s"):
        column = len(WORDS) + OPERATOR_CELLS.index(name)
        chart.add_series({
            "name": f"={phase.name}!{_cell(FIRST_ROW - 2, column)}",
            "categories": [phase.name, first, 0, last, 0], "values": [phase.name, first, column, last, column],
        })  # fmt: skip
    chart.set_title({"name": f"Seconds of each operator in the {phase.what}, all repetitions"})
    chart.set_y_axis({"reverse": True})
    chart.set_size({"width": 720, "height": max(300, 22 * len(phase.operators) + 120)})
    sheet.insert_chart(last + 3, 3, chart)


_SWEEPS = (
    ("Seconds by batch", ("ttft_s expected", "ttft_s bound", "tpot_s expected", "tpot_s bound"), True),
    ("Seconds of a batch", ("latency_s expected", "latency_s bound"), True),
    ("Samples a second by batch", ("samples_per_s",), True),
    ("Tokens a second by batch", ("tokens_per_s",), True),
    ("US dollars of a million tokens by batch", ("usd_per_million_tokens",), True),
    ("US dollars of a million samples by batch", ("usd_per_million_samples",), True),
    ("Memory used of one device by batch, bytes", ("memory.used_bytes",), False),
)  # fmt: skip


def add_sweep(book: Workbook, sheet: Worksheet, shown: Sequence[str]) -> None:
    """Add lines over the batch, those that the sweep has numbers for."""
    place = 0
    for title, names, logarithmic in _SWEEPS:
        known = [name for name in names if name in shown]
        if not known:
            continue
        chart = _over_batch(book, title, {name: 1 + shown.index(name) for name in known}, logarithmic)
        sheet.insert_chart(FIRST_ROW + len(BATCHES) + 1 + 21 * (place // 2), 6 * (place % 2), chart)
        place += 1


def _over_batch(book: Workbook, title: str, columns: dict[str, int], logarithmic: bool) -> Any:
    first, last = FIRST_ROW - 1, FIRST_ROW + len(BATCHES) - 2
    chart: Any = book.add_chart({"type": "scatter", "subtype": "straight_with_markers"})
    for column in columns.values():
        chart.add_series({
            "name": f"=sweep!{_cell(FIRST_ROW - 2, column)}",
            "categories": ["sweep", first, 0, last, 0], "values": ["sweep", first, column, last, column],
        })  # fmt: skip
    chart.set_title({"name": title})
    chart.set_x_axis({"name": "batch", "log_base": 2})
    chart.set_y_axis({"log_base": 10} if logarithmic else {})
    chart.set_size(_SIZE)
    return chart


def _cell(row: int, column: int) -> str:
    from xlsxwriter.utility import xl_rowcol_to_cell

    return xl_rowcol_to_cell(row, column, row_abs=True, col_abs=True)
