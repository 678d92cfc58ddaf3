"""The busiest device of a stage: what it is given, and how the blocks of a layer put operators on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.ops.routing import Routing
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.workloads.spec import LanguageModel


@dataclass(frozen=True)
class Rank:
    """One device of a plan in one step: ``shape`` is that of its attention group."""

    model: LanguageModel
    plan: Plan
    precisions: Precisions
    shape: StepShape
    routing: Routing

    @property
    def tokens(self) -> Number:
        """Return the tokens that this device takes through its linear layers."""
        return self.shape.tokens_per_rank(self.plan.cp)

    @property
    def norm_tokens(self) -> Number:
        """Return the tokens that norms see: a tp-th of them with sequence parallelism."""
        return self.tokens / self.plan.tp if self.plan.sequence_parallel else self.tokens

    def linear(
        self, name: str, part: str, n: Number, k: Number, count: float, tokens: Number | None = None
    ) -> StepOperator:
        """Return a linear layer of ``n`` outputs and ``k`` inputs on this device.

        Quantisation of its input is fused into the norm, activation or attention that produces it.
        """
        form = self.precisions.attention if part == "attention" else self.precisions.linear
        return StepOperator(name, part, ops.Linear(self.tokens if tokens is None else tokens, n, k, form), count)

    def reduce(self, name: str, part: str, moved: Number, repeat: float) -> Iterator[StepOperator]:
        """Yield the sum over the tensor-parallel ranks.

        An all-reduce; with sequence parallelism a reduce-scatter, and an all-gather before the next linear layer, which
        move the same bytes (Korthikanti et al. 2022, section 4.2).
        """
        tp = self.plan.tp
        if is_one(tp):
            return
        if self.plan.sequence_parallel:
            yield StepOperator(name.replace("all_reduce", "reduce_scatter"), part, ops.ReduceScatter(tp, moved), repeat)
            yield StepOperator(name.replace("all_reduce", "all_gather"), part, ops.AllGather(tp, moved), repeat)
        else:
            yield StepOperator(name, part, ops.AllReduce(tp, moved), repeat)


def is_one(value: Number) -> bool:
    """Say whether a plain number is one; arrays and symbols may not be."""
    return isinstance(value, (int, float)) and value == 1
