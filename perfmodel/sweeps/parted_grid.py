"""The parts of a language model's grid: a plan each, and of large grids some of its blocks."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from perfmodel.cluster.parts import Made
from perfmodel.devices import Device
from perfmodel.errors import PerfmodelError
from perfmodel.readings.staged import CHUNK_POINTS, blocks
from perfmodel.sweeps.grid import NUMBER_AXES, PlanGrid, Wanted, plan_grid
from perfmodel.sweeps.parted import CSV, Part, Table, parquet_bytes
from perfmodel.sweeps.stream import table_of, write_rows
from perfmodel.workloads.spec import LanguageModel


@dataclass(frozen=True)
class GridJob:
    """A grid of one model on one device; ``key`` tells grids apart within a process."""

    model: LanguageModel
    device: Device
    axes: Mapping[str, Sequence[Any]]
    wanted: Wanted
    options: Mapping[str, Any]
    changes: Mapping[str, str]
    key: str = ""

    @property
    def question(self) -> dict[str, Any]:
        """Everything that the numbers follow from, but the data of the library."""
        return {
            "kind": "language model", "model": [self.model.name, self.model.spec_hash], "axes": self.axes,
            "device": [self.device.name, self.device.spec_hash, self.device.system], "options": self.options,
            "changes": self.changes, "parts": self.wanted.parts, "columns": self.wanted.names,
        }  # fmt: skip

    @property
    def plan_axes(self) -> list[str]:
        """Return the axes of which each place has a compiled formula of its own."""
        return [name for name in self.axes if name not in NUMBER_AXES]

    def parts(self, points: int) -> list[Part]:
        """Return the parts: for each plan runs of blocks, whose edges are those of a sweep in one process."""
        shape = [len(self.axes[name]) for name in NUMBER_AXES]
        sizes = [prod(s.stop - s.start for s in where) for where in blocks(shape)]
        run = max(points // CHUNK_POINTS, 1)
        starts = range(0, len(sizes), run)
        places = itertools.product(*(range(len(self.axes[name])) for name in self.plan_axes))
        return [
            Part(place, start, min(start + run, len(sizes)), sum(sizes[start : start + run]))
            for place in places
            for start in starts
        ]

    def make(self, part: Part, form: str) -> Made:
        """Return the rows of a part, or why its plan cannot be."""
        try:
            plan = self._plan(part.place)
        except PerfmodelError as error:
            return Made(b"", str(error))
        chunks = ((plan, table_of(plan, *chunk)) for chunk in plan.grid.chunks(CHUNK_POINTS, part.first, part.last))
        names = (*self.plan_axes, *NUMBER_AXES, *plan.columns)
        if form == CSV:
            out = io.StringIO(newline="")
            out.write(",".join(names) + "\n")
            for plan, table in chunks:
                write_rows(out, plan, table)
            return Made(out.getvalue().encode())
        return Made(parquet_bytes((self._table(*chunk) for chunk in chunks), self.axes))

    def _table(self, plan: PlanGrid, table: Any) -> Table:
        counts = len(NUMBER_AXES)
        inner: dict[str, Any] = dict(zip(NUMBER_AXES, table.T[:counts], strict=True))
        return Table(
            dict(zip(self.plan_axes, plan.plan, strict=True)), inner,
            dict(zip(plan.columns, table.T[counts:], strict=True)),
        )  # fmt: skip

    def _plan(self, place: tuple[int, ...]) -> PlanGrid:
        """Return the compiled grid of a place; the last one is kept, because parts of one plan come together."""
        found = _COMPILED.get((self.key, place))
        if found is None:
            _COMPILED.clear()
            found = plan_grid(self.model, self.device, self.axes, place, self.wanted, self.options)
            _COMPILED[self.key, place] = found
        return found


_COMPILED: dict[tuple[str, tuple[int, ...]], PlanGrid] = {}
