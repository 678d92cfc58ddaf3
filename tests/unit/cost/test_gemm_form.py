"""The GEMM form: positive, monotone, the same in floats and arrays, and its limits."""

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu.gemm import expected_s
from perfmodel.devices import load_device
from perfmodel.formats import runnable_format
from perfmodel.ops.linear import Linear

PLAIN = {
    "launch_us": 2.0, "math_efficiency": 0.8, "step_clocks": 2.0, "prologue_k": 100.0, "memory_efficiency": 0.85,
    "fabric_bytes_per_clock": 15.0, "cache_share": 0.5, "weight_copies": 5.0, "split_us": 3.0, "throttle": 0.0,
    "heat_ms": 2.0, "quantise_us": 2.0, "quantise_passes": 1.5, "quantise_row_ns": 1.0, "single_row_us": 0.1,
    "unaligned_rows_us": 0.1, "unaligned_block_us": 0.1, "host_us": 0.3, "tflops_per_w": 1e3,
}  # fmt: skip
SHAPES = [(1, 1, 16), (1, 4096, 4096), (7, 64, 65536), (128, 8192, 8192), (2048, 512, 100), (65536, 65536, 16)]
DEVICES = ["a100-sxm-80gb", "h200-sxm", "gb300", "l4", "a40", "rtx-pro-6000-server", "mi300x", "tpu-v6e"]
PRECISIONS = ["bfloat16", "fp8", "fp8_block", "nvfp4", "int8", "int4_wo"]


def coefficients(chip: ChipFacts, dtype: str, **more: str) -> dict[str, float]:
    situation = {"device": chip.name, "architecture": chip.architecture, "vendor": chip.vendor, "kind": chip.kind}
    situation |= {"backend": "", "dtype": dtype, "timing": "cuda_graph"} | more
    return dict(load_calibration("gemm").coefficients(**situation))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_positive_finite_and_never_slower_with_more_bandwidth(device: str, dtype: str) -> None:
    chip = chip_facts(load_device(device))
    op_format, c = runnable_format(dtype, frozenset(chip.peaks)), coefficients(chip, dtype)
    wide = replace(chip, memory_bandwidth_bytes_per_s=2 * chip.memory_bandwidth_bytes_per_s)
    for m, n, k in SHAPES:
        op = Linear(m, n, k, op_format, quantises_input=True)
        time = expected_s(op, chip, c)
        assert 0 < time < 10
        assert expected_s(op, wide, c) <= time
        assert expected_s(op, chip, c, warm=False) >= time


@pytest.mark.parametrize("backend", ["", "trtllm", "vllm", "sglang"])
def test_a_larger_product_is_not_faster(backend: str) -> None:
    chip = chip_facts(load_device("h100-sxm"))
    c = coefficients(chip, "bfloat16", backend=backend)
    op_format = runnable_format("bfloat16", frozenset(chip.peaks))
    for m, n, k in SHAPES:
        least = expected_s(Linear(m, n, k, op_format), chip, c)
        assert expected_s(Linear(8 * m, 8 * n, 8 * k, op_format), chip, c) > least


def test_floats_equal_arrays() -> None:
    chip = chip_facts(load_device("b200"))
    op_format, c = runnable_format("fp8_block", frozenset(chip.peaks)), coefficients(chip, "fp8_block")
    m, n, k = (np.array(column, dtype=float) for column in zip(*SHAPES, strict=True))
    arrays = expected_s(Linear(m, n, k, op_format, True), chip, c)
    floats = [expected_s(Linear(*shape, op_format, True), chip, c) for shape in SHAPES]
    np.testing.assert_allclose(arrays, floats, rtol=1e-12)


def test_large_products_tend_to_the_attainable_peak() -> None:
    chip = chip_facts(load_device("h100-sxm"))
    op = Linear(132 * 1024, 132 * 1024, 65536, runnable_format("bfloat16", frozenset(chip.peaks)))
    ideal = 2.0 * op.m * op.n * op.k / (0.8 * chip.peak_flops_per_s("bfloat16"))
    assert expected_s(op, chip, PLAIN) == pytest.approx(ideal, rel=0.02)


def test_one_row_of_cold_weights_tends_to_the_memory_time() -> None:
    chip = chip_facts(load_device("h100-sxm"))
    op = Linear(1, 131072, 65536, runnable_format("bfloat16", frozenset(chip.peaks)))
    ideal = 2.0 * 131072 * 65536 / (0.85 * chip.memory_bandwidth_bytes_per_s)
    assert expected_s(op, chip, PLAIN, warm=False) == pytest.approx(ideal, rel=0.05)


def test_quantising_the_input_costs_time_and_weight_only_formats_do_not_pay_it() -> None:
    chip = chip_facts(load_device("h100-sxm"))
    for dtype, costs in (("fp8", True), ("int4_wo", False)):
        op_format = runnable_format(dtype, frozenset(chip.peaks))
        plain, quantised = (expected_s(Linear(64, 4096, 4096, op_format, q), chip, PLAIN) for q in (False, True))
        assert (quantised > plain) is costs
