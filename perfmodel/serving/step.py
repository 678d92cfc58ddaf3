"""The time of one model step: its operators one after the other, its bound and its band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

from perfmodel.cost.bounds import Bound
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import OperatorCost, bound_of, expected_s, operator_cost, spreads
from perfmodel.numeric import Number, maximum
from perfmodel.ops import Operator
from perfmodel.ops.routing import Routing
from perfmodel.plan.layout import stage_repeats, step_operators
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions
from perfmodel.plan.rank import is_one
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.serving.alike import Alike
from perfmodel.serving.decode_bound import bound_at, mean_decode_bound, sum_bounds
from perfmodel.serving.spread import combined_spread
from perfmodel.serving.timed import StepTime, Time, TimedOperator, multiplying, seconds
from perfmodel.workloads.spec import LanguageModel

_NODES = ((-0.5773502691896257, 0.5), (0.5773502691896257, 0.5))
"""Gauss-Legendre points and weights on [-1, 1], weights summing to one: exact for cubics."""


_T = TypeVar("_T")


@dataclass(frozen=True)
class Deployment:
    """A model on a machine under a plan: all that stays fixed while lengths and batch vary.

    ``alike`` says which rows of a plan of columns are the same to most operators.
    """

    model: LanguageModel
    machine: Machine
    plan: Plan
    precisions: Precisions
    routing: Routing = Routing("power_law", 1.01)
    alike: Alike | None = field(default=None, compare=False, repr=False)

    def over(self, op: Operator, f: Callable[[Operator, Machine], _T]) -> _T:
        """Return ``f`` of an operator on the machine, computed once for rows that are alike."""
        if self.alike is None:
            return f(op, self.machine)
        return self.alike.over(op, lambda one: f(one, self.machine))

    def operators(self, shape: StepShape) -> list[StepOperator]:
        """Return the operators of one step on the busiest device (of all pipeline stages together)."""
        return step_operators(self.model, self.plan, self.precisions, shape, self.routing)

    @property
    def stages(self) -> list[dict[str, Number]]:
        """Return the share of the model's parts of each stage that may be the slowest."""
        return stage_repeats(self.model, self.plan)


def step_time(deployment: Deployment, shape: StepShape) -> StepTime:
    """Return the time of one step: ``sum repeat*t_op``; bound: the busiest resource if all overlap perfectly.

    ``bound = max(sum compute, sum memory, sum link)`` over the step's operators.
    """
    costs: dict[Any, OperatorCost] = {}
    rows = [_timed(step, deployment, costs) for step in deployment.operators(shape)]
    parts = sum_bounds((row.bound, row.step.repeat) for row in rows)
    return _assembled(deployment, rows, parts, parts.time_s)


def decode_time(
    deployment: Deployment, sequences: Number, first: Number, last: Number, *, exact_bound: bool = True
) -> StepTime:
    """Return the mean decode step while each sequence's cache grows from ``first`` to ``last`` tokens.

    Only attention depends on the cache. Expected: its mean by two-point Gauss-Legendre quadrature. Bound: the exact
    mean of ``max(compute, memory, link)``, each linear in the cache between the windows of the model.
    """
    shape = StepShape(decodes=sequences, decode_context=(first + last) * 0.5)
    cp = deployment.plan.cp
    ends = (first, last) if is_one(cp) else (first / cp, last / cp)
    costs: dict[Any, OperatorCost] = {}
    rows = [_timed_over(step, deployment, costs, *ends) for step in deployment.operators(shape)]
    parts = sum_bounds((row.bound, row.step.repeat) for row in rows)
    if not exact_bound:
        # each operator is held to its own bound already
        return _assembled(deployment, rows, parts, parts.time_s, clamp=False)
    mean_bound = mean_decode_bound([row.step for row in rows], deployment.machine, first, last, cp)
    return _assembled(deployment, rows, parts, mean_bound)


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
    return mean_decode_bound(steps, deployment.machine, first, last, deployment.plan.cp)


