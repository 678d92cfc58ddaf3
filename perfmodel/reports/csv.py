"""CSV files: UTF-8, one header row, line feeds, and no cell that a spreadsheet would run as a formula."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, runtime_checkable

from perfmodel.errors import InputError
from perfmodel.files import defused, whole_text


@runtime_checkable
class _ArrayNumber(Protocol):
    """A number of numpy, known without importing it."""

    def item(self) -> object: ...


def write_csv(
    target: str | Path,
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    stdout: TextIO | None = None,
) -> None:
    """Write rows as CSV to a file, gzipped if its name ends in ``.gz``, or to ``stdout`` if ``target`` is ``-``.

    Columns that a row lacks, None and NaN are empty cells; other columns of a row are left out. A file is written
    whole or not at all. Raises :class:`InputError` where no file can be written.
    """
    if str(target) != "-":
        with whole_text(target) as file:
            _write_rows(file, rows, columns)
        return
    if stdout is None:
        raise InputError("the target '-' needs a stream to write to")
    _write_rows(stdout, rows, columns)


def _write_rows(stream: TextIO, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([cell(column) for column in columns])
    writer.writerows([cell(row.get(column)) for column in columns] for row in rows)


def cell(value: object) -> str:
    """Return the text of a cell: numbers in full, truth values as in JSON, nothing for None and NaN, texts defused."""
    value = value.item() if isinstance(value, _ArrayNumber) else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else defused(str(value))
