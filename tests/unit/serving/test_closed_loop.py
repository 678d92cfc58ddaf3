"""The steady state of a closed loop: Little's law, queues, and separate pools."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfmodel.devices import load_device
from perfmodel.plan import Plan
from perfmodel.serving.closed_loop import alone, bottleneck, bottlenecks, mixed_times, pooled_ttft
from perfmodel.serving.phases import Phases
from perfmodel.serving.scenario import Answer, Pool, Question, Setup, prepare
from perfmodel.serving.timed import StepTime
from perfmodel.workloads.library import load_model

ENGINES = ["", "vllm", "sglang", "trtllm"]
PLAIN = {"mix_share": 1.0, "queue_share": 0.0, "first_host_us": 0.0}


def _setup(model: str = "llama-3.1-8b", device: str = "h100-sxm", **question: Any) -> Setup:
    return prepare(load_model(model), load_device(device), Question(**question))


def _disagg(prefill_workers: int = 1, decode_workers: int = 1, engine: str = "", **plans: Plan) -> Setup:
    pools = Pool(prefill_workers, plans.get("prefill", Plan())), Pool(decode_workers, plans.get("decode", Plan()))
    return _setup(mode="disagg", prefill_pool=pools[0], decode_pool=pools[1], engine=engine)


def _littles_law(answer: Answer, in_flight: float) -> None:
    phases = answer.phases
    assert phases.e2e is not None
    assert answer.requests_per_s * phases.e2e.expected == pytest.approx(in_flight, rel=1e-9)
    assert phases.running + phases.waiting == pytest.approx(in_flight)


@given(
    engine=st.sampled_from(ENGINES), batch=st.integers(1, 2000), length=st.integers(16, 8000),
    output=st.integers(1, 800), dp=st.sampled_from([1, 3]),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_littles_law(engine: str, batch: int, length: int, output: int, dp: int) -> None:
    _littles_law(_setup(engine=engine, plan=Plan(dp=dp)).answer(batch, length, output), batch)


@given(
    engine=st.sampled_from(ENGINES), batch=st.integers(1, 2000), length=st.integers(16, 8000),
    output=st.integers(2, 800), workers=st.sampled_from([(1, 1), (2, 1), (1, 3)]),
)  # fmt: skip
@example(engine="", batch=2, length=1000, output=100, workers=(1, 3))
@settings(deadline=None, max_examples=40)
def test_littles_law_of_separate_pools(
    engine: str, batch: int, length: int, output: int, workers: tuple[int, int]
) -> None:
    _littles_law(_disagg(*workers, engine=engine).answer(batch, length, output), batch)


def test_output_tokens_are_requests_times_their_length() -> None:
    answer = _setup().answer(32, 1000, 200)
    assert answer.tokens_per_s == pytest.approx(200 * answer.requests_per_s)


def test_one_request_waits_for_nobody() -> None:
    setup = _setup(plan=Plan(tp=2))
    served, static = setup.answer(1, 1000, 100).phases, _setup(plan=Plan(tp=2), static=True).answer(1, 1000, 100).phases
    assert served.tpot
    assert static.tpot
    assert served.ttft
    assert static.ttft
    assert served.tpot.expected == pytest.approx(static.tpot.expected)
    assert served.ttft.bound == pytest.approx(static.ttft.bound)
    assert served.waiting == 0


def test_bounds_are_those_of_one_request_alone() -> None:
    setup = _setup()
    ttft, tpot = alone(setup.decode, 1000, 100)
    phases = setup.answer(64, 1000, 100).phases
    assert phases.ttft
    assert phases.tpot
    assert (phases.ttft.bound, phases.tpot.bound) == (ttft, tpot)


def test_more_requests_are_slower_each_and_faster_together() -> None:
    setup = _setup()
    answers = [setup.answer(n, 1000, 200) for n in (1, 4, 16, 64)]
    for few, many in itertools.pairwise(answers):
        assert few.phases.ttft
        assert many.phases.ttft
        assert few.phases.tpot
        assert many.phases.tpot
        assert few.phases.ttft.expected < many.phases.ttft.expected
        assert few.phases.tpot.expected < many.phases.tpot.expected
        assert few.tokens_per_s < many.tokens_per_s


def test_requests_that_wait_lengthen_ttft_only() -> None:
    setup = _setup()
    most = float(setup.answer(1, 8000, 1000).most_running)
    full, over = setup.answer(most, 8000, 1000).phases, setup.answer(2 * most, 8000, 1000).phases
    assert full.ttft
    assert over.ttft
    assert full.e2e
    assert over.e2e
    assert (full.waiting, over.waiting) == (0, most)
    assert over.tpot == full.tpot
    assert over.requests_per_s == pytest.approx(full.requests_per_s)
    # twice as many in the loop at the same rate: twice the time, the wait being one whole cycle
    assert over.ttft.expected == pytest.approx(full.ttft.expected + full.e2e.expected)


def test_serving_fits_while_one_request_does() -> None:
    setup = _setup()
    assert setup.answer(100_000, 8000, 1000).fits
    assert not setup.answer(1, 10_000_000, 1000).fits
    assert not _setup("llama-3.1-70b").answer(1, 100, 100).fits


def test_requests_of_all_ages_hold_half_of_their_output() -> None:
    served, static = _setup().answer(1, 1000, 1000).most_running, _setup(static=True).answer(1, 1000, 1000).most_running
    memory = _setup().memory
    assert served == memory.largest_batch(1500, 1000)
    assert static == memory.largest_batch(2000, 1000)


def test_mixed_times_by_hand() -> None:
    # 4 running, decode 10 ms, prefill 50 ms, attention 2 ms: mix 52, extra 42; 21 output tokens
    ttft, tpot = mixed_times(PLAIN, 0.010, 0.050, 0.002, 4, 1, 4, 21)
    assert tpot == pytest.approx(0.010 + 0.042 * 3 / 21)  # 16 ms
    assert ttft == pytest.approx(0.052)
    queued, same = mixed_times(PLAIN, 0.010, 0.050, 0.002, 4, 1, 6, 21)
    assert same == tpot
    assert queued == pytest.approx(0.052 + 2 * (0.052 + 20 * 0.016) / 4)  # two wait for (cycle of 372 ms)/4 each
    ttft, tpot = mixed_times({**PLAIN, "first_host_us": 1000.0, "queue_share": 0.5}, 0.010, 0.050, 0.002, 4, 1, 4, 21)
    assert ttft == pytest.approx(0.001 + 0.052 + 0.5 * 3 * 0.042)
    assert tpot == pytest.approx(0.010 + 0.5 * 0.042 * 3 / 21), "what delays the first token no longer delays the rest"


@given(share=st.floats(0.0, 1.0), running=st.integers(1, 64), output=st.integers(2, 2000))
def test_bursts_move_waiting_between_the_tokens_but_add_none(share: float, running: int, output: int) -> None:
    def cycle(queue_share: float) -> float:
        c = {**PLAIN, "queue_share": queue_share}
        ttft, tpot = mixed_times(c, 0.010, 0.050, 0.002, running, 1, running, output)
        return float(ttft + output * tpot)

    assert cycle(share) == pytest.approx(cycle(0.0), rel=1e-9)


def test_prompts_that_share_a_step_delay_less() -> None:
    alone_, shared = (mixed_times(PLAIN, 0.010, 0.050, 0.002, 4, 1, 4, 21, 1.0, crowded) for crowded in (None, 0.02))
    assert shared[1] == pytest.approx(0.010 + 0.020 * 3 / 21)
    assert shared[0] == alone_[0], "the prompt itself still takes its own step"
    assert mixed_times(PLAIN, 0.010, 0.050, 0.002, 4, 1, 4, 21, 1.0, 0.09) == alone_, "never more than alone"


def test_attention_groups_prefill_side_by_side() -> None:
    # 8 requests in 4 groups: one other in each, so extra counts once
    _, tpot = mixed_times(PLAIN, 0.010, 0.050, 0.0, 8, 4, 8, 10)
    assert tpot == pytest.approx(0.010 + 0.040 / 10)


def test_pooled_ttft_by_hand() -> None:
    # 8 decoding, 2 slots, prefill 50 ms, decode 10 ms, 21 tokens: alone 50 ms; the pool's limit 8*50/2 - 200 = 0
    assert pooled_ttft(PLAIN, 0.010, 0.050, 8, 2, 8, 21) == pytest.approx(0.050)
    # 16 decoding: 16*50/2 - 200 = 200 ms
    assert pooled_ttft(PLAIN, 0.010, 0.050, 16, 2, 16, 21) == pytest.approx(0.200)
    # 4 more that wait: 4*(200 + 200)/16 = 100 ms
    assert pooled_ttft(PLAIN, 0.010, 0.050, 16, 2, 20, 21) == pytest.approx(0.300)
    # prompts that share steps take 30 ms each: 16*30/2 - 200 = 40 ms, less than a prompt alone
    assert pooled_ttft(PLAIN, 0.010, 0.050, 16, 2, 16, 21, 0.030) == pytest.approx(0.050)
    queued = {**PLAIN, "queue_share": 0.5}  # 50 + 0.5*(16/2 - 1)*30 ms
    assert pooled_ttft(queued, 0.010, 0.050, 16, 2, 16, 21, 0.030) == pytest.approx(0.155)


def test_more_prefill_workers_shorten_a_ttft_that_they_limit() -> None:
    few, many = (_disagg(n).answer(256, 4000, 50).phases for n in (1, 4))
    assert few.ttft
    assert many.ttft
    assert few.tpot
    assert many.tpot
    assert many.ttft.expected < few.ttft.expected
    assert many.tpot == few.tpot, "decode sees as many requests"


def test_more_decode_workers_shorten_tpot() -> None:
    few, many = (_disagg(2, n).answer(256, 1000, 200).phases for n in (1, 4))
    assert few.tpot
    assert many.tpot
    assert many.tpot.expected < few.tpot.expected


def test_devices_of_pools_add_up() -> None:
    setup = _disagg(3, 2, prefill=Plan(tp=2), decode=Plan(tp=4))
    assert setup.devices == 3 * 2 + 2 * 4
    assert setup.decode.plan.tp == 4
    assert setup.prefill.plan.tp == 2


def test_both_pools_must_hold_the_model() -> None:
    def fits(prefill: int, decode: int) -> bool:
        pools: dict[str, Any] = {
            "prefill_pool": Pool(1, Plan(tp=prefill)),
            "decode_pool": Pool(1, Plan(tp=decode)),
        }
        return bool(_setup("llama-3.1-70b", mode="disagg", **pools).answer(4, 1000, 100).fits)

    assert fits(4, 4)
    assert not fits(4, 1)
    assert not fits(1, 4)


def test_a_request_fewer_than_decode_workers_is_one_request() -> None:
    one, alone_ = _disagg(1, 3).answer(1, 1000, 100), _disagg(1, 1).answer(1, 1000, 100)
    assert one.requests_per_s == pytest.approx(alone_.requests_per_s)
    assert one.phases.tpot == alone_.phases.tpot


@pytest.mark.parametrize(("batch", "length", "expected"), [(1, 100, "memory"), (64, 8000, "compute")])
def test_what_bounds_a_step(batch: int, length: int, expected: str) -> None:
    phases: Phases = _setup(static=True).answer(batch, length, 10).phases
    step: StepTime | None = phases.decode if expected == "memory" else phases.prefill
    assert step is not None
    assert bottleneck(step) == expected
    assert bottlenecks(step, 3) == [expected] * 3
