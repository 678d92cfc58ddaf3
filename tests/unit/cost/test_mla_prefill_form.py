"""The MLA prefill form: positive, monotone, the same with floats and arrays, and its limit for long prompts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu.mla_prefill import expected_s
from perfmodel.devices import load_device
from perfmodel.formats import BFLOAT16, FP8
from perfmodel.ops import MlaPrefill

DEEPSEEK = MlaPrefill(1, 4096, 4096, 128, 512, 64, 128, 128)


def chip(name: str = "h100-sxm") -> ChipFacts:
    return chip_facts(load_device(name))


def coefficients(device: str = "h100-sxm", architecture: str = "hopper", backend: str = "trtllm") -> dict[str, float]:
    return dict(load_calibration("mla_prefill").coefficients(device=device, architecture=architecture, backend=backend))


@pytest.mark.parametrize("cache", [BFLOAT16, FP8])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 4096, 16), (128, 512, 8192, 128)])
def test_is_positive_and_finite(shape: tuple[int, ...], cache: object) -> None:
    batch, q, kv, heads = shape
    op = dataclasses.replace(DEEPSEEK, batch=batch, q_tokens=q, kv_tokens=kv, heads=heads, cache=cache)
    for architecture in ("hopper", "unheard-of"):
        time = expected_s(op, chip(), coefficients("", architecture, ""))
        assert 0 < time < 10
        assert expected_s(op, chip(), coefficients("", architecture, ""), warm=False) >= time


@pytest.mark.parametrize("field", ["batch", "q_tokens", "kv_tokens", "heads"])
def test_never_falls_with_size(field: str) -> None:
    sizes = np.arange(1, 400)
    base = dataclasses.replace(DEEPSEEK, q_tokens=1 if field == "kv_tokens" else 64, kv_tokens=512)
    if field == "q_tokens":
        base = dataclasses.replace(base, kv_tokens=sizes.astype(float))
    times = expected_s(dataclasses.replace(base, **{field: sizes.astype(float)}), chip(), coefficients())
    assert (np.diff(times) >= -1e-12).all()


def test_more_bandwidth_is_never_slower() -> None:
    bandwidths = np.geomspace(1e10, 1e14, 50)
    facts = dataclasses.replace(chip(), memory_bandwidth_bytes_per_s=bandwidths)
    assert (np.diff(expected_s(DEEPSEEK, facts, coefficients(), warm=False)) <= 0).all()


def test_floats_equal_arrays() -> None:
    lengths = [1, 15, 16, 17, 1000, 4096]
    together = expected_s(dataclasses.replace(DEEPSEEK, q_tokens=np.array(lengths, float)), chip(), coefficients())
    for length, time in zip(lengths, together, strict=True):
        one = expected_s(dataclasses.replace(DEEPSEEK, q_tokens=length), chip(), coefficients())
        assert one == pytest.approx(time, rel=1e-12)


def test_a_long_prompt_takes_products_and_exponentials() -> None:
    tokens, facts, c = 1 << 20, chip(), coefficients()
    op = dataclasses.replace(DEEPSEEK, q_tokens=tokens, kv_tokens=tokens)
    products = 2 * 128 * tokens**2 / 2 * 320 / (c["compute_efficiency"] * facts.peak_flops_per_s("bfloat16"))
    exponentials = 128 * tokens**2 / 2 * c["exp_share"] / (16 * facts.clock_hz * facts.core_count)
    assert expected_s(op, facts, c) == pytest.approx(products + exponentials, rel=0.01)
