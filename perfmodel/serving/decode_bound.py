"""The bound of the mean decode step while the cache grows: exact, because every resource is linear in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfmodel.cost.bounds import Bound
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import bound_of
from perfmodel.numeric import Number, floor, maximum, minimum, sorted_numbers, where
from perfmodel.plan.rank import is_one
from perfmodel.plan.step_shape import StepOperator


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


def mean_decode_bound(
    steps: Sequence[StepOperator], machine: Machine, first: Number, last: Number, ranks: int = 1
) -> Number:
    """Return the mean over caches of ``first`` to ``last`` tokens of the busiest resource's time in a decode step.

    ``ranks`` devices share the cache, each with an equal part.
    """
    fixed = sum_bounds((bound_of(s.operator, machine), s.repeat) for s in steps if not s.operator.GROWS_WITH_CACHE)
    moving = [s for s in steps if s.operator.GROWS_WITH_CACHE]

    def at(context: Number) -> Bound:
        return sum_bounds([(fixed, 1.0), *((bound_at(s, machine, context, ranks), s.repeat) for s in moving)])

    windows = sorted({edge * ranks / s.reach for s in moving for edge in s.operator.edges()})
    mean: Number = 0.0
    start = first
    for edge in [*windows, None]:
        end = last if edge is None else minimum(maximum(start - 1.0, edge), last)
        points = end - start + 1.0
        share = points / (last - first + 1.0)
        mean = mean + share * _mean_of_maximum(at(start), at(maximum(end, start)), maximum(points, 1.0))
        start = end + 1.0
    return mean


def bound_at(step: StepOperator, machine: Machine, context: Number, ranks: Number = 1) -> Bound:
    """Return the bound of an operator that grows with the cache, at a cache of ``context`` tokens over ``ranks``."""
    return bound_of(step.operator.with_numbers(kv_tokens=_own(context, step.reach, ranks)), machine)


def _own(context: Number, reach: float, ranks: Number) -> Number:
    """Return the part of a sequence's cache that an operator works on."""
    return context if is_one(ranks) and reach == 1.0 else context * reach / ranks


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
