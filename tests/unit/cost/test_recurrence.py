"""The forms of convolutions and scans: positive, monotone, the same in floats and arrays, and worked by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.bounds import operator_bound
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu.recurrence import conv_s, scan_decode_s, scan_prefill_s
from perfmodel.devices import load_device
from perfmodel.ops.recurrence import CausalConv, ScanDecode, ScanPrefill

DEVICES = ["a100-sxm-80gb", "h100-sxm", "gb200", "l40s", "mi300x", "tpu-v6e"]
BACKENDS = ["", "trtllm", "vllm", "sglang"]
TOKENS = [1, 2, 3, 8, 9, 63, 64, 65, 1000, 1024, 1025, 32768]
SEQUENCES = [1, 2, 7, 64, 512]
PLAIN = {
    "launch_us": 2.0, "token_us": 0.5, "memory_efficiency": 0.8, "fabric_bytes_per_clock": 30.0, "cache_share": 1.0,
    "conv_tile": 8.0, "conv_token_clk": 1e-3, "conv_prefill_us": 1.0, "conv_state_passes": 1.0, "scan_chunk": 64.0,
    "scan_padding": 0.5, "scan_flops_per_clock": 500.0, "scan_serial": 0.0, "scan_walk_kclk": 5.0, "scan_passes": 1.0,
    "channel_launch": 2.0, "channel_work": 2.0, "channel_walk": 2.0, "channel_passes": 2.0, "vector_efficiency": 0.5,
    "step_checkpoint": 1.0,
}  # fmt: skip
CHIP = replace(
    chip_facts(load_device("h100-sxm")), core_count=100.0, clock_hz=1.8e9, memory_bandwidth_bytes_per_s=1e12,
    llc_bytes=1e6, llc_partitions=1, peaks={"bfloat16": 4096 * 100 * 1.8e9},
)  # fmt: skip
FORMS = {"conv": conv_s, "decay": scan_prefill_s, "gdn": scan_prefill_s, "kda": scan_prefill_s, "step": scan_decode_s}


def build(kind: str, sequences: Any, tokens: Any) -> Any:
    if kind == "conv":
        return CausalConv(sequences, tokens, 8192, 4)
    gates = 32 * 129 if kind == "kda" else 64
    rule = "decay" if kind == "decay" else "delta"
    return (ScanDecode if kind == "step" else ScanPrefill)(sequences, tokens, 32, 16, 128, 128, gates, rule)


def coefficients(chip: ChipFacts, op: str, backend: str) -> dict[str, float]:
    situation = {"device": chip.name, "architecture": chip.architecture, "vendor": chip.vendor, "kind": chip.kind}
    situation |= {"op": op, "backend": backend, "dtype": "bfloat16", "timing": "cuda_graph"}
    return dict(load_calibration("recurrence").coefficients(**situation))


def test_calibration_has_every_coefficient() -> None:
    assert set(coefficients(CHIP, "scan_prefill", "")) == set(PLAIN)
    assert load_calibration("recurrence").measured_devices >= {"h100-sxm", "b200", "l40s"}


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("device", DEVICES)
def test_positive_and_monotone(device: str, kind: str, warm: bool) -> None:
    chip = chip_facts(load_device(device))
    wide = replace(chip, memory_bandwidth_bytes_per_s=2 * chip.memory_bandwidth_bytes_per_s)
    for backend in BACKENDS:
        c = coefficients(chip, build(kind, 1, 1).KIND, backend)
        for sequences in SEQUENCES:
            times = [FORMS[kind](build(kind, sequences, tokens), chip, c, warm) for tokens in TOKENS]
            fast = [FORMS[kind](build(kind, sequences, tokens), wide, c, warm) for tokens in TOKENS]
            assert times == sorted(times)
            assert times[0] > 0
            assert times[-1] < 600
            assert all(f <= t for f, t in zip(fast, times, strict=True))
        for tokens in TOKENS:
            times = [FORMS[kind](build(kind, sequences, tokens), chip, c, warm) for sequences in SEQUENCES]
            assert times == sorted(times)


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("device", ["h100-sxm", "gb200", "l40s", "mi300x"])
def test_a_cold_step_is_not_below_the_bound(device: str, kind: str) -> None:
    chip = chip_facts(load_device(device))
    for backend in BACKENDS:
        c = coefficients(chip, build(kind, 1, 1).KIND, backend)
        for tokens in TOKENS:
            op = build(kind, 64, tokens)
            assert FORMS[kind](op, chip, c, False) >= operator_bound(op, op.counts(), chip, None, False).time_s


@pytest.mark.parametrize("kind", FORMS)
def test_floats_equal_arrays(kind: str) -> None:
    chip = chip_facts(load_device("b200"))
    c = coefficients(chip, build(kind, 1, 1).KIND, "vllm")
    floats = [FORMS[kind](build(kind, 4, tokens), chip, c) for tokens in TOKENS]
    arrays = FORMS[kind](build(kind, 4, np.array(TOKENS, dtype=float)), chip, c)
    np.testing.assert_allclose(arrays, floats, rtol=1e-12)


def test_a_convolution_by_hand() -> None:
    # 8 sequences of 1024 tokens over 1000 channels: 16.384 MB in, as much out, 48 kB of state each way, 8 kB weights
    moved = 2 * 8 * 1024 * 1000 * 2 + 2 * 8 * 1000 * 3 * 2 + 1000 * 4 * 2
    assert conv_s(CausalConv(8, 1024, 1000, 4), CHIP, PLAIN) == pytest.approx(6.5e-6 + moved / 0.8e12)
    # one token: no prefill kernel, 136 kB that the cache holds, at 30 bytes a clock of 100 cores
    moved = 2 * 8 * 1000 * 2 + 2 * 8 * 1000 * 3 * 2 + 1000 * 4 * 2
    assert conv_s(CausalConv(8, 1, 1000, 4), CHIP, PLAIN) == pytest.approx(2e-6 + moved / (30 * 100 * 1.8e9))


def test_a_scan_by_hand() -> None:
    # 4 sequences of 96 tokens, 8 heads of 128 x 128: two chunks, of which half the second is padding at half price
    op = ScanPrefill(4, 96, 8, 8, 128, 128, 16, "delta")
    tokens = 4 * (0.5 * 128 + 0.5 * 96)
    work = tokens * 8 * (6 * 128 * 128 + 2 * 64 * 256) / (500 * 100 * 1.8e9)
    state = 2 * 4 * 8 * 128 * 128 * 4
    traffic = (4 * 96 * (4 * 8 * 256 + 2 * 16) + state) / 0.8e12
    walk = 2 * 5e3 / 1.8e9
    start = 2e-6 + 63 * 0.5e-6
    assert scan_prefill_s(op, CHIP, PLAIN) == pytest.approx(start + traffic + work + walk)


def test_a_step_by_hand() -> None:
    # 16 sequences, 8 heads: 8.4 MB of state read and written, and 3 more for as many drafts after the first token
    state = 16 * 8 * 128 * 128 * 4
    operands = 16 * 2 * (2 * 8 * 128 + 2 * 8 * 128 + 16)
    one, four = (ScanDecode(16, tokens, 8, 8, 128, 128, 16, "delta") for tokens in (1, 4))
    assert scan_decode_s(one, CHIP, PLAIN) == pytest.approx(2e-6 + (2 * state + operands) / 0.8e12)
    assert scan_decode_s(four, CHIP, PLAIN) == pytest.approx(3.5e-6 + (5 * state + 4 * operands) / 0.8e12)


def test_few_heads_walk_and_many_work() -> None:
    serial = PLAIN | {"scan_serial": 1.0}
    one, two, many = (build("gdn", sequences, 65536) for sequences in (1 / 32, 1 / 16, 64))
    assert scan_prefill_s(two, CHIP, serial) < 1.05 * scan_prefill_s(one, CHIP, serial)
    double = replace(many, sequences=128)
    assert scan_prefill_s(double, CHIP, serial) == pytest.approx(2 * scan_prefill_s(many, CHIP, serial), rel=0.02)


def test_rule_element_uses_the_vector_units() -> None:
    # 9 flops an element on half the vector peak, at a chunk without padding
    op = ScanPrefill(4, 64, 4096, 1, 16, 1, 4096, "element")
    slow = replace(CHIP, vector_flops_per_s=CHIP.vector_flops_per_s / 2)
    work = 9 * 4 * 64 * 4096 * 16 / (0.5 * CHIP.vector_flops_per_s)
    assert scan_prefill_s(op, slow, PLAIN) - scan_prefill_s(op, CHIP, PLAIN) == pytest.approx(work)
