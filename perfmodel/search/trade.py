"""The edge of what is enough: how much of one number of a platform each value of another asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfmodel.errors import InputError
from perfmodel.search.knobs import KNOBS, present
from perfmodel.search.require import SOLVED, WIDEST, Limits, Numbers, excess_of, solved
from perfmodel.serving.scenario import Setup


@dataclass(frozen=True)
class Curve:
    """The edge of what is enough: for each value of ``x`` the least ``y`` that keeps the limits (None: none does)."""

    x: str
    y: str
    points: list[tuple[float, float | None]]


def trade_off(
    setup: Setup, numbers: Numbers, limits: Limits, x: str = "bandwidth", y: str = "peak", count: int = 17,
    span: float = 16.0,
) -> Curve:  # fmt: skip
    """Return how much of ``y`` each value of ``x`` asks for, from the least ``x`` for which there is any such ``y``.

    ``x`` goes to ``span`` times that, and to twice what the platform has of it. No points: no pair is enough.
    Errors: :class:`InputError` for a number that the deployment does not have.
    """
    names = present(setup)
    for name in (x, y):
        if name not in SOLVED or name not in names:
            raise InputError(f"no '{name}' to trade here (one of {', '.join(n for n in SOLVED if n in names)})")
    import numpy as np

    least_x = solved(lambda factor: excess_of(setup, {x: factor, y: WIDEST}, numbers, limits), 1)[0]
    if math.isnan(least_x):
        return Curve(x, y, [])
    # at the least itself y is as large as is tried: the edge is shown from a little beyond
    factors = np.geomspace(1.05 * least_x, max(span * least_x, 2.0), count)[:, None]
    least = solved(lambda factor: excess_of(setup, {x: factors, y: factor}, numbers, limits), count)
    points = [
        (float(factor) * KNOBS[x].value(setup), None if math.isnan(one) else one * KNOBS[y].value(setup))
        for factor, one in zip(factors[:, 0], least, strict=True)
    ]
    return Curve(x, y, points)
