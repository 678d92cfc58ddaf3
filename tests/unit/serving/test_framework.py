"""What a framework adds to kernels."""

from __future__ import annotations

import pytest

from perfmodel.calibration import Band
from perfmodel.cost.bounds import Bound
from perfmodel.serving.framework import Framework, banded, load_framework
from perfmodel.serving.timed import StepTime, Time

KERNELS = Time(1.0, 2.0, 1.5, 3.0)
COEFFICIENTS = {"decode_stretch": 1.5, "decode_host_us": 250_000.0, "prefill_stretch": 0.1, "prefill_host_us": 0.0}


def test_a_step_is_stretched_and_lengthened_and_its_bound_is_left() -> None:
    found = Framework("x", "agg", COEFFICIENTS, None, None).decode(KERNELS)
    assert found == Time(1.0, 3.25, 2.5, 4.75)  # 1.5*t + 0.25


def test_never_below_the_bound() -> None:
    assert Framework("x", "agg", COEFFICIENTS, None, None).prefill(KERNELS) == Time(1.0, 1.0, 1.0, 1.0)


def test_a_band_of_its_own() -> None:
    found = Framework("x", "agg", COEFFICIENTS, None, Band(0.8, 1.4)).decode(KERNELS)
    assert (found.expected, found.p10, found.p90) == pytest.approx((3.25, 2.6, 4.55))
    assert banded(1.0, 1.1, Band(0.5, 2.0)) == Time(1.0, 1.1, 1.0, 2.2), "cut off at the bound"
    assert banded(1.0, 0.9, Band(0.5, 2.0)) == Time(1.0, 1.0, 1.0, 2.0)


def test_bare_kernels_stay_as_they_are() -> None:
    bare = load_framework("", "agg", loop=True)
    assert bare.decode(KERNELS) == bare.prefill(KERNELS) == KERNELS
    assert (bare.ttft_band, bare.tpot_band) == (None, None)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize("mode", ["agg", "disagg"])
def test_every_framework_has_what_the_formulas_read(engine: str, mode: str) -> None:
    found = load_framework(engine, mode, loop=True)
    stretches = {"decode_stretch", "prefill_stretch"}
    needed = {"decode_host_us", "prefill_host_us", "first_host_us", "mix_share", "queue_share"}
    assert stretches | needed <= set(found.coefficients)
    assert all(v >= 0 for v in found.coefficients.values())
    assert found.ttft_band
    assert found.tpot_band
    assert found.ttft_band.p10 < found.ttft_band.p90


def test_engines_that_fuse_quantisation_run_four_bit_steps_faster_than_their_kernels() -> None:
    wide, narrow = (load_framework("trtllm", "agg", loop=True, dtype=name) for name in ("bfloat16", "nvfp4"))
    assert narrow.coefficients["decode_stretch"] < wide.coefficients["decode_stretch"]
    assert narrow.coefficients["mix_share"] == wide.coefficients["mix_share"]


def test_prompts_share_a_full_step_and_its_host_time() -> None:
    framework = Framework("x", "agg", {"prefill_stretch": 2.0, "prefill_host_us": 1e6}, None, None)
    parts = (KERNELS, (), 0.0, Bound(1.0, 0.0, 0.0), 2.0, 1.0, 2.0)
    assert framework.crowded(StepTime(*parts)) is None
    assert framework.crowded(StepTime(*parts, crowded_s=6.0, rounds=4.0)) == pytest.approx((2 * 6 + 1) / 4)
