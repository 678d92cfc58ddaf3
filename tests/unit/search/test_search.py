"""The search for a deployment: columns of plans against plans one by one, and choices against going through all."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.devices import load_device
from perfmodel.errors import InputError, PlanError
from perfmodel.plan.parallelism import Plan, plan_problem
from perfmodel.search.choose import front, nearest_misses, ranked
from perfmodel.search.deployment import decide, question_of
from perfmodel.search.goals import Goals
from perfmodel.search.kept import keeping, packed, unpacked
from perfmodel.search.options import Found, Option, Searching, option
from perfmodel.search.points import Points, points
from perfmodel.search.pools import best_pools
from perfmodel.search.space import Space, grouped, plans_of
from perfmodel.search.steps import all_steps
from perfmodel.serving.scenario import Question, prepare
from perfmodel.workloads.library import load_model

LENGTHS = (2048, 256)
CASES = [
    ("llama-3.1-8b", "l40s", "", 8),
    ("qwen3-30b-a3b", "h100-sxm", "vllm", 16),
    ("deepseek-v3", "h200-sxm", "sglang", 16),
    ("gpt-oss-20b", "b200", "trtllm", 4),
]


def table_of(model: str, device: str, engine: str, gpus: int) -> Points:
    return points(all_steps(load_model(model), load_device(device), Question(engine=engine), Space(gpus), *LENGTHS))


@pytest.mark.parametrize(("model", "device", "engine", "gpus"), CASES)
def test_columns_are_the_answers_one_by_one(model: str, device: str, engine: str, gpus: int) -> None:
    table = table_of(model, device, engine, gpus)
    rows = range(3, len(table), max(len(table) // 40, 1))
    for index in rows:
        row, plan = table.row(index), table.plans[int(table.plan[index])]
        setup = prepare(load_model(model), load_device(device), Question(plan=plan, engine=engine))
        answer = setup.answer(row["load"], *map(float, LENGTHS))
        assert answer.phases.ttft is not None
        assert answer.phases.tpot is not None
        assert row["ttft_s"] == pytest.approx(answer.phases.ttft.expected, rel=1e-6), plan
        assert row["tpot_s"] == pytest.approx(answer.phases.tpot.expected, rel=1e-6), plan
        assert row["tpot_p90_s"] == pytest.approx(answer.phases.tpot.p90, rel=1e-6)
        assert row["requests_per_s"] == pytest.approx(answer.requests_per_s, rel=1e-6)
        assert row["joules_per_token"] == pytest.approx(answer.extras["joules_per_token"], rel=1e-6)
        assert row["devices"] == setup.devices
        assert row["load"] <= answer.most_running


def test_the_space_holds_every_plan_of_powers_of_two() -> None:
    model = load_model("qwen3-30b-a3b")
    found = set(plans_of(model, Space(8, {"cp": (1,)})))
    powers = (1, 2, 4, 8)
    for tp, pp, groups, ep in itertools.product(powers, repeat=4):
        plan = Plan(tp=tp, pp=pp, attention_dp=groups, ep=ep)
        possible = tp * pp * groups <= 8 and (tp * groups) % ep == 0 and plan_problem(model, plan) is None
        assert (plan in found) == possible, plan


def test_the_best_is_the_best_of_all() -> None:
    table = table_of("llama-3.1-8b", "l40s", "", 8)
    goals = Goals(8, rate=3.0, tpot_s=0.05, ttft_s=2.0)
    best = ranked(table, goals)[0]
    devices = []
    for index in range(len(table)):
        row = table.row(index)
        replicas = math.ceil(goals.rate / row["requests_per_s"] * (1 - 1e-9))
        if row["ttft_s"] <= 2.0 and row["tpot_s"] <= 0.05 and replicas * row["devices"] <= 8:
            devices.append(replicas * row["devices"])
    assert best["replicas"] * best["devices"] == min(devices)


@pytest.mark.parametrize("objective", ["cost", "throughput", "latency", "energy"])
def test_every_objective_answers_and_holds_its_limits(objective: str) -> None:
    goals = Goals(8, tpot_s=0.04, objective=objective)
    chosen = option(load_device("h100-sxm"), Question(engine="vllm"), goals)
    found = decide(load_model("llama-3.1-8b"), [chosen], {"cp": (1,)}, 1024, 256)
    assert found.best is not None
    assert found.best["tpot_s"] <= 0.04 * (1 + 1e-6)
    assert found.best["fits"]
    assert set(found.flags) == {"vllm", "sglang", "trtllm"}


def test_the_answer_serves_the_rate_that_was_asked_for() -> None:
    chosen = option(load_device("h100-sxm"), Question(engine="vllm"), Goals(16, rate=4.0, ttft_s=2.0, tpot_s=0.04))
    found = decide(load_model("llama-3.1-70b"), [chosen], {"cp": (1,)}, 4096, 512)
    best = found.best
    assert best is not None
    assert best["requests_per_s"] == pytest.approx(4.0, rel=2e-3)
    assert best["ttft_s"] <= 2.0
    assert best["tpot_s"] <= 0.04
    assert best["devices_used"] <= 16
    assert all(row["score"] >= best["score"] * 0.998 for row in found.others)


def test_pools_are_what_the_deployment_of_pools_answers() -> None:
    model, device, question = load_model("llama-3.1-8b"), load_device("h100-sxm"), Question(engine="sglang")
    goals = Goals(8, tpot_s=0.02)
    steps = all_steps(model, device, question, Space(8, {"cp": (1,)}), *LENGTHS)
    pools = best_pools(steps, goals)
    assert pools
    for one in pools:
        asked = replace(question, mode="disagg", prefill_pool=one.prefill, decode_pool=one.decode)
        answer = prepare(model, device, asked).answer(one.in_flight, *map(float, LENGTHS))
        assert answer.phases.ttft is not None
        assert answer.phases.tpot is not None
        assert one.devices <= 8
        assert one.ttft_s == pytest.approx(answer.phases.ttft.expected, rel=1e-6)
        assert one.tpot_s == pytest.approx(answer.phases.tpot.expected, rel=1e-6)
        assert one.requests_per_s == pytest.approx(answer.requests_per_s, rel=1e-6)


def test_nothing_on_the_front_is_beaten() -> None:
    table = table_of("qwen3-30b-a3b", "h100-sxm", "vllm", 16)
    rows = front(table, Goals(16, ttft_s=5.0))
    speeds = [row["tokens_per_s_per_user"] for row in rows]
    rates = [row["tokens_per_s_per_device"] for row in rows]
    assert speeds == sorted(speeds, reverse=True)
    assert rates == sorted(rates)
    assert max(rates) == pytest.approx((table.tokens_per_s / table.devices)[table.ttft_s <= 5.0].max(), rel=0.006)


def test_limits_that_nothing_keeps_say_what_is_missing() -> None:
    chosen = option(load_device("h100-sxm"), Question(), Goals(8, rate=50.0, ttft_s=0.001, tpot_s=0.001))
    found = decide(load_model("llama-3.1-70b"), [chosen], {"cp": (1,)}, 4096, 512)
    assert found.best is None
    text = " ".join(found.misses[0]["misses"])
    assert "TTFT" in text
    assert "TPOT" in text
    assert "requests a second" in text
    table = table_of("llama-3.1-8b", "l40s", "", 8)
    assert nearest_misses(table, Goals(8, rate=1e9))[0]["misses"]


def test_a_model_without_room_says_how_much_it_needs() -> None:
    with pytest.raises(PlanError, match="GB a device"):
        decide(load_model("llama-3.1-405b"), [option(load_device("l4"), Question(), Goals(2))], {}, 1024, 256)


def test_words_that_are_not_known() -> None:
    with pytest.raises(InputError, match="throughput"):
        Goals(8, objective="thruput")
    with pytest.raises(PlanError, match="tp 3"):
        plans_of(load_model("llama-3.1-8b"), Space(8, {"tp": (3,)}))


def test_question_of_a_row_is_exact() -> None:
    chosen = option(load_device("h100-sxm"), Question(engine="vllm"), Goals(8))
    row = {"mode": "agg", "tp": 2, "pp": 1, "cp": 1, "attention_dp": 1, "ep": 1, "replicas": 4}
    assert question_of(row, chosen).plan == Plan(tp=2, dp=4)


def test_what_was_found_is_the_same_after_it_was_kept() -> None:
    chosen = option(load_device("h100-sxm"), Question(engine="vllm"), Goals(8, rate=2.0, tpot_s=0.04))
    found = Searching(load_model("llama-3.1-8b"), {"cp": (1,)}, ("agg", "disagg"), (1024, 256))(chosen)
    assert any("pools" in row for row in found.rows)
    assert unpacked(json.loads(json.dumps(packed(found)))) == found


def test_a_search_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    goals = Goals(4, tpot_s=0.05)
    options = [option(load_device(name), Question(engine="vllm"), goals) for name in ("l40s", "h100-sxm")]
    search = Searching(load_model("llama-3.1-8b"), {"cp": (1,)}, ("agg",), (1024, 256))
    out = str(tmp_path / "front.csv")
    with pytest.raises(KeyboardInterrupt), keeping(out, {"asked": 1}, "") as mapper:  # noqa: PT012 - one is not enough
        next(mapper(search, options[:1]))
        raise KeyboardInterrupt
    calls: list[str] = []

    def counted(one: Option) -> Found:
        calls.append(one.device.name)
        return search(one)

    with keeping(out, {"asked": 1}, "") as mapper:
        found = dict(mapper(counted, options))
    assert calls == ["h100-sxm"]
    assert [found[place] for place in range(2)] == [search(one) for one in options]
    assert not list(tmp_path.iterdir())


def test_plans_that_differ_in_numbers_alone_are_evaluated_together() -> None:
    model, device = load_model("deepseek-v3"), load_device("h200-sxm")
    plans = plans_of(model, Space(1024, {"cp": (1,)}))
    groups = grouped(model, plans, device, "sglang")
    assert sum(len(group.members) for group in groups) == len(plans) > 1000
    assert len(groups) <= 7  # ways in which tokens travel to the experts, inside a domain and beyond it; one device
