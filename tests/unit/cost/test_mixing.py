"""Several engines in one device: who runs an operator, and what they take together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.cost.machine import Machine, machine_for
from perfmodel.cost.mixing import intensity, together_s
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import Device
from perfmodel.devices.model import Mix
from perfmodel.formats import find_format
from perfmodel.ops import Linear, RmsNorm
from tests.property.test_engines import device_with

FAST = {"name": "fast", "form": "roofline", "peaks": {"bfloat16": "300 TFLOP/s"}, "vector": "10 TFLOP/s",
        "bandwidth": "1 TB/s"}  # fmt: skip
WIDE = {"name": "wide", "form": "roofline", "peaks": {"bfloat16": "10 TFLOP/s"}, "vector": "1 TFLOP/s",
        "bandwidth": "4 TB/s"}  # fmt: skip
SMALL = Linear(1.0, 8192.0, 8192.0, find_format("bf16"))
LARGE = Linear(4096.0, 8192.0, 8192.0, find_format("bf16"))


def machine(policy: str = "time", *, shared: bool = False) -> Machine:
    blocks = [{k: v for k, v in b.items() if not (shared and k == "bandwidth")} for b in (FAST, WIDE)]
    device: Device = device_with(*blocks)
    return replace(machine_for(device), mix=Mix(policy, 8.0))


def alone(op: Linear | RmsNorm, policy: str = "time") -> list[float]:
    m = machine(policy)
    return [operator_cost(op, replace(m, engines=(engine,))).expected_s for engine in m.engines]


@pytest.mark.parametrize(("op", "which"), [(SMALL, 1), (LARGE, 0)])
@pytest.mark.parametrize("policy", ["time", "intensity"])
def test_products_of_vectors_go_to_the_wide_memory_and_of_matrices_to_the_fast_array(
    op: Linear, which: int, policy: str
) -> None:
    times = alone(op)
    assert min(times) == times[which]
    assert operator_cost(op, machine(policy)).expected_s == times[which]


def test_intensity_is_operations_a_byte() -> None:
    assert intensity(SMALL) == pytest.approx(1.0, rel=0.01)
    assert intensity(LARGE) > 1000


def test_engines_that_share_an_operator_add_their_rates() -> None:
    a, b = alone(SMALL)
    cost = operator_cost(SMALL, machine("split"))
    assert cost.expected_s == pytest.approx(1 / (1 / a + 1 / b))
    assert cost.bound_s < min(a, b)
    assert operator_cost(RmsNorm(8.0, 8192.0), machine("split")).expected_s == min(alone(RmsNorm(8.0, 8192.0)))


def test_together_they_finish_at_once_after_their_starts() -> None:
    """1 + 2x and 3 + 4(1 - x) meet at x = 1: the second has no time to begin before the first is done."""
    assert together_s([3.0, 7.0], [1.0, 3.0]) == pytest.approx(3.0)
    assert together_s([2.0, 2.0], [0.0, 0.0]) == pytest.approx(1.0)


def test_a_memory_that_both_draw_on_is_no_faster_for_two() -> None:
    m = machine("split", shared=True)
    read = SMALL.n * SMALL.k * 2 / m.chip.memory_bandwidth_bytes_per_s
    assert operator_cost(SMALL, m).expected_s >= read


def test_an_engine_takes_only_the_operators_that_it_is_left() -> None:
    m = machine_for(device_with(FAST, {**WIDE, "operators": ["rmsnorm"]}))
    assert operator_cost(SMALL, m).expected_s == alone(SMALL)[0]
