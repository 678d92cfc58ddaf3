"""The row-wise form: positive, monotone, the same in floats and arrays, and its limits."""

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu.elementwise import expected_s
from perfmodel.devices import load_device
from perfmodel.formats import find_format
from perfmodel.ops.elementwise import Activation, Add, Embedding, GatedActivation, Quantise, RmsNorm, Rope, Softmax

SHAPES = [(1, 16), (1, 8192), (3000, 4096), (65536, 65536)]
PLAIN = {
    "launch_us": 2.0, "next_kernel_us": 2.0, "passes": 1.0, "next_kernel_bytes": 4.0, "memory_efficiency": 0.9,
    "fabric_bytes_per_clock": 20.0, "cache_share": 0.5, "row_clocks": 0.2,
}  # fmt: skip


def coefficients(chip: ChipFacts, op: str) -> dict[str, float]:
    situation = {"device": chip.name, "architecture": chip.architecture, "vendor": chip.vendor, "kind": chip.kind}
    situation |= {"op": op, "backend": "", "dtype": "bfloat16", "timing": "cuda_graph"}
    return dict(load_calibration("elementwise").coefficients(**situation))


@pytest.mark.parametrize("device", ["a100-sxm-80gb", "gb300", "a40", "mi300x", "tpu-v6e"])
@pytest.mark.parametrize("kind", [RmsNorm, Activation, GatedActivation, Add, Softmax, Rope, Embedding])
def test_positive_and_monotone(device: str, kind: type) -> None:
    chip = chip_facts(load_device(device))
    c = coefficients(chip, kind.KIND)
    wide = replace(chip, memory_bandwidth_bytes_per_s=2 * chip.memory_bandwidth_bytes_per_s)
    for rows, cols in SHAPES:
        time = expected_s(kind(rows, cols), chip, c)
        assert 0 < time < 10
        assert expected_s(kind(rows, cols), wide, c) <= time
        assert expected_s(kind(rows, cols), chip, c, warm=False) >= time
        assert expected_s(kind(rows, cols), chip, c, kernels=2) > time
        assert expected_s(kind(4 * rows, 4 * cols), chip, c) > time


def test_floats_equal_arrays() -> None:
    chip = chip_facts(load_device("b200"))
    c = coefficients(chip, "quantise")
    rows, cols = (np.array(column, dtype=float) for column in zip(*SHAPES, strict=True))
    encoding = find_format("fp8_block").activation
    floats = [expected_s(Quantise(*shape, encoding), chip, c) for shape in SHAPES]
    np.testing.assert_allclose(expected_s(Quantise(rows, cols, encoding), chip, c), floats, rtol=1e-12)


def test_large_operands_tend_to_the_memory_time() -> None:
    chip = chip_facts(load_device("h100-sxm"))
    ideal = 3 * 2.0 * 65536 * 65536 / (0.9 * chip.memory_bandwidth_bytes_per_s)
    assert expected_s(Add(65536, 65536), chip, PLAIN) == pytest.approx(ideal, rel=0.01)
