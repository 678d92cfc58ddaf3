"""The MLA decode form: positive, monotone, the same with floats and arrays, and its limit for long contexts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu.mla_decode import expected_s
from perfmodel.devices import load_device
from perfmodel.formats import BFLOAT16, FP8
from perfmodel.ops import MlaDecode

DEEPSEEK = MlaDecode(32, 1, 4096, 16, 512, 64)


def chip(name: str = "h100-sxm") -> ChipFacts:
    return chip_facts(load_device(name))


def coefficients(device: str = "h100-sxm", architecture: str = "hopper", backend: str = "trtllm") -> dict[str, float]:
    return dict(load_calibration("mla_decode").coefficients(device=device, architecture=architecture, backend=backend))


@pytest.mark.parametrize("cache", [BFLOAT16, FP8])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 4, 131072, 16), (512, 1, 8192, 128)])
def test_is_positive_and_finite(shape: tuple[int, ...], cache: object) -> None:
    batch, q, kv, heads = shape
    op = dataclasses.replace(DEEPSEEK, batch=batch, q_tokens=q, kv_tokens=kv, heads=heads, cache=cache)
    for architecture in ("hopper", "blackwell", "unheard-of"):
        time = expected_s(op, chip(), coefficients("", architecture, ""))
        assert 0 < time < 10
        assert expected_s(op, chip(), coefficients("", architecture, ""), warm=False) >= time


@pytest.mark.parametrize("field", ["batch", "kv_tokens", "heads"])
@pytest.mark.parametrize("batch", [1, 40])
def test_never_falls_with_size(field: str, batch: int) -> None:
    sizes = np.arange(1, 129 if field == "heads" else 2000)
    op = dataclasses.replace(DEEPSEEK, **{"batch": batch, "kv_tokens": 512, field: sizes.astype(float)})
    times = expected_s(op, chip(), coefficients())
    assert (np.diff(times) >= -1e-12).all()


def test_more_bandwidth_is_never_slower() -> None:
    facts = dataclasses.replace(chip(), memory_bandwidth_bytes_per_s=np.geomspace(1e10, 1e14, 50))
    assert (np.diff(expected_s(DEEPSEEK, facts, coefficients(), warm=False)) <= 0).all()


def test_floats_equal_arrays() -> None:
    batches = [1, 7, 132, 133, 1024]
    together = expected_s(dataclasses.replace(DEEPSEEK, batch=np.array(batches, float)), chip(), coefficients())
    for batch, time in zip(batches, together, strict=True):
        one = expected_s(dataclasses.replace(DEEPSEEK, batch=batch), chip(), coefficients())
        assert one == pytest.approx(time, rel=1e-12)


def test_a_long_context_of_few_heads_reads_the_cache() -> None:
    facts, c = chip(), coefficients()
    op = dataclasses.replace(DEEPSEEK, batch=512, kv_tokens=1 << 20, heads=1)
    read = 512 * (1 << 20) * 576 * 2 / (c["memory_efficiency"] * facts.memory_bandwidth_bytes_per_s)
    assert read <= expected_s(op, facts, c) <= 1.2 * read
