"""Counts of the expert operator."""

from __future__ import annotations

import pytest

from perfmodel.counts import read, tensor
from perfmodel.formats import find_format
from perfmodel.ops.moe import Experts
from perfmodel.ops.routing import parse_routing


def _mixtral(tokens: float, tp: float = 1, ep: float = 1, routing: str = "uniform", gated: bool = True) -> Experts:
    return Experts(tokens, 4096, 14336, 2, 8, tp, ep, find_format("bfloat16"), parse_routing(routing), gated)


def test_one_token_reads_two_experts() -> None:
    counts = _mixtral(1).counts()
    assert counts.bytes[read("weight")] == pytest.approx(2 * 3 * 4096 * 14336 * 2)
    assert counts.flops[tensor("bfloat16")] == pytest.approx(2 * 2 * 3 * 4096 * 14336)
    assert counts.bytes[read("activation")] == pytest.approx(4096 * 2)


def test_many_tokens_read_all_experts_once() -> None:
    weights = _mixtral(4096).counts().bytes[read("weight")]
    assert weights == pytest.approx(8 * 3 * 4096 * 14336 * 2, rel=1e-6)


def test_tensor_parallelism_divides_weights_and_flops() -> None:
    whole, part = _mixtral(64).counts(), _mixtral(64, tp=4).counts()
    assert part.bytes[read("weight")] == pytest.approx(whole.bytes[read("weight")] / 4)
    assert part.flops[tensor("bfloat16")] == pytest.approx(whole.flops[tensor("bfloat16")] / 4)


def test_balanced_expert_parallelism_divides_flops_and_activations_stay_within_the_tokens() -> None:
    whole, part = _mixtral(64, routing="balanced").counts(), _mixtral(64, ep=8, routing="balanced").counts()
    assert part.flops[tensor("bfloat16")] == pytest.approx(whole.flops[tensor("bfloat16")] / 8)
    assert part.bytes[read("activation")] <= 64 * 4096 * 2


def test_without_a_gate_there_are_two_matrices() -> None:
    gated, plain = _mixtral(64).counts(), _mixtral(64, gated=False).counts()
    assert plain.flops[tensor("bfloat16")] == pytest.approx(gated.flops[tensor("bfloat16")] * 2 / 3)
