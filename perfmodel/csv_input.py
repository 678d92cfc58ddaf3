"""Tables that come in as CSV: opened, checked and read with errors that name the file."""

from __future__ import annotations

import csv
import gzip
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from perfmodel.errors import InputError

Row = dict[str, str]


def read_rows(source: str | Path, needed: Sequence[str] = ()) -> list[Row]:
    """Return all rows of a CSV file (``.gz`` too; ``-`` is standard input), empty cells as ``""``.

    Errors: :class:`InputError` for a file that cannot be read, or without a header, or without a ``needed`` column.
    """
    with opened_table(source) as stream:
        reader = csv.DictReader(stream)
        with reading(source):
            names = checked_header(reader.fieldnames, source)
            if missing := [name for name in needed if name not in names]:
                raise InputError(f"{source} has no column {', '.join(missing)}; it needs {', '.join(needed)}")
            return [{name: text or "" for name, text in row.items() if name} for row in reader]


def read_header(source: str | Path) -> list[str]:
    """Return the names of a table's columns; errors as for :func:`read_rows`, but a table may be empty."""
    with opened_table(source) as stream, reading(source):
        return next(csv.reader(stream), [])


def checked_header(names: Sequence[str] | None, source: str | Path) -> list[str]:
    """Return the names of the columns; none at all, or one twice, is an :class:`InputError`."""
    if not names:
        raise InputError(f"{source} is empty: the first row must name the columns")
    doubled = [n for n, count in Counter(names).items() if count > 1]
    if doubled:
        raise InputError(f"{source} has the column '{doubled[0]}' twice")
    return list(names)


@contextmanager
def opened_table(source: str | Path) -> Iterator[IO[str]]:
    """Open a table for reading: UTF-8 with or without a mark, zipped if its name ends in ``.gz``."""
    if str(source) == "-":
        yield sys.stdin
        return
    path = Path(source)
    if not path.is_file():
        raise InputError(f"no file '{source}'" + (" (it is a folder)" if path.is_dir() else ""))
    opener = gzip.open if path.suffix == ".gz" else open
    with reading(source):
        opened = opener(path, "rt", encoding="utf-8-sig", newline="")
    with opened:
        yield opened


@contextmanager
def reading(source: str | Path) -> Iterator[None]:
    """Turn what goes wrong while a table is read into an :class:`InputError` that names it."""
    try:
        yield
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{source} is not a UTF-8 CSV file: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read '{source}': {error.strerror or error}") from error