def stage_bound(deployment: Deployment, shape: StepShape) -> Number:
    """Return the bound of the slowest pipeline stage in a step."""
    machine = deployment.machine
    return slowest_bound(deployment, [(s.part, s.repeat, bound_of(s.operator, machine)) for s in
                                      deployment.operators(shape)])  # fmt: skip


def stage_bound_at(deployment: Deployment, rows: Sequence[TimedOperator], context: Number) -> Number:
    """Return the bound of the slowest stage in a decode step like ``rows`` but for the tokens of its caches."""
    machine, ranks = deployment.machine, deployment.plan.cp
    bounds = (
        bound_at(row.step, machine, context, ranks) if row.step.operator.GROWS_WITH_CACHE else row.bound for row in rows
    )
    return slowest_bound(deployment, [(r.step.part, r.step.repeat, b) for r, b in zip(rows, bounds, strict=True)])


def slowest_bound(deployment: Deployment, rows: Sequence[tuple[str, Number, Bound]]) -> Number:
    """Return the bound of the slowest stage from (part, repeat, bound) of the operators of all stages together."""
    found: Number = 0.0
    for share in deployment.stages:
        parts = sum_bounds((bound, repeat * share.get(part, 1.0)) for part, repeat, bound in rows)
        found = maximum(found, parts.time_s)
    return found


def _timed_over(
    step: StepOperator, deployment: Deployment, costs: dict[Any, OperatorCost], first: Number, last: Number
) -> TimedOperator:
    """Return an operator of a decode step; attention as its mean while the cache grows, the rest as it stands."""
    if not step.operator.GROWS_WITH_CACHE:
        return _timed(step, deployment, costs)
    bound = deployment.over(step.operator, bound_of)
    mean = _mean_over(step.operator, deployment, first * step.reach, last * step.reach)
    return TimedOperator(step, bound, maximum(mean, bound.time_s), *spreads(step.operator, deployment.machine))


def _timed(step: StepOperator, deployment: Deployment, costs: dict[Any, OperatorCost]) -> TimedOperator:
    """Return an operator with its times; groups of layers have many operators in common, which are timed once."""
    key = _fingerprint(step.operator)
    cost = costs.get(key)
    if cost is None:
        cost = costs[key] = deployment.over(step.operator, operator_cost)
    return TimedOperator(step, cost.bound, cost.expected_s, cost.spread_low, cost.spread_high)


def _fingerprint(op: Operator) -> tuple[Any, ...]:
    """Return what tells two operators apart, arrays by their content."""
    values = (getattr(op, name) for name in _names(type(op)))
    return (type(op), *((v.shape, v.tobytes()) if hasattr(v, "tobytes") else v for v in values))


@cache
def _names(kind: type[Operator]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _assembled(
    deployment: Deployment, rows: Sequence[TimedOperator], parts: Bound, bound_s: Number, *, clamp: bool = True
) -> StepTime:
    others, attention = seconds(rows, {})
    expected = maximum(others + attention, bound_s) if clamp else others + attention
    low, high = combined_spread(rows)
    time = Time(bound_s, expected, maximum(expected * low, bound_s), expected * high)
    unshared = attention + multiplying(rows)
    if not deployment.plan.staged:
        return StepTime(time, tuple(rows), unshared, parts, expected, bound_s, expected)
    stage_s = maximum(*(sum(seconds(rows, share)) for share in deployment.stages), 0.0)
    stage_bound_s = slowest_bound(deployment, [(r.step.part, r.step.repeat, r.bound) for r in rows])
    return StepTime(time, tuple(rows), unshared, parts, maximum(stage_s, stage_bound_s), stage_bound_s, expected)


def _mean_over(op: Operator, deployment: Deployment, first: Number, last: Number) -> Number:
    middle, half = (first + last) * 0.5, (last - first) * 0.5
    mean: Number = 0.0
    for node, weight in _NODES:
        mean = mean + weight * deployment.over(op.with_numbers(kv_tokens=middle + node * half), expected_s)
    return mean
