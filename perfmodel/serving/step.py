"""The time of one model step: its operators one after the other, its bound and its band."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perfmodel.cost.bounds import Bound
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import Z80, bound_of, expected_s, operator_cost, spreads
from perfmodel.numeric import Number, exp, floor, maximum, minimum, sorted_numbers, sqrt, total, where
from perfmodel.ops import AttentionDecode, MlaDecode, Operator
from perfmodel.ops.routing import Routing
from perfmodel.plan.layout import step_operators
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.workloads.spec import LanguageModel

CROSS_CLASS_CORRELATION = 0.5
"""Errors of one class of kernels on one device go together; between classes half of the variance is shared."""

_NODES = ((-0.5773502691896257, 0.5), (0.5773502691896257, 0.5))
"""Gauss-Legendre points and weights on [-1, 1], weights summing to one: exact for cubics."""


@dataclass(frozen=True)
class Deployment:
    """A model on a machine under a plan: all that stays fixed while lengths and batch vary."""

    model: LanguageModel
    machine: Machine
    plan: Plan
    precisions: Precisions
    routing: Routing = Routing("power_law", 1.01)

    def operators(self, shape: StepShape) -> list[StepOperator]:
        """Return the operators of one step on the busiest device."""
        return step_operators(self.model, self.plan, self.precisions, shape, self.routing)


@dataclass(frozen=True)
class Time:
    """One duration with its two answers and the band around the expected one, in seconds."""

    bound: Number
    expected: Number
    p10: Number
    p90: Number


@dataclass(frozen=True)
class TimedOperator:
    """An operator of a step with its times for all repetitions; ``context`` is where it was evaluated."""

    step: StepOperator
    bound: Bound
    expected_s: Number
    spread_low: float
    spread_high: float


@dataclass(frozen=True)
class StepTime:
    """A step's time and its operators. ``attention_s`` is the expected time of decode attention alone."""

    time: Time
    operators: tuple[TimedOperator, ...]
    attention_s: Number
    bound_parts: Bound


def _is_decode_attention(op: Operator) -> bool:
    return isinstance(op, (AttentionDecode, MlaDecode))


def step_time(deployment: Deployment, shape: StepShape) -> StepTime:
    """Return the time of one step: ``sum repeat*t_op``; bound: the busiest resource if all overlap perfectly.

    ``bound = max(sum compute, sum memory, sum link)`` over the step's operators.
    """
    rows = [_timed(step, deployment.machine) for step in deployment.operators(shape)]
    parts = sum_bounds((row.bound, row.step.repeat) for row in rows)
    return _assembled(rows, parts, parts.time_s)


def decode_time(
    deployment: Deployment, sequences: Number, first: Number, last: Number, *, exact_bound: bool = True
) -> StepTime:
    """Return the mean decode step while each sequence's cache grows from ``first`` to ``last`` tokens.

    Only attention depends on the cache. Expected: its mean by two-point Gauss-Legendre quadrature. Bound: the exact
    mean of ``max(compute, memory, link)``, each linear in the cache between the windows of the model.
    """
    shape = StepShape(decodes=sequences, decode_context=(first + last) * 0.5)
    rows = [_timed_over(step, deployment.machine, first, last) for step in deployment.operators(shape)]
    parts = sum_bounds((row.bound, row.step.repeat) for row in rows)
    if not exact_bound:
        return _assembled(rows, parts, parts.time_s, clamp=False)  # each operator is held to its own bound already
    mean_bound = _mean_decode_bound([row.step for row in rows], deployment.machine, first, last)
    return _assembled(rows, parts, mean_bound)


def step_bound(deployment: Deployment, shape: StepShape) -> Number:
    """Return the bound of :func:`step_time` alone."""
    return step_parts(deployment, shape).time_s


def step_parts(deployment: Deployment, shape: StepShape) -> Bound:
    """Return the least time of each resource in a step."""
    machine = deployment.machine
    return sum_bounds((bound_of(s.operator, machine), s.repeat) for s in deployment.operators(shape))


def decode_bound(deployment: Deployment, sequences: Number, first: Number, last: Number) -> Number:
    """Return the bound of :func:`decode_time` alone."""
    steps = deployment.operators(StepShape(decodes=sequences, decode_context=first))
    return _mean_decode_bound(steps, deployment.machine, first, last)


def _timed_over(step: StepOperator, machine: Machine, first: Number, last: Number) -> TimedOperator:
    """Return an operator of a decode step; attention as its mean while the cache grows, the rest as it stands."""
    if not _is_decode_attention(step.operator):
        return _timed(step, machine)
    bound = bound_of(step.operator, machine)
    mean = _mean_over(step.operator, machine, first, last)
    return TimedOperator(step, bound, maximum(mean, bound.time_s), *spreads(step.operator, machine))


def _timed(step: StepOperator, machine: Machine) -> TimedOperator:
    cost = operator_cost(step.operator, machine)
    return TimedOperator(step, cost.bound, cost.expected_s, cost.spread_low, cost.spread_high)


