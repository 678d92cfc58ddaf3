"""The simulation against queueing theory where that is exact, and against what must hold of any run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

import perfmodel as pm
from perfmodel.errors import InputError
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.scenario import Pool
from perfmodel.simulation.against import CASES, Case, compare
from perfmodel.simulation.against_options import OPTIONS, Option
from perfmodel.simulation.against_options import compare as compare_option
from perfmodel.simulation.predictor import Composition, StepPredictor
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.requests import Request, drawn_requests, numbered, read_trace
from perfmodel.simulation.run import simulate, simulate_closed, simulate_pools
from perfmodel.simulation.summary import Slo, summary
from perfmodel.workloads.usecases import Lengths

FIXED = Lengths(1000.0, 0.0)
ONE = Lengths(1.0, 0.0)


class Constant:
    """A step takes a second, whatever is in it; ``seen`` keeps the compositions."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.seen: list[Composition] = []

    def step_s(self, step: Composition) -> float:
        self.seen.append(step)
        return self.seconds


class ByPrompt:
    """A prompt takes a time of its own: as many seconds as a thousandth of its tokens."""

    def step_s(self, step: Composition) -> float:
        return step.prompts * step.new_tokens * 1e-3


def replica(predictor: object, room: float = 1e9, **policy: object) -> Replica:
    return Replica(predictor, Policy(**policy), room, lambda tokens: tokens)


def requests(arrivals: Sequence[float], inputs: int = 100, outputs: int = 1) -> list[Request]:
    return numbered([Request(0, at, inputs, outputs) for at in arrivals])


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_server_of_constant_time_waits_as_queueing_theory_says(load: float) -> None:
    """M/D/1: the mean wait is ``rho*s/(2*(1-rho))`` (Pollaczek and Khinchine)."""
    drawn = drawn_requests(40_000, load, FIXED, ONE, seed=1)
    simulate(drawn, [replica(Constant(), name="prompts_first", most_running=1)])
    waits = [(r.started_s or 0.0) - r.arrival_s for r in drawn[2000:]]
    assert sum(waits) / len(waits) == pytest.approx(load / (2.0 * (1.0 - load)), rel=0.06)


def test_one_server_of_exponential_times_waits_as_queueing_theory_says() -> None:
    """M/G/1 with lognormal work: ``W = rate*E[s^2]/(2*(1-rho))``."""
    sigma, load = 0.5, 0.6
    median = 1000.0 * math.exp(-(sigma**2) / 2.0)
    drawn = drawn_requests(60_000, load, Lengths(median, sigma), ONE, seed=3)
    simulate(drawn, [replica(ByPrompt(), name="prompts_first", most_running=1, token_budget=10**9)])
    waits = [(r.started_s or 0.0) - r.arrival_s for r in drawn[3000:]]
    wanted = load * math.exp(sigma**2) / (2.0 * (1.0 - load))
    assert sum(waits) / len(waits) == pytest.approx(wanted, rel=0.08)


def test_littles_law_holds_in_a_closed_loop() -> None:
    found = simulate_closed(requests([0.0] * 200, 100, 50), [replica(Constant(), token_budget=1000)], 8)
    times = [r.e2e_s for r in found.requests[20:-20]]
    rate = len(times) / (found.requests[-21].finished_s - found.requests[19].finished_s)
    assert pytest.approx(rate * sum(times) / len(times), rel=0.05) == 8.0


def test_a_single_request_by_hand() -> None:
    found = requests([5.0], 250, 4)
    predictor = Constant()
    simulate(found, [replica(predictor, token_budget=100)])
    # three chunks of a prompt (100, 100, 50 tokens), then three decode steps
    assert found[0].first_token_s == pytest.approx(8.0)
    assert found[0].finished_s == pytest.approx(11.0)
    assert [step.new_tokens for step in predictor.seen if step.prompts] == [100, 100, 50]
    assert [step.prompt_context for step in predictor.seen if step.prompts] == [100, 200, 250]


def test_decodes_share_the_budget_with_prompts() -> None:
    predictor = Constant()
    simulate(requests([0.0, 0.5], 100, 40), [replica(predictor, token_budget=60)])
    assert all(step.tokens <= 60 for step in predictor.seen)
    assert any(step.prompts and step.decodes for step in predictor.seen)


def test_prompts_first_never_mixes() -> None:
    predictor = Constant()
    simulate(requests([0.0, 0.5, 0.7], 100, 40), [replica(predictor, name="prompts_first", token_budget=150)])
    assert not any(step.prompts and step.decodes for step in predictor.seen)


