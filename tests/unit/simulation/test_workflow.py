"""Workflows by hand, with steps of a second, and against their closed form."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfmodel as pm
from perfmodel.errors import InputError
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.requests import drawn_requests
from perfmodel.simulation.run import simulate
from perfmodel.simulation.workflow import WorkflowSimulation
from perfmodel.simulation.workflow_expected import expected_loads, expected_longest, expected_run
from perfmodel.simulation.workflow_report import workflow_report
from perfmodel.workloads.usecases import Lengths
from perfmodel.workloads.workflows import Call, Choose, Parallel, Repeat, Wait, Workflow, list_workflows, load_workflow


class Second:
    """A step takes a second; ``seen`` are the compositions."""

    def __init__(self):
        self.seen = []

    def step_s(self, step):
        self.seen.append(step)
        return 1.0


def fixed(tokens):
    return Lengths(float(tokens), 0.0)


def call(given=100, out=3, **more):
    return Call("call", more.pop("role", "main"), fixed(given), fixed(out), **more)


def wait(seconds, **more):
    return Wait("wait", fixed(seconds), **more)


def flow(*stages):
    return Workflow("mine", "a test", stages, (), (), "")


def replicas(count=1, predictor=None):
    predictor = predictor or Second()
    return [Replica(predictor, Policy(token_budget=10**6), 1e12, float) for _ in range(count)]


def run(*stages, arrivals=(0.0,), count=1, predictor=None, **options):
    simulation = WorkflowSimulation(flow(*stages), {"main": replicas(count, predictor)}, **options)
    return simulation, simulation.open_loop(arrivals)


def test_one_after_the_other_by_hand():
    predictor = Second()
    _, (only,) = run(call(100, 3), wait(10.0, usd=0.5), call(50, 2), arrivals=[4.0], predictor=predictor)
    # a prompt and two decode steps; the tool; the second prompt of 153, of which 102 are cached, and a decode step
    assert only.finished_s == pytest.approx(4.0 + 3.0 + 10.0 + 2.0)
    assert only.answer_s == pytest.approx(4.0 + 3.0 + 10.0 + 1.0)
    assert only.usd == 0.5
    assert only.stage_s == pytest.approx({"call": 5.0, "wait": 10.0})
    assert [r.input_tokens for r in only.calls] == [100, 153]
    assert [(step.new_tokens, step.prompt_context) for step in predictor.seen if step.prompts] == [
        (100, 100),
        (51, 153),
    ]


def test_without_reuse_all_is_read_again():
    predictor = Second()
    run(call(100, 3), call(50, 2), predictor=predictor, reuse=False)
    assert [step.new_tokens for step in predictor.seen if step.prompts] == [100, 153]


def test_what_all_runs_begin_with_is_read_by_none():
    predictor = Second()
    run(call(100, 2, cached_tokens=80), call(100, 2, history=False, cached_tokens=30), predictor=predictor)
    assert [step.new_tokens for step in predictor.seen if step.prompts] == [20, 70]


def test_branches_are_over_with_the_longest():
    _, (only,) = run(Parallel("both", ((wait(7.0), call(10, 2)), (call(10, 5), wait(1.0)), (wait(2.0),))), call(10, 1))
    assert only.finished_s == pytest.approx(9.0 + 1.0)
    assert only.stage_s["both"] == pytest.approx(9.0)


def test_an_empty_way_takes_no_time():
    chosen = Choose("never", 0.0, (wait(100.0),))
    _, (only,) = run(Parallel("both", ((chosen,), (chosen,))), call(10, 2), Choose("always", 1.0, (wait(3.0),)))
    assert only.finished_s == pytest.approx(2.0 + 3.0)


def test_samples_read_their_prompt_once_and_end_with_the_longest():
    predictor = Second()
    stage = Call("many", "main", fixed(1000), Lengths(20.0, 1.0), samples=8)
    _, (only,) = run(stage, predictor=predictor, count=2)
    written = [r.output_tokens for r in only.calls[1:]]
    assert predictor.seen[0].new_tokens == 1000
    assert sum(step.prompts * step.new_tokens for step in predictor.seen) == 1000 + len(written)
    # the first token of all comes with the prompt, the others go on by a step each from there
    assert only.finished_s == pytest.approx(1.0 + max(written))
    assert len({id(r) for r in only.calls}) == 1 + len(written)
    _, (apart,) = run(stage, count=2, reuse=False)
    assert sum(r.input_tokens for r in apart.calls) == 8000


def test_copies_are_prompts_of_their_own():
    predictor = Second()
    _, (only,) = run(call(100, 1, history=False, copies=5), predictor=predictor)
    assert predictor.seen[0].prompts == 5
    assert only.finished_s == pytest.approx(1.0)


def test_a_loop_takes_as_many_turns_as_said():
    _, (only,) = run(Repeat("loop", 4.0, True, 1000, (call(10, 1), wait(1.0))))
    assert len(only.calls) == 4
    assert only.finished_s == pytest.approx(8.0)
    _, many = run(Repeat("loop", 5.0, False, 1000, (call(10, 1),)), arrivals=range(1000), count=4)
    assert sum(len(one.calls) for one in many) / 1000 == pytest.approx(5.0, rel=0.1)


def test_a_run_of_one_call_is_a_request():
    """The same waits as without workflows: one server of constant time."""
    arrivals = [r.arrival_s for r in drawn_requests(1000, 0.6, fixed(10), fixed(1), seed=5)]
    _, runs = run(call(10, 1, history=False), arrivals=arrivals, balance="least_load")
    plain = drawn_requests(1000, 0.6, fixed(10), fixed(1), seed=5)
    simulate(plain, replicas())
    assert [one.finished_s for one in runs] == pytest.approx([r.finished_s for r in plain])


def test_a_closed_loop_keeps_as_many_runs_as_said():
    simulation = WorkflowSimulation(flow(call(10, 3), wait(2.0)), {"main": replicas()})
    runs = simulation.closed_loop(4, 30)
    assert len(runs) == 30
    for one in runs:
        there = sum(other.arrival_s <= one.arrival_s < other.finished_s for other in runs)
        assert there <= 4
    assert sum(one.finished_s - one.arrival_s for one in runs) / runs[-1].finished_s == pytest.approx(4.0, rel=0.1)


def test_draws_do_not_hang_on_the_load():
    stages = (
        Call("a", "main", Lengths(100.0, 1.0), Lengths(5.0, 1.0)),
        Repeat("r", 3.0, False, 9, (wait(1.0), call())),
    )
    slow, fast = (run(*stages, arrivals=[gap * i for i in range(20)], count=2)[1] for gap in (50.0, 0.1))
    assert [[r.output_tokens for r in one.calls] for one in slow] == [
        [r.output_tokens for r in one.calls] for one in fast
    ]


def test_roles_have_replicas_of_their_own():
    first, second = Second(), Second()
    simulation = WorkflowSimulation(
        flow(call(10, 2, role="small", history=False), call(20, 2)),
        {"small": replicas(2, first), "main": replicas(1, second)},
    )
    simulation.open_loop([0.0, 0.1])
    assert {step.new_tokens for step in first.seen if step.prompts} == {10}
    assert {step.new_tokens for step in second.seen if step.prompts} == {20}


@settings(max_examples=15)
@given(sigma=st.floats(0.1, 1.5), count=st.integers(2, 20))
def test_the_longest_of_some_is_that_of_draws(sigma, count):
    dice = random.Random(7)
    drawn = [max(dice.lognormvariate(0.0, sigma) for _ in range(count)) for _ in range(1500)]
    mean = sum(drawn) / len(drawn)
    error = math.sqrt(sum((x - mean) ** 2 for x in drawn)) / len(drawn)
    assert abs(expected_longest(Lengths(1.0, sigma), count) - mean) < 5.0 * error


def test_the_longest_of_one_is_the_mean_and_of_two_that_of_theory():
    """Of two lognormals ``E max = 2*mean*Phi(sigma/sqrt(2))``."""
    sigma = 0.8
    lengths = Lengths(100.0, sigma)
    assert expected_longest(lengths, 1) == lengths.mean
    phi = 0.5 * (1.0 + math.erf(sigma / 2.0))
    assert expected_longest(lengths, 2) == pytest.approx(2.0 * lengths.mean * phi, rel=1e-9)


def test_expected_loads_by_hand():
    loads, usd = expected_loads(
        flow(
            call(100, 10, cached_tokens=40),
            Repeat("turns", 2.0, False, 1000, (wait(1.0, usd=0.25), call(20, 5))),
            Choose("some", 0.25, (call(30, 8, role="large", history=False, samples=2),)),
        )
    )
    # turns 1, 2, 3 .. have threads of 110, 135, 160 .. before them, each half as often as the one before
    assert loads["main"].calls == pytest.approx(1.0 + 2.0, abs=1e-4)
    assert loads["main"].read_tokens == pytest.approx(60.0 + 2.0 * 20.0, abs=1e-3)
    assert loads["main"].prompt_tokens == pytest.approx(
        100.0 + sum(0.5**i * (130 + 25 * i) for i in range(40)), abs=0.1
    )
    assert loads["large"].calls == pytest.approx(0.5)
    assert loads["large"].read_tokens == pytest.approx(0.25 * 30.0)
    assert usd == pytest.approx(0.5, abs=1e-5)


@pytest.fixture(scope="module")
def setup():
    return pm.estimate("llama-3.1-8b", "h100-sxm").setup


@pytest.mark.parametrize(("name", "rate"), [("tool-agent", 0.2), ("best-of-n", 0.2), ("rag-answer", 0.5)])
def test_the_closed_form_lies_near_the_simulation(setup, name, rate):
    found = workflow_report(load_workflow(name), {"main": setup}, rate=rate, runs=60, arrival="regular")
    assert found["closed_form"]["e2e_s"] == pytest.approx(found["e2e_s"]["mean"], rel=0.3)
    role = found["roles"]["main"]
    assert role["closed_form"]["output_tokens_per_run"] == pytest.approx(role["output_tokens_per_run"], rel=0.25)
    assert found["usd_per_run"] > 0.0


def test_a_report_says_what_is_kept_and_what_is_missing(setup):
    asked = load_workflow("rag-answer")
    found = workflow_report(asked, {"main": setup}, in_flight=2, runs=20, e2e_s=2.0)
    assert 0.0 <= found["slo_share"] <= 1.0
    assert not found["saturated"]
    assert len(found["points"]) == 20
    for options, said in (
        ({"rate": 1, "in_flight": 1}, "--rate R, or --in-flight N"),
        ({"rate": 1, "runs": 10**7}, "at most"),
        ({"rate": 1, "balance": "prefx"}, "prefix"),
    ):
        with pytest.raises(InputError, match=said):
            workflow_report(asked, {"main": setup}, **options)
    with pytest.raises(InputError, match="--deploy small=MODEL"):
        workflow_report(load_workflow("cascade"), {"main": setup}, rate=1)
    with pytest.raises(InputError, match="no role 'other'"):
        workflow_report(asked, {"main": setup, "other": setup}, rate=1)


def test_too_many_runs_are_said_to_be(setup):
    found = workflow_report(load_workflow("rag-answer"), {"main": setup}, rate=30.0, runs=120)
    assert found["saturated"]
    assert found["closed_form"]["e2e_s"] is None


def test_the_library_is_sound():
    for name in list_workflows():
        found = load_workflow(name)
        assert found.roles
        assert found.sources
        loads, _ = expected_loads(found)
        assert all(load.calls > 0.0 for load in loads.values())


def test_expected_run_needs_no_draws(setup):
    found = expected_run(flow(call(1000, 100), wait(2.0)), {"main": setup}, 0.1)
    alone = setup.answer(1.0, 1000.0, 100.0).phases
    wanted = float(alone.ttft.expected) + 99.0 * float(alone.tpot.expected)
    assert found.e2e_s == pytest.approx(2.0 + wanted, rel=0.05)
