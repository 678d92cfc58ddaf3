"""The decode attention form: positive, monotone, the same in floats and arrays, right in its limit."""

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.gpu.attention_decode import expected_s
from perfmodel.devices import load_device
from perfmodel.formats import find_cache_encoding
from perfmodel.ops import AttentionDecode

DEVICES = ("h100-sxm", "l40s", "b200", "mi300x", "v100-sxm-32gb")


def coefficients(device="", architecture="", backend="", dtype="bfloat16", timing="cuda_graph"):
    rules = load_calibration("attention_decode")
    return rules.coefficients(device=device, architecture=architecture, backend=backend, dtype=dtype, timing=timing)


def chip_of(name, **changes):
    from dataclasses import replace

    return replace(chip_facts(load_device(name)), **changes)


def operator(kv="bfloat16", **numbers):
    shape = {"batch": 16, "kv_tokens": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128, "window": 0}
    return AttentionDecode(**{**shape, **numbers}, cache=find_cache_encoding(kv))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kv", ["bfloat16", "fp8"])
def test_is_positive_for_the_smallest_shapes(device, kv):
    ones = dict.fromkeys(AttentionDecode.DOMAIN, 1)
    for window in (0, 1):
        t = expected_s(operator(kv, **{**ones, "window": window}), chip_of(device), coefficients())
        assert 1e-6 < t < 1e-3


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("kv", ["bfloat16", "fp8"])
def test_bandwidth_and_size_only_go_one_way(kv, warm):
    c = coefficients("h100-sxm", "hopper", "vllm")
    for growing in ("batch", "kv_tokens"):
        op = operator(kv, **{growing: 2.0 ** np.arange(11)})
        assert np.all(np.diff(expected_s(op, chip_of("h100-sxm"), c, warm)) >= 0)
    faster = chip_of("h100-sxm", memory_bandwidth_bytes_per_s=np.geomspace(1e11, 1e14, 20))
    assert np.all(np.diff(expected_s(operator(kv), faster, c, warm)) <= 0)


@pytest.mark.parametrize("kv", ["bfloat16", "fp8"])
def test_floats_and_arrays_agree(kv):
    rng = np.random.default_rng(0)
    c = coefficients("b200", "blackwell", "sglang")
    columns = {
        name: rng.integers(low, high + 1, 60).astype(float) for name, (low, high) in AttentionDecode.DOMAIN.items()
    }
    together = expected_s(operator(kv, **columns), chip_of("b200"), c)
    for i in range(60):
        one = operator(kv, **{name: float(values[i]) for name, values in columns.items()})
        assert expected_s(one, chip_of("b200"), c) == pytest.approx(together[i], rel=1e-12)


@pytest.mark.parametrize("kv_tokens", [1, 512, 65536])
def test_a_cold_cache_is_never_faster(kv_tokens):
    op, c = operator(kv_tokens=kv_tokens), coefficients()
    assert expected_s(op, chip_of("h100-sxm"), c, warm=False) >= expected_s(op, chip_of("h100-sxm"), c, warm=True)


@pytest.mark.parametrize("backend", ["vllm", "trtllm", "sglang", ""])
def test_a_large_cache_is_read_near_the_bandwidth(backend):
    op, chip = operator(batch=64, kv_tokens=131072), chip_of("h100-sxm")
    ideal = 2 * 64 * 131072 * 8 * 128 * 2 / chip.memory_bandwidth_bytes_per_s
    assert ideal < expected_s(op, chip, coefficients("h100-sxm", "hopper", backend)) < 1.5 * ideal


def test_a_window_saves_time():
    c, chip = coefficients(), chip_of("h100-sxm")
    assert expected_s(operator(kv_tokens=65536, window=128), chip, c) < 0.3 * expected_s(
        operator(kv_tokens=65536), chip, c
    )
