"""The error band of a sum of operators whose errors go together."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.cost.operator_cost import Z80
from perfmodel.numeric import Number, exp, sqrt, total
from perfmodel.serving.timed import TimedOperator

CROSS_CLASS_CORRELATION = 1.0
"""How much the errors of a step's classes of kernels go together.

Those of kernels timed alone do not (0.00 to 0.03 between classes, 0.2 to 0.3 between the GEMMs of one step), but a step
adds an error of its own that all of it shares (clocks, gaps, what overlaps). Of measured decode steps the 80 % band
holds 77, 73 and 75 % with 1 (shapes held out, models and devices left out), 73, 65 and 68 % with 0.5, 62, 55 and 57 %
with 0.
"""


def combined_spread(rows: Sequence[TimedOperator]) -> tuple[Number, Number]:
    """Return the factors p10/expected and p90/expected of a sum of correlated operators.

    ``sigma^2 = sum_ij w_i w_j rho_ij sigma_i sigma_j`` over classes of operators, w their shares of the time, rho 1
    within a class and :data:`CROSS_CLASS_CORRELATION` between classes.
    """
    by_class: dict[str, list[TimedOperator]] = {}
    for row in sorted(rows, key=lambda r: r.step.operator.GROWS_WITH_CACHE):
        by_class.setdefault(row.step.operator.KIND, []).append(row)
    seconds, low, high = (
        [total(r.step.repeat * r.expected_s * weigh(r) for r in members) for members in by_class.values()]
        for weigh in (_no_spread, _low_spread, _high_spread)
    )
    everything = total(seconds)
    return exp(-Z80 * _correlated(low) / everything), exp(Z80 * _correlated(high) / everything)


def _no_spread(row: TimedOperator) -> float:
    del row
    return 1.0


def _low_spread(row: TimedOperator) -> float:
    return row.spread_low


def _high_spread(row: TimedOperator) -> float:
    return row.spread_high


def _correlated(sigmas: Sequence[Number]) -> Number:
    """Return the deviation of a sum of correlated parts with these deviations."""
    together = total(sigmas)
    squares = total(s * s for s in sigmas)
    rho = CROSS_CLASS_CORRELATION
    return sqrt(rho * together * together + (1.0 - rho) * squares)