def test_a_full_memory_makes_the_youngest_start_again_and_loses_nobody() -> None:
    found = requests([0.0] * 4, 100, 200)
    simulate(found, [replica(Constant(), room=700.0, token_budget=400)])
    assert all(r.finished_s is not None and r.generated == 200 for r in found)
    assert sum(r.preemptions for r in found) > 0
    assert found[0].preemptions == 0


def test_a_request_that_never_fits_is_refused() -> None:
    with pytest.raises(InputError, match="does not fit"):
        simulate(requests([0.0], 900, 200), [replica(Constant(), room=1000.0)])


def test_more_than_the_server_can_do_is_saturated_and_said_so() -> None:
    slow = drawn_requests(2000, 1.3, FIXED, ONE, seed=2)
    found = simulate(slow, [replica(Constant(), name="prompts_first", most_running=1)])
    assert summary(found)["saturated"]
    idle = drawn_requests(2000, 0.5, FIXED, ONE, seed=2)
    found = simulate(idle, [replica(Constant(), name="prompts_first", most_running=1)])
    report = summary(found, Slo(ttft_s=1.5))
    assert not report["saturated"]
    assert 0.0 < report["slo_share"] < 1.0
    assert report["goodput_per_s"] == pytest.approx(report["slo_share"] * 0.5, rel=0.1)
    assert report["ttft_s"]["p50"] <= report["ttft_s"]["p90"] <= report["ttft_s"]["p99"]


def test_a_cached_prefix_is_not_read_again() -> None:
    plain, cached = requests([0.0], 1000, 2), requests([0.0], 1000, 2)
    cached[0].cached_tokens = 800
    for one in (plain, cached):
        simulate(one, [replica(ByPrompt(), token_budget=10_000)])
    assert plain[0].ttft_s == pytest.approx(1.0)
    assert cached[0].ttft_s == pytest.approx(0.2)


def test_two_replicas_serve_twice_the_load() -> None:
    one = simulate(drawn_requests(4000, 0.6, FIXED, ONE), [replica(Constant(), most_running=1)])
    two = simulate(drawn_requests(4000, 1.2, FIXED, ONE), [replica(Constant(), most_running=1) for _ in range(2)])
    assert summary(two)["ttft_s"]["mean"] < summary(one)["ttft_s"]["mean"]


def test_steps_of_a_model_are_those_of_the_formulas() -> None:
    asked = pm.estimate("llama-3.1-8b", "h100-sxm", batch=32, input_tokens=1000, output_tokens=2, phase="decode")
    predictor = StepPredictor(asked.setup)
    assert predictor.step_s(Composition(decodes=32, decode_context=1001.0)) == pytest.approx(
        asked.tpot_s.expected, rel=1e-6
    )
    asked = pm.estimate("llama-3.1-8b", "h100-sxm", batch=2, input_tokens=1000, phase="prefill")
    assert StepPredictor(asked.setup).step_s(Composition(2, 1000.0, 1000.0)) == pytest.approx(
        asked.ttft_s.expected, rel=1e-6
    )
    alone = (
        predictor.step_s(Composition(2, 1000.0, 1000.0)),
        predictor.step_s(Composition(decodes=32, decode_context=1001.0)),
    )
    mixed = predictor.step_s(Composition(2, 1000.0, 1000.0, 32, 1001.0))
    assert max(alone) < mixed < sum(alone)
    assert predictor.step_s(Composition()) == 0.0


@pytest.mark.parametrize("case", [CASES[1], CASES[3], CASES[6]], ids=lambda case: f"{case.model} on {case.device}")
def test_the_closed_form_lies_near_the_simulation(case: Case) -> None:
    found = compare(case, requests=4)
    assert found.tpot == pytest.approx(1.0, abs=0.12)
    assert found.rate == pytest.approx(1.0, abs=0.08)
    assert 0.4 < found.ttft < 3.0


def test_pools_pass_requests_on() -> None:
    pools = {"prefill_pool": Pool(1, Plan(tp=2)), "decode_pool": Pool(1, Plan(tp=4))}
    asked = pm.estimate("llama-3.1-8b", "h100-sxm", batch=8, mode="disagg", **pools)
    drawn = drawn_requests(60, 2.0, FIXED, Lengths(50.0, 0.0))
    fast = simulate_pools(drawn, asked.setup, Policy(), 100e9)
    assert all(r.finished_s > r.first_token_s > r.arrival_s for r in fast.requests)
    again = drawn_requests(60, 2.0, FIXED, Lengths(50.0, 0.0))
    slow = simulate_pools(again, asked.setup, Policy(), 1e9)
    assert summary(slow)["e2e_s"]["mean"] > summary(fast)["e2e_s"]["mean"]


