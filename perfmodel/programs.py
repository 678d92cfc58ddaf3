"""Integer programs, solved exactly and without a word: HiGHS (Huangfu, Hall, Math. Prog. Comp. 10, 2018) in SciPy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from perfmodel.errors import PerfmodelError


class Row(NamedTuple):
    """One constraint: ``least <= sum of factors[j]*x[j] <= most``; columns that are not named have the factor 0."""

    factors: Mapping[int, float]
    least: float
    most: float


def minimised(
    cost: Sequence[float], rows: Sequence[Row], *, upper: Sequence[float], whole: int, gap: float | None = None
) -> list[float] | None:
    """Return the ``x`` of least ``sum of cost[j]*x[j]``, ``0 <= x <= upper``, the first ``whole`` of them integers.

    ``gap`` is the relative distance to the best that is good enough (None: the solver's own, 1e-4). None: no ``x``
    keeps all rows. Errors: :class:`PerfmodelError` where the solver gives up.
    """
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    entries = [(i, j, value) for i, row in enumerate(rows) for j, value in row.factors.items()]
    place, column, value = zip(*entries, strict=True)
    matrix = coo_array((value, (place, column)), shape=(len(rows), len(cost))).tocsc()
    low, high = np.array([row.least for row in rows]), np.array([row.most for row in rows])
    inside: Any = Bounds(np.zeros(len(cost)), np.asarray(upper))  # pyright: ignore[reportArgumentType]
    limits: Any = LinearConstraint(matrix, low, high)  # pyright: ignore[reportArgumentType]
    integral = np.zeros(len(cost))
    integral[:whole] = 1
    with _silent_stdout():
        found: Any = milp(
            np.asarray(cost), constraints=limits, bounds=inside, integrality=integral,
            options={} if gap is None else {"mip_rel_gap": gap},
        )  # fmt: skip
    if found.status == _LIMIT:
        raise PerfmodelError(f"the integer program was not solved: {found.message}")
    return None if found.x is None else [float(x) for x in found.x]


_LIMIT = 1
"""SciPy's word for a solver that was out of time or steps."""


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Send what compiled code writes to standard output nowhere: some releases of HiGHS print lines of their own."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
