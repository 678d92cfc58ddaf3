"""The closed form of the fused expert operator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu.moe import expected_s
from perfmodel.formats import find_format
from perfmodel.ops.moe import Experts
from perfmodel.ops.routing import parse_routing

COEFFICIENTS = {
    "launch_us": 20.0, "host_us": 0.0, "matmul_efficiency": 0.6, "small_tile_loss": 0.05, "tail_waves": 0.9,
    "k_step_ns": 90.0, "memory_efficiency": 0.7, "cache_share": 0.4, "fabric_bytes_per_clock": 12.0,
    "hidden_passes": 3.0, "width_passes": 3.0, "global_passes": 0.5, "expert_ns": 20.0, "route_ps": 1.0,
    "token_ns": 5.0,
}  # fmt: skip
CHIP = ChipFacts(
    "h100-like", "nvidia", "gpu", "hopper", 132.0, 1.8e9, 80e9, 3.35e12, 50e6, 2,
    {"bfloat16": 989e12, "fp8": 1979e12}, 67e12,
)  # fmt: skip
ROUTINGS = ("uniform", "balanced", "power_law_1.01", "power_law_1.2")


def _experts(tokens: float = 64.0, routing: str = "uniform", dtype: str = "bfloat16", **numbers: float) -> Experts:
    op = Experts(tokens, 4096.0, 14336.0, 2.0, 8.0, 1.0, 1.0, find_format(dtype), parse_routing(routing))
    return dataclasses.replace(op, **numbers)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_positive_and_finite_for_shapes_of_one(routing: str) -> None:
    for topk, experts in ((1.0, 1.0), (1.0, 8.0), (8.0, 256.0)):
        op = _experts(1.0, routing, hidden=1.0, intermediate=1.0, topk=topk, experts=experts)
        time_s = expected_s(op, CHIP, COEFFICIENTS)
        assert np.isfinite(time_s)
        assert time_s > 0


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("tokens", [1.0, 64.0, 8192.0])
@pytest.mark.parametrize("warm", [True, False])
def test_never_slower_with_more_bandwidth(routing: str, tokens: float, warm: bool) -> None:
    faster = dataclasses.replace(CHIP, memory_bandwidth_bytes_per_s=2 * CHIP.memory_bandwidth_bytes_per_s)
    op = _experts(tokens, routing)
    assert expected_s(op, faster, COEFFICIENTS, warm) < expected_s(op, CHIP, COEFFICIENTS, warm)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_cold_weights_are_never_faster_and_more_tokens_or_width_take_longer(routing: str) -> None:
    for tokens in (1.0, 16.0, 256.0, 4096.0):
        op = _experts(tokens, routing, hidden=512.0, intermediate=512.0)
        assert expected_s(op, CHIP, COEFFICIENTS, False) >= expected_s(op, CHIP, COEFFICIENTS)
        assert expected_s(_experts(4 * tokens, routing), CHIP, COEFFICIENTS) > expected_s(
            _experts(tokens, routing), CHIP, COEFFICIENTS
        )
        wide = _experts(tokens, routing, intermediate=20000.0)
        assert expected_s(wide, CHIP, COEFFICIENTS) > expected_s(_experts(tokens, routing), CHIP, COEFFICIENTS)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_arrays_give_what_floats_give(routing: str) -> None:
    tokens, ep = np.array([1.0, 5.0, 300.0, 16384.0]), np.array([1.0, 2.0, 4.0, 8.0])
    together = expected_s(_experts(routing=routing).with_numbers(tokens=tokens, ep=ep), CHIP, COEFFICIENTS)  # type: ignore[arg-type]
    alone = [
        expected_s(_experts(float(t), routing, ep=float(e)), CHIP, COEFFICIENTS)
        for t, e in zip(tokens, ep, strict=True)
    ]
    assert together == pytest.approx(alone, rel=1e-12)


def test_many_tokens_tend_to_the_attainable_peak() -> None:
    tokens = 2.0**24
    bare = COEFFICIENTS | {
        "hidden_passes": 0.0,
        "width_passes": 0.0,
        "global_passes": 0.0,
        "token_ns": 0.0,
        "route_ps": 0.0,
    }
    flops = 2.0 * tokens * 2 * 3 * 4096 * 14336
    assert expected_s(_experts(tokens), CHIP, bare) == pytest.approx(flops / (0.6 * 989e12), rel=0.01)


def test_one_token_of_large_experts_tends_to_reading_two_of_them() -> None:
    time_s = expected_s(_experts(1.0, hidden=8192.0, intermediate=65536.0), CHIP, COEFFICIENTS, warm=False)
    read_s = 2 * 3 * 8192 * 65536 * 2 / (0.7 * 3.35e12)
    assert time_s == pytest.approx(read_s, rel=0.1)
