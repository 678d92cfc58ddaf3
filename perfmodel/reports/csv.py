"""CSV files: UTF-8, one header row, line feeds, and no cell that a spreadsheet would run as a formula."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, TextIO, cast, runtime_checkable

from perfmodel.errors import InputError
from perfmodel.reports.files import whole_file


@runtime_checkable
class _ArrayNumber(Protocol):
    """A number of numpy, known without importing it."""

    def item(self) -> object: ...


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


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
        with whole_file(target) as file:
            _write_file(file, rows, columns, zipped=str(target).endswith(".gz"))
        return
    if stdout is None:
        raise InputError("the target '-' needs a stream to write to")
    _write_rows(stdout, rows, columns)


def _write_file(file: BinaryIO, rows: Iterable[Mapping[str, Any]], columns: Sequence[str], zipped: bool) -> None:
    if not zipped:
        _write_bytes(file, rows, columns)
        return
    import gzip

    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as stream:
        _write_bytes(cast(IO[bytes], stream), rows, columns)


def _write_bytes(file: IO[bytes], rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        _write_rows(text, rows, columns)
    finally:
        text.detach()


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


def defused(text: str) -> str:
    """Return a text with an apostrophe before it if a spreadsheet would take it for a formula; numbers stay."""
    if not text.startswith(_FORMULA_STARTS) or _is_number(text):
        return text
    return f"'{text}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[0] in "+-"
