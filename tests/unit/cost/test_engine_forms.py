"""Single engines against arithmetic by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import perfmodel as pm
from perfmodel.cost.engines.dataflow import Dataflow
from perfmodel.cost.engines.mesh import Mesh
from perfmodel.cost.engines.simd import Simd
from perfmodel.cost.machine import Machine, machine_for
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.formats import find_format
from perfmodel.ops import Activation, AllReduce, Fused, Linear
from tests.property.test_engines import device_with


def machine(**block: Any) -> Machine:
    return machine_for(device_with({"name": "it", **block}))


def seconds(m: Machine, op: Any) -> float:
    return operator_cost(op, m).expected_s


def linear(m: float, n: float, k: float, name: str = "bf16") -> Linear:
    return Linear(m, n, k, find_format(name))


def test_a_reduction_over_a_line_of_cores() -> None:
    """100 cores, two levels of ten: the hops of the line, twenty stages, and the sum on its way back."""
    mesh = Mesh(100.0, 100.0, 4e9, 1e-9, 10e-9, depth=2.0)
    assert mesh.reduced_s(400.0, 100.0) == pytest.approx(100e-9 + 20 * (10e-9 + 100e-9) + 100e-9)
    assert mesh.reduced_s(4.0, 400.0) > replace(mesh, depth=1.0).reduced_s(4.0, 4.0)


def test_a_deep_tree_beats_a_chain_on_a_long_line() -> None:
    mesh = Mesh(900.0, 900.0, 4e9, 1e-9, 10e-9, depth=2.0)
    assert mesh.reduced_s(4.0, 900.0) < 0.2 * replace(mesh, depth=1.0).reduced_s(4.0, 900.0)


def test_matrices_shift_and_vectors_stay_on_a_mesh() -> None:
    m = machine(form="mesh", rows=64, columns=64, link="4 GB/s", hop="1 ns", stage="10 ns")
    m = replace(m, chip=replace(m.chip, memory_bandwidth_bytes_per_s=1e15))  # all SRAM together
    ((_, mesh),) = m.engines
    assert isinstance(mesh, Mesh)
    small, large = linear(1, 4096, 4096), linear(4096, 4096, 4096)
    assert mesh._stationary_s(small, m.chip) < mesh._shifted_s(small, m.chip)
    assert mesh._shifted_s(large, m.chip) < mesh._stationary_s(large, m.chip)
    least = 2 * 4096.0**3 / (0.7 * 256e12)
    assert least <= seconds(m, large) < 2.5 * least


def test_a_tree_needs_routes() -> None:
    with pytest.raises(InputError, match="needs 5 routes"):
        machine(form="mesh", rows=8, columns=8, link="4 GB/s", hop="1 ns", stage="10 ns", depth=4, routes=4)


def test_tiles_fill_with_rows() -> None:
    """One row of sixteen takes as long as sixteen on the tiles; the vector units do it sooner."""
    m = machine(form="simd", vector={"float32": 32, "bfloat16": 64}, matrix={"bfloat16": 2048}, memory_efficiency=1)
    ((_, simd),) = m.engines
    assert isinstance(simd, Simd)
    one, sixteen = (simd._math_s(linear(rows, 4096, 4096)) for rows in (1, 16))
    assert sixteen == pytest.approx(2 * 16 * 4096**2 / (2048 * 64e9))
    assert one == pytest.approx(min(2 * 4096**2 / (64 * 64e9), sixteen))


def test_a_dtype_without_instructions_is_converted() -> None:
    native = machine(form="simd", vector={"float32": 64, "bfloat16": 64})
    emulated = machine(form="simd", vector={"float32": 64})
    op = linear(512, 4096, 4096)
    assert seconds(emulated, op) > seconds(native, op)
    packed = linear(512, 4096, 4096, "int4_wo")
    converted = 4096**2 * 2 / 64 * 4 / 64e9 / 0.6
    assert seconds(native, packed) == pytest.approx(seconds(native, op) + converted)


def test_the_slowest_stage_of_a_region_sets_its_pace() -> None:
    """Four units for work of 1 and 1: two each; for 5 and 1: three and, rounded up from less, one."""
    engine = Dataflow(frozenset({"bfloat16"}), 4.0)
    assert engine.slowest_s([1.0, 1.0]) == pytest.approx(2.0)
    assert engine.slowest_s([5.0, 1.0]) == pytest.approx(max(5.0 * 4 / 3, 1.0 * 4))
    assert replace(engine, units=1e6).slowest_s([5.0, 1.0]) == pytest.approx(6.0, rel=1e-4)


def test_bytes_cross_only_the_edges_of_a_region() -> None:
    m = machine(form="dataflow", units=1024, memory_efficiency=1)
    m = replace(m, chip=replace(m.chip, on_chip_bytes=0.0, memory_bandwidth_bytes_per_s=1e9))
    rows = Activation(1024.0, 4096.0)
    region = Fused(1.0, 1024.0 * 4096, 1024.0 * 4096, (rows, rows, rows))
    assert seconds(m, region) == pytest.approx(2 * 2 * 1024 * 4096 / 1e9)
    assert seconds(m, region) == pytest.approx(seconds(m, rows))


def test_channels_share_rows_unevenly() -> None:
    m = machine(form="fpga", dsps=9024, clock="300 MHz", products={"bfloat16": 0.5}, channels=32, streamed=1)
    even, odd = seconds(m, linear(1, 64, 65536)), seconds(m, linear(1, 65, 65536))
    assert odd == pytest.approx(even * 96 / 64, rel=0.02)


def test_links_take_rounds_and_bytes() -> None:
    m = machine(form="links", latency="1 us", efficiency=1)
    m = replace(m, link=machine_for(device_with({"name": "it", "form": "gpu"}), 4).link)
    op = AllReduce(4.0, 4e6)
    assert seconds(m, op) == pytest.approx(2e-6 + 2 * 3 / 4 * 4e6 / 100e9)


@pytest.mark.parametrize(
    ("device", "model", "plan", "tokens_per_s"),
    [
        ("wse-2", "llama-3-8b", {}, 2700.0),
        ("wse-3", "llama-3.1-8b", {}, 1837.0),
        ("wse-3", "llama-3.1-70b", {"pp": 4}, 445.0),
        ("sn40l", "llama-3.1-8b", {"tp": 16}, 1042.0),
    ],
)
def test_published_decode_speeds_are_within_a_factor_of_two_and_a_half(
    device: str, model: str, plan: dict[str, int], tokens_per_s: float
) -> None:
    """WaferLLM (arXiv:2502.04563v2); Artificial Analysis as quoted by SambaNova, 2024-09: services, not chips alone."""
    answer = pm.estimate(model, load_device(device), batch=1, input_tokens=1024, output_tokens=64, **plan).report()
    assert 1 / 2.5 < tokens_per_s * answer["tpot_s"]["expected"] < 2.5
