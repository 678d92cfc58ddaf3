"""Prompts and decodes that share a device's cores: by hand, and against the closed form."""

from __future__ import annotations

import pytest

import perfmodel as pm
from perfmodel.errors import InputError, PlanError
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.scenario import Pool
from perfmodel.simulation.predictor import Composition, StepPredictor
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.requests import Request
from perfmodel.simulation.run import replicas_of, simulate, simulate_pools
from perfmodel.simulation.sharing import SharedReplica, slowdown
from perfmodel.workloads.usecases import Lengths
from tests.unit.simulation.doubles import ByTokens, requests


class Part:
    """A hundredth of a second a token of prompts, and a second a step of decodes; so much of it is memory's time."""

    def __init__(self, share: float) -> None:
        self.share = share

    def seconds_of(self, step: Composition) -> tuple[float, float]:
        seconds = step.prompts * step.new_tokens * 1e-2 + 1.0 * (step.decodes > 0)
        return seconds, self.share * seconds


def shared(reading: float, writing: float, **policy: object) -> SharedReplica:
    return SharedReplica(
        ByTokens(), Policy("shared", **policy), 1e9, lambda tokens: tokens, parts=(Part(reading), Part(writing))
    )


def test_streams_that_do_not_want_the_same_do_not_slow_each_other() -> None:
    found = [Request(0, 0.0, 100, 11), Request(1, 2.5, 400, 2)]
    one = shared(0.1, 0.9)
    simulate(found, [one])
    # the first is read in 1 s and decodes ten steps of 1 s; the second is read from 2.5 to 6.5 s beside it and joins
    # the decode step that begins at 7 s
    assert found[0].finished_s == pytest.approx(11.0)
    assert found[1].first_token_s == pytest.approx(6.5)
    assert found[1].finished_s == pytest.approx(8.0)
    assert one.busy_s == pytest.approx(11.0)


def test_streams_that_want_more_than_the_memory_has_share_what_is_wanting() -> None:
    """0.6 and 0.9 of the bandwidth: both take 1.5 times as long while both run, as long as alone otherwise."""
    found = [Request(0, 0.0, 100, 11), Request(1, 2.0, 400, 1)]
    simulate(found, [shared(0.6, 0.9)])
    assert float(slowdown(4.0, 2.4, 1.0, 0.9)) == pytest.approx(1.5)
    assert found[1].first_token_s == pytest.approx(2.0 + 4.0 * 1.5)
    # 1 s of the prompt, a step until 2 s, four steps of 1.5 s until 8 s, five of 1 s
    assert found[0].finished_s == pytest.approx(13.0)
    assert found[0].tbt_s == pytest.approx(1.5)


def test_time_that_is_up_leaves_steps_under_way() -> None:
    whole, pieces = ([Request(0, 0.0, 130, 20), Request(1, 3.3, 300, 5)] for _ in range(2))
    simulate(whole, [shared(0.7, 0.8)])
    one = shared(0.7, 0.8)
    one.add(pieces[0])
    for i in range(1, 400):
        if i == 33:
            one.add(pieces[1])
        one.advance(i * 0.1)
    assert [r.finished_s for r in pieces] == pytest.approx([r.finished_s for r in whole])
    assert one.load == 0


def test_preempted_requests_are_read_again_and_nobody_is_lost() -> None:
    found = requests([0.3 * i for i in range(12)], 100, 60)
    one = SharedReplica(ByTokens(), Policy("shared"), 700.0, lambda tokens: tokens, parts=(Part(0.5), Part(0.9)))
    simulate(found, [one])
    assert sum(r.preemptions for r in found) > 0
    assert all(r.generated == 60 and r.prefilled == r.to_read for r in found)


def test_no_stalls_on_a_device_and_the_closed_form_near() -> None:
    setup = pm.estimate("llama-3.1-8b", "h100-sxm").setup
    options = {"rate": 6, "requests": 150, "inputs": Lengths(3000.0, 0.0), "outputs": Lengths(200.0, 0.0)}
    apart = simulate_report(setup, policy="shared", prefill_share=0.5, **options)
    mixed = simulate_report(setup, policy="prompts_first", **options)
    assert apart["tbt_s"]["mean"] < 0.5 * mixed["tbt_s"]["mean"]
    assert apart["tpot_s"]["mean"] == pytest.approx(apart["closed_form"]["tpot_s"], rel=0.1)
    assert apart["ttft_s"]["mean"] == pytest.approx(apart["closed_form"]["ttft_s"], rel=0.3)


def test_more_cores_for_prompts_read_them_sooner() -> None:
    setup = pm.estimate("llama-3.1-8b", "h100-sxm").setup
    times = [StepPredictor(setup, cores=share).step_s(Composition(1, 4000.0, 4000.0)) for share in (0.25, 0.5, 1.0)]
    assert times == sorted(times, reverse=True)
    # a long prompt takes about as much longer as it has fewer cores; decodes need the memory more than cores
    assert times[0] / times[2] == pytest.approx(4.0, rel=0.2)
    decode = [
        StepPredictor(setup, cores=share).step_s(Composition(decodes=8, decode_context=1000.0)) for share in (0.5, 1.0)
    ]
    assert decode[0] < 1.5 * decode[1]


def test_what_cannot_share_is_refused() -> None:
    with pytest.raises(InputError, match="above 0 and below 1"):
        Policy("shared", prefill_share=1.0)
    with pytest.raises(InputError, match="no GPU"):
        replicas_of(pm.estimate("llama-3.1-8b", "tpu-v6e").setup, Policy("shared"))
    pools = {"prefill_pool": Pool(1, Plan()), "decode_pool": Pool(1, Plan())}
    asked = pm.estimate("llama-3.1-8b", "h100-sxm", batch=8, mode="disagg", **pools)
    with pytest.raises(PlanError, match="of their own"):
        simulate_pools(requests([0.0]), asked.setup, Policy("shared"), 1e9)
