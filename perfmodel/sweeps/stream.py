"""A sweep streamed to a CSV file, chunk by chunk, in memory bounded by the chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import InputError
from perfmodel.files import defused, whole_text

if TYPE_CHECKING:
    from perfmodel.sweeps.grid import PlanGrid, Sweep


def stream_csv(
    path: Path, result: Sweep, grids: Iterator[PlanGrid], progress: Callable[[int, int | None], None] | None
) -> None:
    """Write one row a point: plan and number axes first, then the columns; the file appears when it is whole."""
    with whole_text(path) as out:
        _write(out, result, grids, progress)


def _write(
    out: Any, result: Sweep, grids: Iterator[PlanGrid], progress: Callable[[int, int | None], None] | None
) -> None:
    done, header = 0, None
    axes = list(result.axes)
    for plan in grids:
        if header is None:
            header = [*axes, *plan.columns]
            out.write(",".join(header) + "\n")
        elif [*axes, *plan.columns] != header:
            raise InputError(DIFFERENT)
        for where, values in plan.grid.chunks():
            table = table_of(plan, where, values)
            write_rows(out, plan, table)
            done += len(table)
            if progress:
                progress(done, result.points)


DIFFERENT = "the points of this grid have different columns (a price or power known for some only)"


def table_of(plan: PlanGrid, where: tuple[slice, ...], values: tuple[Any, ...]) -> Any:
    """Return a chunk's points and results as one table of floats, a row a point."""
    import numpy as np

    points = np.meshgrid(*(v.ravel()[w] for v, w in zip(plan.grid.values, where, strict=True)), indexing="ij")
    return np.column_stack([*(p.ravel() for p in points), *(v.ravel() for v in values)])


def write_rows(out: Any, plan: PlanGrid, table: Any) -> None:
    """Write the rows of a chunk: the plan, the numbers of the request as counts, results in seven digits."""
    import numpy as np

    prefix = ",".join(quoted(v) for v in plan.plan)
    counts = len(plan.grid.values)
    np.savetxt(out, table, fmt=prefix + ",%d" * counts + ",%.7g" * (table.shape[1] - counts))


def quoted(value: object) -> str:
    """Return a value of an axis as a cell that ``savetxt``'s format leaves alone."""
    text = defused(str(value)).replace("%", "%%")
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text