def _assembled(rows: Sequence[TimedOperator], parts: Bound, bound_s: Number, *, clamp: bool = True) -> StepTime:
    # decode attention is summed apart: it alone depends on the cache, the rest is one number for all lengths of a grid
    attention, others = (
        total(r.step.repeat * r.expected_s for r in rows if _is_decode_attention(r.step.operator) is decodes)
        for decodes in (True, False)
    )
    expected = maximum(others + attention, bound_s) if clamp else others + attention
    low, high = combined_spread(rows)
    time = Time(bound_s, expected, maximum(expected * low, bound_s), expected * high)
    return StepTime(time, tuple(rows), attention, parts)


def _mean_over(op: Operator, machine: Machine, first: Number, last: Number) -> Number:
    middle, half = (first + last) * 0.5, (last - first) * 0.5
    mean: Number = 0.0
    for node, weight in _NODES:
        mean = mean + weight * expected_s(op.with_numbers(kv_tokens=middle + node * half), machine)
    return mean


def sum_bounds(parts: Iterable[tuple[Bound, float]]) -> Bound:
    """Return each resource's time over several operators, each with its number of repetitions."""
    compute: Number = 0.0
    memory: Number = 0.0
    link: Number = 0.0
    for bound, repeat in parts:
        compute = compute + repeat * bound.compute_s
        memory = memory + repeat * bound.memory_s
        link = link + repeat * bound.link_s
    return Bound(compute, memory, link)


def _mean_decode_bound(steps: Sequence[StepOperator], machine: Machine, first: Number, last: Number) -> Number:
    fixed = sum_bounds((bound_of(s.operator, machine), s.repeat) for s in steps if not _is_decode_attention(s.operator))
    moving = [s for s in steps if _is_decode_attention(s.operator)]

    def at(context: Number) -> Bound:
        there = ((bound_of(s.operator.with_numbers(kv_tokens=context), machine), s.repeat) for s in moving)
        return sum_bounds([(fixed, 1.0), *there])

    windows = sorted({w for s in moving if (w := getattr(s.operator, "window", 0))})
    mean: Number = 0.0
    start = first
    for edge in [*windows, None]:
        end = last if edge is None else minimum(maximum(start - 1.0, edge), last)
        points = end - start + 1.0
        share = points / (last - first + 1.0)
        mean = mean + share * _mean_of_maximum(at(start), at(maximum(end, start)), maximum(points, 1.0))
        start = end + 1.0
    return mean


def _mean_of_maximum(a: Bound, b: Bound, points: Number) -> Number:
    """Return the mean over equidistant points from a to b of the largest resource, each linear in between.

    The lines cross at most three times; between the crossings the largest is one line, whose mean over whole points is
    that of its ends. With no link there is one crossing.
    """
    pairs = [((a.compute_s, b.compute_s), (a.memory_s, b.memory_s))]
    lines = [*pairs[0]]
    if not (isinstance(a.link_s, (int, float)) and a.link_s == 0):
        link = (a.link_s, b.link_s)
        pairs += [(lines[0], link), (lines[1], link)]
        lines.append(link)
    pitch = 1.0 / maximum(points - 1.0, 1.0)
    cuts = sorted_numbers([_points_before_crossing(x, y, points) for x, y in pairs])
    mean: Number = 0.0
    before: Number = 0.0
    for cut in [*cuts, points]:
        left = _largest(lines, before * pitch)
        right = _largest(lines, maximum(cut - 1.0, before) * pitch)
        mean = mean + (cut - before) * (left + right)
        before = cut
    return mean * 0.5 / points


def _largest(lines: Sequence[tuple[Number, Number]], position: Number) -> Number:
    values = [a + (b - a) * position for a, b in lines]
    return maximum(*values)


def _points_before_crossing(x: tuple[Number, Number], y: tuple[Number, Number], points: Number) -> Number:
    """Return how many of the points lie before two lines cross (none or all, if they do not)."""
    gap0, gap1 = x[0] - y[0], x[1] - y[1]
    span = where(gap0 > gap1, gap0 - gap1, gap1 - gap0)
    ahead = where(gap0 > gap1, gap0, -1.0 * gap0)
    crossing = ahead / maximum(span, 1e-300) * (points - 1.0)
    return floor(minimum(maximum(crossing + 1.0, 0.0), points))


def combined_spread(rows: Sequence[TimedOperator]) -> tuple[Number, Number]:
    """Return the factors p10/expected and p90/expected of a sum of correlated operators.

    ``sigma^2 = sum_ij w_i w_j rho_ij sigma_i sigma_j`` over classes of operators, w their shares of the time, rho 1
    within a class and :data:`CROSS_CLASS_CORRELATION` between classes.
    """
    by_class: dict[str, list[TimedOperator]] = {}
    for row in sorted(rows, key=lambda r: _is_decode_attention(r.step.operator)):
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
