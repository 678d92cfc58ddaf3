"""Steps that yield several tokens: against the closed forms of their means, and of what a step takes."""

from __future__ import annotations

import pytest

import perfmodel as pm
from perfmodel.errors import InputError
from perfmodel.serving.speculation import (
    best_drafts,
    speculation_gain,
    steps_of_unlike,
    tokens_of_step,
    tokens_of_unlike,
)
from perfmodel.simulation.equipment import Equipment
from perfmodel.simulation.predictor import Composition, StepPredictor
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.requests import Request
from perfmodel.simulation.run import replicas_of, simulate
from perfmodel.simulation.speculation import Blocks, Drafted, Drafts
from tests.unit.simulation.doubles import ByTokens, Constant, replica, requests


@pytest.mark.parametrize(("drafts", "acceptance"), [(1, 0.85), (4, 0.7), (4, 0.0), (3, 1.0)])
def test_tokens_of_a_step_are_those_of_the_closed_form(drafts: int, acceptance: float) -> None:
    drawn = Drafts(drafts, acceptance, seed=3)
    one = requests([0.0])[0]
    tokens = [drawn.tokens_of(one) for _ in range(20_000)]
    mean = sum(tokens) / len(tokens)
    assert mean == pytest.approx(float(tokens_of_step(drafts, acceptance)), rel=0.015)
    assert {min(tokens), max(tokens)} <= set(range(1, drafts + 2))
    assert tokens.count(drafts + 1) / len(tokens) == pytest.approx(acceptance**drafts, abs=0.015)


@pytest.mark.parametrize(("acceptance", "spread"), [(0.7, 0.2), (0.5, 0.05), (0.8, 0.3)])
def test_requests_of_unlike_acceptance(acceptance: float, spread: float) -> None:
    drawn = Drafts(4, acceptance, seed=4, spread=spread)
    tokens, steps = 0, 0.0
    for one in requests([0.0] * 3000):
        mean = sum(drawn.tokens_of(one) for _ in range(20)) / 20
        tokens += mean
        steps += 1.0 / float(tokens_of_step(4, drawn._each[one]))
    assert tokens / 3000 == pytest.approx(tokens_of_unlike(4, acceptance, spread), rel=0.02)
    assert steps / 3000 == pytest.approx(steps_of_unlike(4, acceptance, spread), rel=0.02)
    assert 1.0 / steps_of_unlike(4, acceptance, spread) < tokens_of_unlike(4, acceptance, spread)
    assert tokens_of_unlike(4, acceptance, 0.0) == pytest.approx(float(tokens_of_step(4, acceptance)))


def test_a_spread_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"below 0\.5"):
        Drafts(4, 0.5, spread=0.6)


def test_steps_of_a_request_by_hand() -> None:
    """All drafts kept: 1 token of the prompt, then 3 a step: 13 tokens after 4 steps, and none beyond the last."""
    found = requests([0.0], 100, 12)
    simulate(found, [replica(ByTokens(), token_budget=1000, speculation=Drafts(2, 1.0))])
    assert found[0].finished_s == pytest.approx(0.1 + 4.0)
    assert found[0].generated == 12


def test_the_mean_time_a_token_is_that_of_the_closed_form() -> None:
    found = requests([0.0] * 8, 100, 2000)
    simulate(found, [replica(Constant(), room=1e9, token_budget=10_000, speculation=Drafts(4, 0.7, seed=2))])
    mean = sum(r.tpot_s for r in found) / len(found)
    assert mean == pytest.approx(1.0 / float(tokens_of_step(4, 0.7)), rel=0.03)


def test_drafts_take_the_token_budget_of_chunks() -> None:
    predictor = Constant()
    found = [*requests([0.0], 100, 30), Request(1, 3.5, 100, 1)]
    simulate(found, [replica(predictor, token_budget=50, speculation=Drafts(4, 0.5))])
    assert max(step.new_tokens for step in predictor.seen if step.decodes) == 45


def test_gain_by_hand() -> None:
    """Leviathan et al. 2023, theorem 3.8, with a = 0.8, n = 5, c = 0.05: (1 - 0.8^6)/(0.2*(1 + 5*0.05)) = 2.95."""
    assert float(speculation_gain(5, 0.8, 0.05)) == pytest.approx((1 - 0.8**6) / (0.2 * 1.25))
    assert best_drafts(0.8, 0.02, lambda n: 1.0) > best_drafts(0.8, 0.2, lambda n: 1.0) > 0
    assert best_drafts(0.3, 0.5, lambda n: 1.0) == 0


