"""Plans that cannot be, and why."""

from __future__ import annotations

import pytest

from perfmodel.errors import PlanError
from perfmodel.plan import Plan, plan_problem, validate_plan
from perfmodel.workloads.library import load_model


def test_devices() -> None:
    plan = Plan(tp=2, attention_dp=4, ep=8, dp=3)
    assert (plan.devices_per_replica, plan.devices, plan.expert_tp) == (8, 24, 1)
    assert Plan(tp=8).expert_tp == 8
    assert Plan(tp=4, attention_dp=2, ep=4, moe_tp=2).expert_tp == 2


@pytest.mark.parametrize(
    ("model", "plan"),
    [
        ("llama-3.1-8b", Plan()),
        ("llama-3.1-8b", Plan(tp=8)),
        ("llama-3.1-8b", Plan(tp=2, dp=64)),
        ("mixtral-8x7b", Plan(tp=8, ep=8)),
        ("mixtral-8x7b", Plan(tp=8, ep=2, moe_tp=4)),
        ("deepseek-v3", Plan(tp=1, attention_dp=8, ep=8)),
        ("deepseek-v3", Plan(tp=4, attention_dp=2, ep=4)),
        ("deepseek-v3", Plan(tp=4, attention_dp=80, ep=320, redundant_experts=64, overlap="two_batch")),
        ("llama-3.1-8b", Plan(tp=16, pp=5, cp=3, sequence_parallel=True)),
        ("qwen3-30b-a3b", Plan(tp=8)),  # 4 KV heads, each on two devices
    ],
)
def test_plans_that_can_be(model: str, plan: Plan) -> None:
    assert plan_problem(load_model(model), plan) is None
    validate_plan(load_model(model), plan)


@pytest.mark.parametrize(
    ("model", "plan", "said"),
    [
        ("llama-3.1-8b", Plan(pp=33), "pp 33 is more than the 32 layers of llama-3.1-8b"),
        ("llama-3.1-8b", Plan(microbatches=4), "microbatches 4 need a pipeline"),
        ("llama-3.1-8b", Plan(cp_mode="rings"), "unknown cp_mode 'rings' - did you mean 'ring'"),
        ("llama-3.1-8b", Plan(overlap="two_batch", attention_dp=2), "it needs a model with experts"),
        ("llama-3.1-8b", Plan(redundant_experts=8), "llama-3.1-8b has no experts"),
        ("llama-3.1-8b", Plan(sequence_parallel=True), "give tp above 1"),
        ("deepseek-v3", Plan(tp=4, attention_dp=80, ep=320), "ep 320 does not divide the 256 experts; .*64 redundant"),
        ("mixtral-8x7b", Plan(tp=2, cp=2, ep=8), "ep 8 does not divide the tp x attention_dp x cp = 4 devices"),
        ("llama-3.1-8b", Plan(tp=3), "tp 3 does not divide the 32 attention heads; 1, 2, 4, 8, 16, 32 do"),
        ("qwen2.5-7b", Plan(tp=7), "tp 7 neither divides the 4 KV heads nor is a multiple"),
        ("mixtral-8x7b", Plan(tp=2, ep=4), "ep 4 does not divide the tp x attention_dp = 2 devices"),
        ("mixtral-8x7b", Plan(ep=2), "ep 2 does not divide the tp x attention_dp = 1 devices"),
        ("mixtral-8x7b", Plan(tp=4, ep=3), "ep 3 does not divide the tp x attention_dp = 4 devices"),
        ("mixtral-8x7b", Plan(tp=4, ep=2, moe_tp=4), "moe_tp 4 x ep 2 must equal tp x attention_dp = 4"),
        ("gpt-oss-20b", Plan(attention_dp=3, ep=3), "ep 3 does not divide the 32 experts"),
        ("gpt-oss-20b", Plan(attention_dp=7, ep=1), "moe_tp 7 does not divide the experts' width 2880"),
    ],
)
def test_plans_that_cannot_be(model: str, plan: Plan, said: str) -> None:
    with pytest.raises(PlanError, match=said) as caught:
        validate_plan(load_model(model), plan)
    assert caught.value.exit_code == 3


def test_replicas_are_free() -> None:
    assert plan_problem(load_model("llama-3.1-8b"), Plan(tp=8, dp=1000)) is None


def test_a_plan_counts_its_devices() -> None:
    plan = Plan(tp=4, attention_dp=2, cp=3, pp=5, dp=7, ep=8)
    assert (plan.devices_per_stage, plan.devices_per_replica, plan.devices) == (24, 120, 840)
    assert (plan.expert_groups, plan.expert_tp) == (6, 3)
