"""Low-rank adapters beside a linear layer, split over the ranks as the layer is."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.numeric import minimum
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import Lora

_WITHOUT = frozenset({"router", "stream_mixing", "indexer_weights"})
_FUSED = {"qkv_proj": 3, "qkv_a_proj": 2, "q_kv_a_proj": 2}
"""Projections that run as one product; each of them has a pair of matrices of its own, which reads the same input."""
_ALL_OCCUR = 1e3
"""Sequences for each adapter with which no adapter is missed: ``(1 - 1/a)^(1000 a)`` is less than ``e^-1000``."""


def adapts(lora: Lora, beside: StepOperator) -> bool:
    """Say whether adapters stand beside an operator."""
    if not isinstance(beside.operator, ops.Linear) or beside.name in _WITHOUT:
        return False
    return lora.targets == "all" or beside.part == "attention"


def lora_of(rank: Rank, lora: Lora, beside: StepOperator, gated: bool) -> StepOperator:
    """Return the adapters' products beside a linear layer's operator; each sequence of the step has one adapter.

    Projections that are fused into one product have pairs of their own, alike here. Where the step says how many
    adapters occur, all of these do. ``gated`` says that the layer's gate and up projection are one product.
    """
    op, s = beside.operator, rank.shape
    assert isinstance(op, ops.Linear)
    sequences, adapters = s.sequences, lora.adapters
    if s.adapters is not None:
        adapters = minimum(s.adapters, s.sequences)
        sequences = _ALL_OCCUR * adapters
    modules = 2 if gated and beside.name.endswith("gate_up_proj") else _FUSED.get(beside.name, 1)
    pair = ops.LoraPair(op.m, sequences, op.k, op.n / modules, lora.rank, adapters, rank.precisions.attention_dtype)
    return StepOperator(f"{beside.name}_lora", beside.part, pair, beside.repeat * modules)
