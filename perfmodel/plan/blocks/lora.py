"""Low-rank adapters beside a linear layer, split over the ranks as the layer is."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import Lora


def lora_of(rank: Rank, lora: Lora, beside: StepOperator) -> StepOperator:
    """Return the adapters' products beside a linear layer's operator; each sequence of the step has one adapter."""
    op = beside.operator
    assert isinstance(op, ops.Linear)
    pair = ops.LoraPair(
        op.m, rank.shape.sequences, op.k, op.n, lora.rank, lora.adapters, rank.precisions.attention_dtype
    )
    return StepOperator(f"{beside.name}_lora", beside.part, pair, beside.repeat)
