"""Reading rows in chunks, grouping those that share a formula, and writing results in order."""

from __future__ import annotations

import csv
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from perfmodel.csv_input import Row, checked_header, opened_table, reading
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.files import defused, whole_text

Progress = Callable[[int, "int | None"], None]
CHUNK_ROWS = 50_000
FEWEST_FOR_ARRAYS = 5


@dataclass
class Summary:
    """How many rows came in, were answered and failed, and why."""

    rows: int = 0
    answered: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True)
class Job:
    """One row made ready: the key of the formula that it shares with others, and its numbers."""

    key: Hashable
    numbers: tuple[float, ...]


def number(row: Mapping[str, str], name: str, default: float | None = None, least: float = 1) -> float:
    """Return a whole number of a row; empty takes the default. Errors: :class:`InputError` that names the column."""
    text = (row.get(name) or "").strip()
    if text in ("", "nan", "NaN", "None"):
        if default is None:
            raise InputError(f"column {name} is empty")
        return default
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"column {name}: '{text}' is not a number") from None
    if not math.isfinite(value) or value != math.floor(value) or not least <= value <= 1e15:
        raise InputError(f"column {name}: '{text}' is not a whole number of at least {least:g} and at most 1e15")
    return value


def word(row: Mapping[str, str], name: str, default: str | None = "") -> str:
    """Return a text of a row; empty takes the default (None: it must be there)."""
    text = (row.get(name) or "").strip()
    if text in ("", "nan", "NaN", "None"):
        if default is None:
            raise InputError(f"column {name} is empty")
        return default
    return text


def process(
    source: str,
    target: str,
    outputs: Sequence[str],
    prepare: Callable[[Row], Job],
    evaluate: Callable[[Hashable, Any], Mapping[str, Any]],
    progress: Progress | None,
) -> Summary:
    """Stream a table through: ``prepare`` a row, ``evaluate`` all rows of a key at once, write them in their order.

    ``evaluate`` gets the key and an array of shape (numbers, rows), and returns a column of values for each output.
    A row that fails gets its reason in ``error``. The target appears only when all is written.
    """
    summary = Summary()
    with opened_table(source) as stream:
        reader = csv.DictReader(stream)
        with reading(source):
            names = checked_header(reader.fieldnames, source)
        carried = _carried(names, outputs)
        with nullcontext(sys.stdout) if target == "-" else whole_text(target) as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow([*map(defused, carried.values()), *outputs])
            for rows in _chunks(reader, source):
                for row, values in zip(rows, _answers(rows, outputs, prepare, evaluate, summary), strict=True):
                    writer.writerow([*(defused(row.get(n) or "") for n in carried), *values])
                if progress:
                    progress(summary.rows, None)
    return summary


def _carried(names: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Return the name under which each input column is carried: ``measured_`` where an output has its name."""
    found: dict[str, str] = {}
    for name in names:
        carried = name
        while carried in outputs or (carried != name and carried in names):
            carried = f"measured_{carried}"
        if name != "error":
            found[name] = carried
    return found


def _chunks(reader: Iterator[Row], source: str) -> Iterator[list[Row]]:
    while True:
        with reading(source):
            chunk = list(itertools.islice(reader, CHUNK_ROWS))
        if not chunk:
            return
        yield chunk


def _answers(
    rows: Sequence[Row],
    outputs: Sequence[str],
    prepare: Callable[[Row], Job],
    evaluate: Callable[[Hashable, Any], Mapping[str, Any]],
    summary: Summary,
) -> list[list[Any]]:
    import numpy as np

    answers: list[list[Any]] = [[]] * len(rows)
    groups: dict[Hashable, list[tuple[int, tuple[float, ...]]]] = {}
    for i, row in enumerate(rows):
        try:
            if _has_surplus(row):
                raise InputError("the row has more cells than the header")
            job = prepare(row)
            groups.setdefault(job.key, []).append((i, job.numbers))
        except PerfmodelError as error:
            answers[i] = _refused(outputs, error, summary)
    for key, jobs in _batches(groups):
        places = [i for i, _ in jobs]
        try:
            columns = evaluate(key, np.array([numbers for _, numbers in jobs], dtype=float).T)
        except PerfmodelError as error:
            for i in places:
                answers[i] = _refused(outputs, error, summary)
            continue
        texts = [_texts(columns.get(name), len(places)) for name in outputs]
        for j, i in enumerate(places):
            answers[i] = [t[j] for t in texts]
            summary.answered += not answers[i][-1]
            summary.failed += bool(answers[i][-1])
            if answers[i][-1]:
                summary.reasons[answers[i][-1]] += 1
    summary.rows += len(rows)
    return answers


def _batches(
    groups: Mapping[Hashable, list[tuple[int, tuple[float, ...]]]],
) -> Iterator[tuple[Hashable, list[tuple[int, tuple[float, ...]]]]]:
    """Yield the jobs of each key together, or one by one where they are too few for arrays to pay."""
    for key, jobs in groups.items():
        if len(jobs) >= FEWEST_FOR_ARRAYS:
            yield key, jobs
        else:
            yield from ((key, [job]) for job in jobs)


def _has_surplus(row: Mapping[Any, str]) -> bool:
    """Say whether a row has more cells than the header: the reader keeps them under None."""
    return None in row


def _refused(outputs: Sequence[str], error: PerfmodelError, summary: Summary) -> list[Any]:
    reason = defused(" ".join(str(error).split()))  # a reason may begin with a name from the table
    summary.failed += 1
    summary.reasons[reason] += 1
    return [*[""] * (len(outputs) - 1), reason]


def _texts(column: Any, count: int) -> list[str]:
    """Return the cells of an output column: None is empty, a scalar holds for all rows."""
    if column is None:
        return [""] * count
    if isinstance(column, str):
        return [defused(column)] * count
    values = column if isinstance(column, list) else list(_flat(column, count))
    return [defused(v) if isinstance(v, str) else _number_text(v) for v in values]


def _flat(column: Any, count: int) -> Any:
    import numpy as np

    return np.broadcast_to(np.asarray(column, dtype=object), (count,))


def _number_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (bool,)) or type(value).__name__ in ("bool_", "bool"):
        return "True" if value else "False"
    return f"{float(value):.7g}" if math.isfinite(float(value)) else ""
