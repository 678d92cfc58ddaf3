"""The prefill attention form: positive, monotone, the same in floats and arrays, right in its limit."""

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.gpu.attention_prefill import expected_s
from perfmodel.devices import load_device
from perfmodel.formats import find_cache_encoding
from perfmodel.ops import AttentionPrefill

DEVICES = ("h100-sxm", "l40s", "b200", "mi300x", "v100-sxm-32gb")
CASES = [
    (True, "bfloat16", "bfloat16"),
    (True, "bfloat16", "fp8"),
    (True, "fp8", "fp8"),
    (False, "bfloat16", "bfloat16"),
]


def coefficients(device="", architecture="", backend="", dtype="bfloat16", timing="cuda_graph"):
    rules = load_calibration("attention_prefill")
    return rules.coefficients(device=device, architecture=architecture, backend=backend, dtype=dtype, timing=timing)


def chip_of(name, **changes):
    from dataclasses import replace

    return replace(chip_facts(load_device(name)), **changes)


def operator(causal=True, dtype="bfloat16", kv="bfloat16", **numbers):
    shape = {"batch": 2, "q_tokens": 512, "kv_tokens": 512, "heads": 32, "kv_heads": 8, "head_dim": 128, "window": 0}
    return AttentionPrefill(**{**shape, **numbers}, causal=causal, dtype=dtype, cache=find_cache_encoding(kv))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("causal", "dtype", "kv"), CASES)
def test_is_positive_for_the_smallest_shapes(device, causal, dtype, kv):
    ones = dict.fromkeys(AttentionPrefill.DOMAIN, 1)
    for window in (0, 1):
        t = expected_s(
            operator(causal, dtype, kv, **{**ones, "window": window}), chip_of(device), coefficients(dtype=dtype)
        )
        assert 1e-6 < t < 1e-3


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(("causal", "dtype", "kv"), CASES)
def test_bandwidth_and_size_only_go_one_way(causal, dtype, kv, warm):
    c = coefficients("h100-sxm", "hopper", "vllm", dtype)
    op = operator(causal, dtype, kv, batch=np.array([1.0, 2, 4, 8, 16, 64]), q_tokens=2048, kv_tokens=4096)
    assert np.all(np.diff(expected_s(op, chip_of("h100-sxm"), c, warm)) >= 0)
    faster = chip_of("h100-sxm", memory_bandwidth_bytes_per_s=np.geomspace(1e11, 1e14, 20))
    assert np.all(np.diff(expected_s(operator(causal, dtype, kv), faster, c, warm)) <= 0)


@pytest.mark.parametrize(("causal", "dtype", "kv"), CASES)
def test_floats_and_arrays_agree(causal, dtype, kv):
    rng = np.random.default_rng(0)
    c = coefficients("b200", "blackwell", "sglang", dtype)
    columns = {
        name: rng.integers(low, high + 1, 60).astype(float) for name, (low, high) in AttentionPrefill.DOMAIN.items()
    }
    together = expected_s(operator(causal, dtype, kv, **columns), chip_of("b200"), c)
    for i in range(60):
        one = operator(causal, dtype, kv, **{name: float(values[i]) for name, values in columns.items()})
        assert expected_s(one, chip_of("b200"), c) == pytest.approx(together[i], rel=1e-12)


@pytest.mark.parametrize("q_tokens", [1, 128, 4096])
def test_a_cold_cache_is_never_faster(q_tokens):
    op = operator(q_tokens=q_tokens, kv_tokens=16384)
    c = coefficients()
    assert expected_s(op, chip_of("h100-sxm"), c, warm=False) >= expected_s(op, chip_of("h100-sxm"), c, warm=True)


def test_a_long_prompt_tends_to_flops_over_the_attained_peak_and_its_softmax():
    chip = chip_of("h100-sxm")
    c = {**coefficients(), "reread": 0.0}  # keys and values that the cache keeps
    tokens = 1 << 20
    op = operator(q_tokens=tokens, kv_tokens=tokens)
    scores = 2 * 32 * tokens**2 / 2 * (128 + c["causal_thin_rows"]) / 128
    products_s = 4 * 128 * scores / (c["causal_efficiency"] * chip.peaks["bfloat16"])
    softmax_s = scores * c["softmax_clk"] / (chip.clock_hz * chip.core_count)
    assert expected_s(op, chip, c) == pytest.approx(products_s + softmax_s, rel=0.05)


def test_a_window_and_a_mask_save_time():
    c, chip = coefficients(), chip_of("h100-sxm")
    full = expected_s(operator(q_tokens=16384, kv_tokens=16384), chip, c)
    assert expected_s(operator(q_tokens=16384, kv_tokens=16384, window=128), chip, c) < 0.3 * full
