"""What commands print: one JSON object, or text aligned in columns; notes go to standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perfmodel.errors import InputError


def print_json(value: Any) -> None:
    """Print one JSON object: plain numbers only, and null for what is not finite."""
    json.dump(jsonable(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def jsonable(value: Any) -> Any:
    """Return a value in JSON's own types: numpy scalars become numbers, NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # a numpy scalar or array, without importing numpy
        return jsonable(value.tolist())
    if isinstance(value, Iterable):
        return [jsonable(item) for item in value]
    return str(value)


def note(text: str) -> None:
    """Say something beside the answer, on standard error."""
    print(text, file=sys.stderr)


def write_table_csv(target: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of the same columns as CSV to a file, or to standard output if it is ``-``."""
    from perfmodel.reports.csv import write_csv

    write_csv(target, rows, list(rows[0]) if rows else [], stdout=sys.stdout)
    if target != "-":
        note(f"wrote {target}")


def one_stdout(json_asked: bool, *files: str) -> None:
    """Refuse two answers on standard output."""
    if json_asked + files.count("-") > 1:
        raise InputError("only one of --json and --csv - can have standard output; name a file")


def print_columns(rows: Iterable[Sequence[str]], numbers: Sequence[int] = (), indent: str = "") -> None:
    """Print rows in columns, the first row being the heading; the columns in ``numbers`` are right-aligned."""
    table = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(indent + "  ".join(cells).rstrip())


def short(value: float | int | None) -> str:
    """Return a number in four significant digits (all of a whole part up to a billion), an empty cell for None."""
    if value is None:
        return ""
    if isinstance(value, float) and 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def of_samples(heading: str, sample: str) -> str:
    """Return a heading such as ``samples/s`` in the words of a network's sample: ``images/s``."""
    if not sample:
        return heading
    from perfmodel.reports.summary import plural

    return heading.replace("samples", plural(sample)).replace("sample", sample)