def test_a_step_that_drafts_is_whole() -> None:
    """The plan's formulas are of a token that is kept; the predictor's of a whole step."""
    kept = pm.estimate(
        "deepseek-v3", "h200-sxm", tp=8, batch=4, input_tokens=1000, output_tokens=2, phase="decode", draft_tokens=1,
        acceptance=0.85,
    )  # fmt: skip
    step = StepPredictor(kept.setup).step_s(Composition(decodes=4, decode_context=1001.0))
    assert step == pytest.approx(1.85 * kept.tpot_s.expected, rel=1e-6)
    mixed = StepPredictor(kept.setup).step_s(Composition(1, 512.0, 512.0, 4, 1001.0))
    plain = pm.estimate("deepseek-v3", "h200-sxm", tp=8)
    assert mixed > StepPredictor(plain.setup).step_s(Composition(1, 512.0, 512.0, 4, 1001.0))


def test_multi_token_prediction_in_the_simulation_and_in_closed_form() -> None:
    asked = pm.estimate("deepseek-v3", "h200-sxm", tp=8, draft_tokens=1, acceptance=0.85)
    report = simulate_report(asked.setup, in_flight=8, requests=48)
    assert report["tpot_s"]["mean"] == pytest.approx(report["closed_form"]["tpot_s"], rel=0.1)
    plain = simulate_report(pm.estimate("deepseek-v3", "h200-sxm", tp=8).setup, in_flight=8, requests=48)
    assert plain["tpot_s"]["mean"] > 1.2 * report["tpot_s"]["mean"]


def test_a_small_model_drafts() -> None:
    small = pm.estimate("llama-3.2-1b", "h100-sxm").setup
    setup = pm.estimate("llama-3.1-8b", "h100-sxm").setup
    equipment = Equipment(draft=small, draft_tokens=4, acceptance=0.7)
    predictor = equipment.predictor_of(setup)
    assert isinstance(predictor, Drafted)
    step = Composition(decodes=8, decode_context=1000.0)
    checked = StepPredictor(setup, decode_tokens=5).step_s(step)
    assert predictor.step_s(step) == pytest.approx(checked + 4 * StepPredictor(small).step_s(step))
    # both models' caches and weights take the room
    plain, drafted = (replicas_of(setup, Policy(), equipment=e)[0] for e in (None, equipment))
    assert drafted.room_bytes == pytest.approx(plain.room_bytes - float(small.memory.fixed_bytes()) + 1.5e9)
    assert drafted.cache_bytes(10) == pytest.approx(plain.cache_bytes(10) * (1 + 32768 / 131072))
    report = simulate_report(setup, in_flight=8, requests=48, equipment=equipment)
    assert report["tpot_s"]["mean"] == pytest.approx(report["closed_form"]["tpot_s"], rel=0.1)


def test_seeds_are_what_chance_hangs_on() -> None:
    setup = pm.estimate("llama-3.1-8b", "h100-sxm").setup
    small = pm.estimate("llama-3.2-1b", "h100-sxm").setup
    equipment = Equipment(draft=small, draft_tokens=3, acceptance=0.6)
    ends = [
        simulate_report(setup, in_flight=2, requests=6, equipment=equipment, seed=seed)["points"][-1]["e2e_s"]
        for seed in (1, 1, 2)
    ]
    assert ends[0] == ends[1] != ends[2]


def test_blocks_by_hand() -> None:
    """Blocks of 4 tokens in 3 steps: 9 tokens after the prompt's first take two blocks and a third, 3 steps each."""
    found = requests([0.0], 100, 10)
    simulate(found, [replica(ByTokens(), token_budget=1000, speculation=Blocks(4, 3))])
    assert found[0].finished_s == pytest.approx(0.1 + 9.0)
    assert found[0].tpot_s == pytest.approx(1.0)
    with pytest.raises(InputError, match="1 to 4"):
        Blocks(4, 5)


def test_one_way_to_draft_at_a_time() -> None:
    asked = pm.estimate("deepseek-v3", "h200-sxm", tp=8, draft_tokens=1)
    with pytest.raises(InputError, match="one of them"):
        replicas_of(asked.setup, Policy(), equipment=Equipment(block=(8, 4)))


def test_the_host_works_once_a_step_however_many_tokens_are_kept() -> None:
    served = pm.estimate(
        "deepseek-v3", "h200-sxm", tp=8, batch=4, input_tokens=1000, output_tokens=2, phase="decode", draft_tokens=3,
        acceptance=1.0, engine="vllm",
    )  # fmt: skip
    c = served.setup.framework.coefficients
    kernels = served.setup.answer(4.0, 1000.0, 2.0).phases.decode.time.expected
    wanted = kernels * c["decode_stretch"] + c["decode_host_us"] * 1e-6 / 4.0
    assert served.tpot_s.expected == pytest.approx(wanted, rel=1e-6)
    step = StepPredictor(served.setup).step_s(Composition(decodes=4, decode_context=1001.0))
    assert step == pytest.approx(4.0 * served.tpot_s.expected, rel=1e-3)