def test_each_device_of_a_decode_worker_gets_its_share_of_a_cache() -> None:
    pools = {"prefill_pool": Pool(1, Plan(tp=2)), "decode_pool": Pool(1, Plan(tp=4))}
    asked = pm.estimate("llama-3.1-8b", "h100-sxm", batch=8, mode="disagg", **pools)
    alone = [drawn_requests(1, 1.0, FIXED, Lengths(2.0, 0.0)) for _ in range(2)]
    slow, fast = (simulate_pools(one, asked.setup, Policy(), rate) for one, rate in zip(alone, (1e9, 2e9), strict=True))
    share = FIXED.median * 2 * (8 / 4) * 128 * 2 * 32  # keys and values of two of eight heads, 16 bits, 32 layers
    took = [float(found.requests[0].finished_s or 0.0) for found in (slow, fast)]
    assert took[0] - took[1] == pytest.approx(share / 1e9 - share / 2e9)


def test_a_run_whose_requests_come_before_one_is_answered_is_too_short() -> None:
    setup = pm.estimate("llama-3.1-8b", "h100-sxm").setup
    burst = simulate_report(setup, rate=400, requests=100, inputs=FIXED, outputs=Lengths(100.0, 0.0))
    assert "too short for a steady state" in burst["problems"][0]
    assert "--requests" in burst["problems"][0]
    steady = simulate_report(setup, rate=2, requests=100, inputs=FIXED, outputs=Lengths(100.0, 0.0))
    assert not steady["saturated"]
    assert steady["problems"] == []


def test_arrivals() -> None:
    for arrival in ("poisson", "gamma", "regular"):
        drawn = drawn_requests(20_000, 4.0, FIXED, ONE, arrival=arrival, variation=3.0)
        gaps = [b.arrival_s - a.arrival_s for a, b in itertools.pairwise(drawn)]
        mean = sum(gaps) / len(gaps)
        spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) / mean
        assert mean == pytest.approx(0.25, rel=0.08)
        assert spread == pytest.approx({"poisson": 1.0, "gamma": 3.0, "regular": 0.0}[arrival], abs=0.15)
    with pytest.raises(InputError, match="poisson"):
        drawn_requests(1, 1.0, FIXED, ONE, arrival="posson")
    with pytest.raises(InputError, match="above 0"):
        drawn_requests(1, 0.0, FIXED, ONE)


def test_a_trace_with_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("arrival_s,input_tokens,output_tokens,user\n3,10,20,a\n1,x,20,b\n0,5,5,c\n")
    found, problems = read_trace(path)
    assert [(r.number, r.arrival_s) for r in found] == [(0, 0.0), (1, 3.0)]
    assert "trace.csv:3" in problems[0]
    path.write_text("time,input_tokens\n1,2\n")
    with pytest.raises(InputError, match="arrival_s, output_tokens"):
        read_trace(path)
    with pytest.raises(InputError, match="no file"):
        read_trace(tmp_path / "none.csv")


def test_policies_are_checked() -> None:
    with pytest.raises(InputError, match="chunked"):
        Policy("chunky")
    with pytest.raises(InputError, match="at least 1"):
        Policy(token_budget=0)


def test_the_longest_time_between_tokens_is_the_others_prompt_that_runs_first():
    early = Request(0, 0.0, 10, 8)
    late = Request(1, 2.5, 1000, 1)
    replica = Replica(_Seconds(), Policy("prompts_first"), 1e9, lambda tokens: tokens)
    replica.add(early)
    replica.advance(2.5)
    replica.add(late)
    replica.advance(1e9)
    assert early.tbt_s == pytest.approx(1.0 + 100.0)  # a decode step and the whole prompt of the other
    assert late.tbt_s is None
    assert early.tpot_s < early.tbt_s
    assert not Slo(tbt_s=50.0).kept(early)
    assert Slo(tbt_s=102.0).kept(early)


class _Seconds:
    """A step takes a second of decodes, and a tenth of a second a token of a prompt."""

    def step_s(self, step):
        return 1.0 * (step.decodes > 0) + 0.1 * step.prompts * step.new_tokens


@pytest.mark.parametrize("option", [OPTIONS[1], OPTIONS[3], OPTIONS[6]], ids=lambda option: option.title)
def test_the_closed_form_of_options_lies_near_the_simulation(option: Option) -> None:
    ttft, tpot, rate = compare_option(option, in_flight=8, requests=64)
    assert tpot == pytest.approx(1.0, abs=0.12)
    assert rate == pytest.approx(1.0, abs=0.1)
    assert 0.3 < ttft < 1.6
