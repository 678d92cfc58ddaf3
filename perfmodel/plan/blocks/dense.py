"""A feed-forward block split by tensor parallelism."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import DenseFfn


def dense_ffn(rank: Rank, f: DenseFfn, count: float) -> Iterator[StepOperator]:
    """Yield the operators after the norm, with the sum over the tensor-parallel ranks."""
    yield from feed_forward(rank, "", f.intermediate / rank.plan.tp, f.gated, count)
    yield from rank.reduce("ffn_all_reduce", "ffn", rank.tokens * rank.model.hidden * 2.0, count)


def feed_forward(rank: Rank, prefix: str, width: Number, gated: bool, count: float) -> Iterator[StepOperator]:
    """Yield the matrices and the activation of a feed-forward block of ``width`` on this device."""
    hidden = rank.model.hidden
    yield rank.linear(f"{prefix}gate_up_proj", "ffn", (2 if gated else 1) * width, hidden, count)
    activation = ops.GatedActivation if gated else ops.Activation
    yield StepOperator(f"{prefix}activation", "ffn", activation(rank.tokens, width), count)
    yield rank.linear(f"{prefix}down_proj", "ffn", hidden, width, count)
