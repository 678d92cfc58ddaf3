"""A batch that starts together: identities between its times and rates."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.devices import load_device
from perfmodel.errors import InputError, PlanError
from perfmodel.plan import Plan, StepShape
from perfmodel.serving.phases import added, scaled
from perfmodel.serving.pipeline import decode_span
from perfmodel.serving.scenario import Pool, Question, Setup, prepare
from perfmodel.serving.step import decode_time, step_time
from perfmodel.serving.timed import Time
from perfmodel.workloads.library import load_model

POOLS = {"prefill_pool": Pool(1, Plan()), "decode_pool": Pool(1, Plan())}


def _setup(model: str = "llama-3.1-8b", device: str = "h100-sxm", **question: Any) -> Setup:
    return prepare(load_model(model), load_device(device), Question(**question))


def _quantities(time: Time) -> tuple[float, ...]:
    return time.bound, time.expected, time.p10, time.p90


def test_ttft_is_the_prefill_of_the_whole_batch_and_e2e_adds_the_decode_steps() -> None:
    setup = _setup(static=True)
    phases = setup.answer(16, 1000, 129).phases
    assert phases.ttft
    assert phases.tpot
    assert phases.e2e
    prefill = step_time(setup.prefill, StepShape(16, 1000, 1000)).time
    decode = decode_time(setup.decode, 16, 1001, 1128).time
    assert _quantities(phases.ttft) == pytest.approx(_quantities(prefill))
    assert _quantities(phases.tpot) == pytest.approx(_quantities(decode))
    for e2e, ttft, tpot in zip(*(map(_quantities, (phases.e2e, phases.ttft, phases.tpot))), strict=True):
        assert e2e == pytest.approx(ttft + 128 * tpot)
    assert phases.requests_per_s == pytest.approx(16 / phases.e2e.expected)
    assert phases.output_tokens_per_s == pytest.approx(16 * 129 / phases.e2e.expected)
    assert (phases.running, phases.waiting) == (16, 0)


def test_one_output_token_needs_no_decode_step() -> None:
    phases = _setup(static=True).answer(4, 1000, 1).phases
    assert phases.ttft
    assert phases.tpot
    assert phases.e2e
    assert phases.e2e == phases.ttft
    assert phases.tpot.expected > 0, "that of the step that would follow"


def test_phase_prefill_has_no_tpot() -> None:
    answer = _setup(phase="prefill").answer(8, 1000, 1)
    assert answer.phases.tpot is None
    assert answer.phases.ttft
    assert answer.phases.e2e == answer.phases.ttft
    assert answer.requests_per_s == pytest.approx(8 / answer.phases.ttft.expected)


def test_phase_decode_has_no_ttft() -> None:
    answer = _setup(phase="decode").answer(8, 1000, 101)
    assert answer.phases.ttft is None
    assert answer.phases.tpot
    assert answer.phases.e2e
    assert answer.phases.e2e.expected == pytest.approx(100 * answer.phases.tpot.expected)
    assert answer.tokens_per_s == pytest.approx(8 / answer.phases.tpot.expected)


def test_replicas_share_the_batch() -> None:
    one, four = _setup(static=True), _setup(static=True, plan=Plan(dp=4))
    whole, part = four.answer(32, 500, 50), one.answer(8, 500, 50)
    assert whole.phases.ttft == part.phases.ttft
    assert whole.phases.tpot == part.phases.tpot
    assert whole.requests_per_s == pytest.approx(4 * part.requests_per_s)
    assert whole.devices == 4
    # two requests keep two of four replicas busy, one request each
    few = four.answer(2, 500, 50)
    assert few.phases.tpot == one.answer(1, 500, 50).phases.tpot
    assert few.requests_per_s == pytest.approx(2 * one.answer(1, 500, 50).requests_per_s)


def test_a_batch_beyond_memory_does_not_fit() -> None:
    setup = _setup(static=True)
    most = int(setup.answer(1, 2000, 200).most_running)
    assert setup.answer(most, 2000, 200).fits
    assert not setup.answer(most + 1, 2000, 200).fits


def test_bounds_alone_are_those_of_the_answer() -> None:
    for phase in ("serve", "prefill", "decode"):
        for static in (False, True):
            setup = _setup(phase=phase, static=static, plan=Plan(tp=2))
            phases = setup.answer(24, 700, 90).phases
            want = [t.bound if t else None for t in (phases.ttft, phases.tpot, phases.e2e)]
            assert setup.bounds(24, 700, 90) == pytest.approx(want)


def test_the_span_of_a_decode() -> None:
    assert decode_span(1000, 100) == (1001, 1099)  # the first token comes from the prefill, the last is never cached
    assert decode_span(1000, 2) == (1001, 1001)
    assert decode_span(1000, 1) == (1001, 1001)


def test_sums_and_stretches_of_times() -> None:
    a, b = Time(1.0, 2.0, 1.5, 3.0), Time(10.0, 20.0, 15.0, 30.0)
    assert added(a, b, 2.0) == Time(21.0, 42.0, 31.5, 63.0)
    assert scaled(a, 2.0, 0.5) == Time(1.0, 4.5, 3.5, 6.5)
    assert scaled(a, 0.1) == Time(1.0, 1.0, 1.0, 1.0), "never below the bound"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"phase": "train"}, "unknown phase 'train'.*training is not modelled yet"),
        ({"phase": "decod"}, "unknown phase 'decod' - did you mean 'decode'"),
        ({"engine": "vlm"}, "unknown engine 'vlm' - did you mean 'vllm'"),
        ({"mode": "dis"}, "unknown mode 'dis'"),
        ({"routing": "zipf"}, "unknown routing 'zipf'"),
        ({"precision": "bf15"}, "unknown precision 'bf15'"),
    ],
)
def test_words_that_are_not_known(question: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        _setup(**question)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"mode": "disagg"}, "mode disagg needs both pools"),
        ({"mode": "disagg", **POOLS, "static": True}, "closed loop"),
        ({"plan": Plan(tp=3)}, "tp 3 does not divide"),
    ],
)
def test_plans_that_cannot_be(question: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        _setup(**question)


def test_the_same_question_has_the_same_setup() -> None:
    assert _setup(static=True) is _setup(static=True)
    assert _setup(static=True) is not _setup()
