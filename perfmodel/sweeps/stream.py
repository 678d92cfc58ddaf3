"""A sweep streamed to a CSV file, chunk by chunk, in memory bounded by the chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import InputError
from perfmodel.files import whole_text

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
    import numpy as np

    done, header = 0, None
    axes = list(result.axes)
    for plan in grids:
        if header is None:
            header = [*axes, *plan.columns]
            out.write(",".join(header) + "\n")
        elif [*axes, *plan.columns] != header:
            raise InputError("the points of this grid have different columns (a price or power known for some only)")
        for where, values in plan.grid.chunks():
            points = np.meshgrid(*(v.ravel()[w] for v, w in zip(plan.grid.values, where, strict=True)), indexing="ij")
            table = np.column_stack([*(p.ravel() for p in points), *(v.ravel() for v in values)])
            prefix = ",".join(quoted(v) for v in plan.plan)
            form = prefix + ",%d" * len(points) + ",%.7g" * len(values)
            np.savetxt(out, table, fmt=form)
            done += len(table)
            if progress:
                progress(done, result.points)


def quoted(value: object) -> str:
    """Return a value of an axis as a cell that ``savetxt``'s format leaves alone."""
    text = str(value).replace("%", "%%")
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text
