"""Times of a step and of its operators, and how communication hides behind computation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfmodel.cost.bounds import Bound
from perfmodel.numeric import Number, maximum, total
from perfmodel.ops import AttentionPrefill, Collective, MlaPrefill
from perfmodel.plan.step_shape import StepOperator


@dataclass(frozen=True)
class Time:
    """One duration with its two answers and the band around the expected one, in seconds."""

    bound: Number
    expected: Number
    p10: Number
    p90: Number

    def at_least(self, bound: Number) -> Time:
        """Return the same with another bound, which no answer beats."""
        return Time(bound, *(maximum(value, bound) for value in (self.expected, self.p10, self.p90)))


@dataclass(frozen=True)
class TimedOperator:
    """An operator of a step with the times of one execution."""

    step: StepOperator
    bound: Bound
    expected_s: Number
    spread_low: float
    spread_high: float


@dataclass(frozen=True)
class StepTime:
    """A step's time and its operators.

    ``unshared_s`` is what a prompt in the same step cannot share of its expected
    time: decode attention, and the arithmetic of the products (:func:`multiplying`).

    ``sequences`` of a replica are in it. With pipeline stages, ``microbatches`` pass them one behind the other:
    ``microbatch_s`` is the expected time of one through all stages, ``stage_s`` and ``stage_bound_s`` are those of the
    slowest stage (without stages, the step's). ``crowded_s`` is the expected time of a prefill that takes ``rounds``
    times as many prompts, as many as fit an engine's token budget (None: not asked for).
    """

    time: Time
    operators: tuple[TimedOperator, ...]
    unshared_s: Number
    bound_parts: Bound
    stage_s: Number
    stage_bound_s: Number
    microbatch_s: Number
    microbatches: Number = 1.0
    sequences: Number = 1.0
    crowded_s: Number | None = None
    rounds: Number = 1.0


def seconds(rows: Sequence[TimedOperator], share: Mapping[str, Number]) -> tuple[Number, Number]:
    """Return (all but decode attention, decode attention) of a step's expected time, one operator after the other.

    ``share`` says which part of the model's parts runs (missing: all of it). Communication that may hide behind
    computation only takes what sticks out: ``max(communication - computation, 0)``. Decode attention is summed apart
    because it alone depends on the cache; the rest is one number for all lengths of a grid.
    """
    weighed = [(r, r.step.repeat * share.get(r.step.part, 1.0) * r.expected_s) for r in rows]
    attention = total(time for r, time in weighed if r.step.operator.GROWS_WITH_CACHE)
    others = total(time for r, time in weighed if not r.step.behind and not r.step.operator.GROWS_WITH_CACHE)
    if any(r.step.behind for r in rows):
        others = others + sum(sticking_out(weighed))
    return others, attention


def multiplying(rows: Sequence[TimedOperator]) -> Number:
    """Return how long the matrix units have work in a step's products: ``sum of repeat*expected*compute/bound``.

    While weights come from memory they wait, and could multiply a prompt's tokens by the same weights.
    """
    return total(
        r.step.repeat * r.expected_s * (r.bound.compute_s / maximum(r.bound.time_s, 1e-30))
        for r in rows
        if not r.step.operator.GROWS_WITH_CACHE and not isinstance(r.step.operator, Collective)
    )


def sticking_out(weighed: Sequence[tuple[TimedOperator, Number]]) -> tuple[Number, Number]:
    """Return the communication that is longer than the attention, and than the computation, that it hides behind."""
    cores = [t for r, t in weighed if is_core(r)]
    ring = [t for r, t in weighed if r.step.behind == "attention"]
    work = [t for r, t in weighed if not isinstance(r.step.operator, Collective)]
    exchange = [t for r, t in weighed if r.step.behind == "step"]
    return tuple(maximum(total(moved) - total(done), 0.0) for moved, done in ((ring, cores), (exchange, work)))


def is_core(row: TimedOperator) -> bool:
    """Say whether an operator is an attention core."""
    op = row.step.operator
    return isinstance(op, (AttentionPrefill, MlaPrefill)) or op.GROWS_WITH_CACHE
