"""The fit of serving frameworks reads the same formulas as an answer, and finds coefficients again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from perfmodel.devices import load_device
from perfmodel.fitting.serving import ENGINES, PRIORS, Features, Fitted, fit, predict, ratios
from perfmodel.fitting.serving_report import bands, calibration, unseen
from perfmodel.plan import Plan
from perfmodel.serving.framework import load_framework
from perfmodel.serving.pipeline import decode_steps, prompt_step
from perfmodel.serving.scenario import Pool, Question, Setup, prepare
from perfmodel.workloads.library import load_model


def _setup(mode: str, **question: Any) -> Setup:
    pools = {"prefill_pool": Pool(2, Plan(tp=2)), "decode_pool": Pool(1, Plan(tp=2))} if mode == "disagg" else {}
    asked = Question(mode=mode, engine="trtllm", plan=Plan(tp=2), **pools, **question)
    return prepare(load_model("llama-3.1-8b"), load_device("b200"), asked)


def _features(setup: Setup, batch: float, inputs: float, outputs: float) -> Features:
    decode, prefill = decode_steps(setup.decode, batch, inputs, outputs), prompt_step(setup.prefill, inputs)
    pooled = setup.question.mode == "disagg"
    narrow = setup.question.precision == "nvfp4"
    return Features(
        decode.time.expected, prefill.time.expected, prefill.crowded_s, prefill.rounds, decode.unshared_s, batch, 1.0,
        batch, outputs, 2.0 if pooled else 1.0, float(pooled), float(narrow),
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["agg", "disagg"])
@pytest.mark.parametrize("precision", ["bfloat16", "nvfp4"])
def test_the_fit_predicts_what_an_answer_says(mode: str, precision: str) -> None:
    setup = _setup(mode, precision=precision)
    plain = load_framework("trtllm", mode, loop=True, dtype="bfloat16").coefficients
    narrow = load_framework("trtllm", mode, loop=True, dtype=precision).coefficients
    own = {**plain, "pool_queue_share": plain["queue_share"]}
    own["narrow_stretch"] = narrow["decode_stretch"] / plain["decode_stretch"]
    found = setup.answer(32.0, 2000.0, 300.0).phases
    ttft, tpot = predict(own, _features(setup, 32.0, 2000.0, 300.0))
    assert found.ttft
    assert found.tpot
    assert (found.ttft.expected, found.tpot.expected) == pytest.approx((float(ttft), float(tpot)), rel=1e-6)


def _runs(count: int = 120) -> tuple[pd.DataFrame, Features, Fitted]:
    """Return invented runs of two engines, and the coefficients that made them."""
    random = np.random.default_rng(0)
    decode, prefill = random.uniform(3e-3, 3e-2, count), random.uniform(2e-2, 0.5, count)
    running = random.choice([1.0, 4, 16, 64], count)
    outputs, ones = random.choice([128.0, 1024], count), np.ones(count)
    f = Features(decode, prefill, prefill * 4, ones * 8, decode * 0.2, running, ones, running, outputs, ones,
                 ones * (np.arange(count) % 3 == 0), ones * 0)  # fmt: skip
    start = {name: prior.start for name, prior in PRIORS.items()}
    engines = {"vllm": {**start, "decode_host_us": 2000.0}, "trtllm": {**start, "mix_share": 0.9}}
    truth = Fitted(start, {**engines, "sglang": start})
    frame = pd.DataFrame(
        {"engine": np.where(np.arange(count) % 2, "vllm", "trtllm"), "mode": np.where(f.pooled, "disagg", "agg"),
         "model": "m", "device": "d", "precision": "bfloat16", "batch": running}
    )  # fmt: skip
    ttft, tpot = predict(truth.over(frame.engine), f)
    return frame.assign(measured_ttft_ms=ttft * 1e3, measured_tpot_ms=tpot * 1e3), f, truth


def test_a_fit_finds_the_coefficients_that_made_the_runs() -> None:
    frame, f, truth = _runs()
    found = fit(frame, f, np.ones(len(frame), bool))
    assert np.abs(ratios(frame, f, found) - 1).max() < 0.05
    assert found.engines["vllm"]["decode_host_us"] == pytest.approx(truth.engines["vllm"]["decode_host_us"], rel=0.1)
    assert found.engines["trtllm"]["mix_share"] == pytest.approx(0.9, rel=0.1)


def test_bands_hold_four_fifths_of_what_was_not_seen() -> None:
    frame, _, truth = _runs(400)
    every, scatter = np.ones(400, bool), np.exp(np.random.default_rng(1).normal(0, 0.2, (2, 400)))
    ways = unseen(frame, every, scatter, {"device": scatter})
    rules = bands(frame, ways)
    assert {rule["when"].get("engine", "") for rule in rules} == {"", "vllm", "trtllm"}, (
        "an engine of few runs has none"
    )
    overall = rules[0]["set"]
    inside = (1 / scatter[0] >= overall["p10"]) & (1 / scatter[0] <= overall["p90"])
    assert inside.mean() == pytest.approx(0.8, abs=0.02)
    mapping = calibration(frame, every, scatter, {"device": scatter}, truth)
    assert set(mapping["errors"]) == {"held_out_shapes", "left_out_device"}
    assert {rule["when"]["engine"] for rule in mapping["rules"] if rule.get("scale")} == set(ENGINES)
