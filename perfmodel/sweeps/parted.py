"""A sweep in parts: made here or on the workers of a cluster, kept as files, and taken up where it was broken off."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from perfmodel.cluster import PartStore, keep_all, spread
from perfmodel.cluster.parts import Made
from perfmodel.errors import InputError
from perfmodel.files import whole_text
from perfmodel.sweeps.stream import DIFFERENT

PARQUET, CSV = "parquet", "csv"
PART_POINTS = 131_072
"""Points of a part: some ten megabytes of text, a second of work."""

INSTALL = 'pip install "perfmodel[parquet]"'


class Part(NamedTuple):
    """Some of a grid: the place on its outer axes, the blocks (or batches) there, and how many points they have."""

    place: tuple[int, ...]
    first: int
    last: int
    points: int


class Table(NamedTuple):
    """The rows of a part: the outer axes' values, then columns of counts (inner axes) and of results."""

    outer: Mapping[str, Any]
    inner: Mapping[str, Any]
    columns: Mapping[str, Any]


class Job(Protocol):
    """A grid that is answered part by part, on any machine: it pickles."""

    @property
    def axes(self) -> Mapping[str, Sequence[Any]]: ...

    @property
    def question(self) -> Mapping[str, Any]: ...

    def parts(self, points: int) -> list[Part]: ...

    def make(self, part: Part, form: str) -> Made: ...


@dataclass(frozen=True)
class Making:
    """What a worker does with a part."""

    job: Job
    form: str

    def __call__(self, part: Part) -> Made:
        return self.job.make(part, self.form)


@dataclass(frozen=True)
class Parted:
    """What became of a sweep in parts: how many, how many were there before, and which plans cannot be, and why."""

    parts: int
    found: int
    problems: tuple[tuple[str, str], ...]


def form_of(path: Path) -> str:
    """Return whether a path is of a CSV file or of a folder of Parquet files (``.parquet``)."""
    return PARQUET if path.suffix == ".parquet" else CSV


def sweep_parts(
    job: Job, path: Path, scheduler: str = "", progress: Callable[[int, int | None], None] | None = None,
    points: int = PART_POINTS,
) -> Parted:  # fmt: skip
    """Answer a grid in parts, those that are there already left out, on the workers of ``scheduler`` (empty: here).

    A path ``x.parquet`` becomes a folder of Parquet files, a part each. A CSV file is joined from the parts in
    ``x.csv.parts``, which then goes; its bytes are those that one process streams. Errors: :class:`InputError`.
    """
    form = form_of(path)
    if form == PARQUET:
        parquet_modules()
    path = path.expanduser()
    parts = job.parts(points)
    folder = path if form == PARQUET else path.with_name(f"{path.name}.parts")
    store = PartStore(folder, {**job.question, "part points": points}, form)
    with spread(scheduler) as mapper:
        found = keep_all(store, Making(job, form), parts, mapper, [part.points for part in parts], progress)
    problems = tuple(dict.fromkeys(
        (_words(job, part), text) for place, part in enumerate(parts) if (text := store.problem(place))
    ))  # fmt: skip
    if len(problems) == len({part.place for part in parts}):
        store.remove()
        raise InputError(problems[0][1])
    if form == CSV:
        _join(store, parts, path)
        store.remove()
    else:
        _alike(store, parts)
    return Parted(len(parts), found, problems)


def _words(job: Job, part: Part) -> str:
    return " ".join(f"{name}={job.axes[name][i]}" for name, i in zip(job.axes, part.place, strict=False))


def _join(store: PartStore, parts: Sequence[Part], path: Path) -> None:
    """Write the parts one after the other under one heading."""
    heading = ""
    with whole_text(path) as out:
        for place in range(len(parts)):
            if store.problem(place):
                continue
            with store.path(place).open(encoding="utf-8", newline="") as part:
                first = part.readline()
                if not heading:
                    heading = first
                    out.write(heading)
                elif first != heading:
                    raise InputError(DIFFERENT)
                shutil.copyfileobj(part, out)


def _alike(store: PartStore, parts: Sequence[Part]) -> None:
    parquet = parquet_modules()[1]
    names = {tuple(parquet.read_schema(store.path(i)).names) for i in range(len(parts)) if not store.problem(i)}
    if len(names) > 1:
        raise InputError(DIFFERENT)


def parquet_modules() -> tuple[Any, Any]:
    """Return pyarrow and its parquet module. Errors: :class:`InputError` with what to install."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(f"Parquet needs pyarrow: {INSTALL}") from None


def parquet_bytes(tables: Iterator[Table], axes: Mapping[str, Sequence[Any]]) -> bytes:
    """Return the rows of tables as a Parquet file: axes of whole numbers as int64, results as float64."""
    import numpy as np

    arrow, parquet = parquet_modules()
    whole: list[Any] = []
    for table in tables:
        columns = {name: arrow.array(np.asarray(value, dtype="int64")) for name, value in table.inner.items()}
        columns |= {name: arrow.array(np.asarray(value, dtype=float)) for name, value in table.columns.items()}
        count = len(next(iter(columns.values())))
        outer = {name: _constant(arrow, value, axes[name], count) for name, value in table.outer.items()}
        whole.append(arrow.table({**outer, **columns}))
    out = io.BytesIO()
    parquet.write_table(arrow.concat_tables(whole), out)
    return out.getvalue()


def _constant(arrow: Any, value: Any, values: Sequence[Any], count: int) -> Any:
    if all(isinstance(one, int) for one in values):
        return arrow.repeat(arrow.scalar(int(value), arrow.int64()), count)
    if all(isinstance(one, (int, float)) for one in values):
        return arrow.repeat(arrow.scalar(float(value), arrow.float64()), count)
    return arrow.repeat(arrow.scalar(str(value), arrow.string()), count)
