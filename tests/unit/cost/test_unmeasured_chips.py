"""What chips that were never measured as kernels get: by lanes, by power, by what feeds their cores."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu import gemm
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import bound_of, expected_s
from perfmodel.devices import load_device
from perfmodel.fitting.gemm import BY_REASON
from perfmodel.formats import find_format, runnable_format
from perfmodel.ops import AttentionDecode, Linear
from perfmodel.specs import load_calibration_mapping


def chip_of(name: str) -> ChipFacts:
    return chip_facts(load_device(name))


def product_s(chip: ChipFacts, m: float, n: float = 8192, k: float = 8192) -> float:
    return expected_s(Linear(m, n, k, runnable_format("bfloat16", frozenset(chip.peaks))), Machine(chip))


@pytest.mark.parametrize(
    ("device", "lanes"),
    [("core-i9-13900k", 1.0), ("raspberry-pi-5", 1.0), ("apple-m5-max", 1.0), ("gtx-1080-ti", 1.0), ("xeon-8480", 0.0),
     ("rtx-3090", 0.0), ("h100-sxm", 0.0), ("rk3588", 0.0), ("tpu-v5e", 0.0)],
)  # fmt: skip
def test_lanes_are_told_from_matrix_units(device: str, lanes: float) -> None:
    assert chip_of(device).lanes == lanes


@pytest.mark.parametrize("device", ["core-i9-13900k", "raspberry-pi-5", "apple-m2-ultra"])
def test_one_row_on_lanes_is_bound_by_memory(device: str) -> None:
    chip = chip_of(device)
    least = 2 * 8192 * 8192 / chip.memory_bandwidth_bytes_per_s
    assert product_s(chip, 1) < 1.35 * least
    assert product_s(replace(chip, lanes=0.0), 1) > product_s(chip, 1)


def test_more_rows_on_lanes_never_take_less() -> None:
    chip = chip_of("raspberry-pi-5")
    times = [product_s(chip, m) for m in range(1, 140)]
    assert all(after >= before * (1 - 1e-9) for before, after in pairwise(times))


def test_lanes_as_an_array_give_each_chip_its_own() -> None:
    chip = chip_of("apple-m2-ultra")
    both = replace(chip, lanes=np.array([0.0, 1.0]))
    expected = [product_s(replace(chip, lanes=value), 5) for value in (0.0, 1.0)]
    assert np.allclose(product_s(both, 5), expected)


@pytest.mark.parametrize(("power_w", "share"), [(1000.0, 1.0), (500.0, 1.0), (250.0, 0.5**0.5), (125.0, 0.5)])
def test_the_clock_falls_with_the_root_of_the_missing_power(power_w: float, share: float) -> None:
    chip = replace(chip_of("h100-sxm"), peaks={"bfloat16": 500e12}, power_w=power_w)
    assert gemm.clock_held(chip, {"tflops_per_w": 1.0}) == pytest.approx(share)
    assert gemm.clock_held(replace(chip, power_w=None), {"tflops_per_w": 1.0}) == 1.0


@pytest.mark.parametrize("device", ["a100-pcie-80gb", "a100-sxm-80gb", "h100-sxm", "l40s", "b200", "mi210"])
def test_no_measured_board_is_slowed_by_its_power(device: str) -> None:
    chip = chip_of(device)
    assert gemm.clock_held(chip, Machine(chip).coefficients("gemm", "gemm", "bfloat16")) == 1.0


@pytest.mark.parametrize(
    ("device", "published"),
    [("gaudi2", 0.97), ("gaudi3", 0.74), ("mi300x", 0.51), ("mi325x", 0.60), ("mi355x", 0.68), ("l4", 0.49)],
)
def test_large_products_reach_the_published_share_of_the_peak(device: str, published: float) -> None:
    """mamf-finder (ml-engineering); L4: github.com/zzc0721/torch-performance-test-data issue 120, at 8192."""
    chip = chip_of(device)
    assert 2 * 8192**3 / product_s(chip, 8192) / chip.peaks["bfloat16"] == pytest.approx(published, rel=0.12)


def test_a_lower_power_limit_slows_large_products_but_not_one_row() -> None:
    chip = chip_of("h100-pcie")
    strong = replace(chip, power_w=700.0)
    assert product_s(chip, 8192) > 1.15 * product_s(strong, 8192)
    assert product_s(chip, 1) == pytest.approx(product_s(strong, 1), rel=0.01)


def test_rubin_gets_the_coefficients_but_not_the_certainty_of_its_predecessor() -> None:
    rubin = Machine(chip_of("rubin"))
    like = Machine(replace(rubin.chip, architecture="blackwell"))
    for name in ("gemm", "attention_decode"):
        assert rubin.coefficients(name, name, "bfloat16") == like.coefficients(name, name, "bfloat16")
    assert rubin.band("gemm", "gemm", "bfloat16").p10 < like.band("gemm", "gemm", "bfloat16").p10


@pytest.mark.parametrize("device", ["tpu-v5e", "gaudi2", "ascend-910b", "trainium2", "rubin", "b300"])
def test_a_long_cache_is_read_at_half_the_bandwidth_or_faster(device: str) -> None:
    chip, op = chip_of(device), AttentionDecode(64, 32768, 32, 8, 128)
    assert expected_s(op, Machine(chip)) < 2.0 * bound_of(op, Machine(chip)).memory_s


def test_integer_products_of_ggml_weights_lower_the_bound_where_they_are_faster() -> None:
    machine = Machine(chip_of("rtx-5080"))
    ours, marlin = (bound_of(Linear(4096, 8192, 8192, find_format(name)), machine) for name in ("q4_0", "int4_wo"))
    assert ours.compute_s < 0.6 * marlin.compute_s
    slow = Machine(replace(machine.chip, peaks={**machine.chip.peaks, "int8": 1e12}))
    assert bound_of(Linear(4096, 8192, 8192, find_format("q4_0")), slow).compute_s == pytest.approx(marlin.compute_s)


def test_the_calibration_file_ends_with_the_rules_by_reason() -> None:
    rules = load_calibration_mapping("gemm")[0]["rules"]
    assert rules[-len(BY_REASON) :] == BY_REASON
