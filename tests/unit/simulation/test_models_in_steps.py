"""Models whose steps are not the usual ones: quantised caches, sparse attention, early exit."""

from __future__ import annotations

import pytest

import perfmodel as pm
from perfmodel.simulation.predictor import Composition, StepPredictor
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.run import replicas_of
from perfmodel.simulation.words import exiting
from perfmodel.workloads.usecases import Lengths


def test_a_quantised_cache_holds_more_and_reads_less() -> None:
    wide, narrow = (pm.estimate("llama-3.1-8b", "h100-sxm", kv_precision=kv).setup for kv in ("bfloat16", "fp8"))
    ones = [replicas_of(setup, Policy())[0] for setup in (wide, narrow)]
    assert ones[0].cache_bytes(1000) == pytest.approx(2.0 * ones[1].cache_bytes(1000))
    assert ones[0].room_bytes == pytest.approx(ones[1].room_bytes)
    step = Composition(decodes=64, decode_context=8000.0)
    times = [StepPredictor(setup).seconds_of(step) for setup in (wide, narrow)]
    read = 64 * 8000 * 131072 / 2
    bandwidth = wide.decode.machine.chip.memory_bandwidth_bytes_per_s
    assert (times[0][1] - times[1][1]) * bandwidth == pytest.approx(read, rel=0.01)
    long = {"in_flight": 150, "requests": 300, "inputs": Lengths(4000.0, 0.0), "outputs": Lengths(200.0, 0.0)}
    first, second = (simulate_report(setup, **long) for setup in (wide, narrow))
    assert second["requests_per_s"] > 1.02 * first["requests_per_s"]
    # of the 150, 112 caches of 16 bits find room, and all of 8 bits: fewer wait
    assert second["ttft_s"]["mean"] < 0.7 * first["ttft_s"]["mean"]


def test_sparse_attention_grows_less_with_the_context() -> None:
    setups = [pm.estimate(name, "h200-sxm", tp=8, ep=8).setup for name in ("deepseek-v3", "deepseek-v3.2")]
    grown = []
    for setup in setups:
        predictor = StepPredictor(setup)
        short, long = (predictor.step_s(Composition(decodes=32, decode_context=c)) for c in (4_000.0, 64_000.0))
        grown.append(long - short)
    assert grown[1] < 0.5 * grown[0]
    # prompts aside (all but a hundred tokens are cached), longer answers come sooner
    options = {"in_flight": 32, "requests": 64, "inputs": Lengths(60_000.0, 0.0), "outputs": Lengths(200.0, 0.0)}
    reports = [simulate_report(setup, shared_prefix=0.998, **options) for setup in setups]
    assert reports[1]["tpot_s"]["mean"] < 0.9 * reports[0]["tpot_s"]["mean"]
    for report in reports:
        assert report["tpot_s"]["mean"] == pytest.approx(report["closed_form"]["tpot_s"], rel=0.1)


def test_tokens_that_leave_early_gain_alone_but_little_in_a_batch() -> None:
    """Alone half of the tokens skip half of the layers; of 64 sequences some run them in every step."""
    plain, leaving = (pm.estimate(exiting("llama-3.1-8b", words), "h100-sxm").setup for words in ("", "16=0.5"))
    gains = []
    for sequences in (1, 64):
        step = Composition(decodes=sequences, decode_context=1000.0)
        gains.append(StepPredictor(plain).step_s(step) / StepPredictor(leaving).step_s(step))
    assert gains[0] > 1.15 > gains[1] > 0.9
    report = simulate_report(leaving, in_flight=1, requests=4)
    assert report["tpot_s"]["mean"] == pytest.approx(report["closed_form"]["tpot_s"], rel=0.05)
