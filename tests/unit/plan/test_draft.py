"""Drafts of a multi-token-prediction module and their verification, by hand."""

from __future__ import annotations

import pytest

from perfmodel import ops
from perfmodel.errors import InputError
from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.plan.memory import kv_bytes_per_sequence, weights_bytes_per_device
from perfmodel.plan.parallelism import plan_problem
from perfmodel.plan.step_shape import StepOperator
from perfmodel.plan.words import plan_from
from perfmodel.workloads import load_model

MODEL = load_model("deepseek-v3")
PEAKS = frozenset({"bfloat16", "fp8"})


def _steps(plan: Plan, shape: StepShape) -> dict[str, StepOperator]:
    return {s.name: s for s in step_operators(MODEL, plan, choose_precisions(MODEL, PEAKS), shape)}


def test_tokens_that_a_step_yields() -> None:
    assert Plan().tokens_per_step == 1
    assert Plan(draft_tokens=1, acceptance=0.85).tokens_per_step == pytest.approx(1.85)
    assert Plan(draft_tokens=3, acceptance=0.5).tokens_per_step == 1 + 0.5 + 0.25 + 0.125
    assert Plan(draft_tokens=2, acceptance=1.0).tokens_per_step == 3


def test_drafts_are_verified_together_and_read_the_cache_once() -> None:
    shape = StepShape(decodes=4, decode_context=1000)
    plain, drafted = _steps(Plan(), shape), _steps(Plan(draft_tokens=2, acceptance=0.5), shape)
    proj, core = drafted["qkv_a_proj"], drafted["mla_decode"]
    assert isinstance(proj.operator, ops.Linear)
    assert isinstance(core.operator, ops.MlaDecode)
    assert proj.operator.m == 3 * 4
    assert core.operator.q_tokens == 3
    assert proj.repeat == pytest.approx(plain["qkv_a_proj"].repeat / 1.75)
    cache = {name: s["mla_decode"].operator.counts().filter_bytes(role="kv", direction="read").total_bytes()
             for name, s in (("plain", plain), ("drafted", drafted))}  # fmt: skip
    assert cache["plain"] == cache["drafted"]


def test_a_draft_is_a_layer_a_matrix_and_the_head() -> None:
    drafted = _steps(Plan(draft_tokens=2, acceptance=1.0), StepShape(decodes=4, decode_context=1000))
    proj, head = drafted["draft_proj"], drafted["draft_lm_head"]
    assert isinstance(proj.operator, ops.Linear)
    assert (proj.operator.m, proj.operator.n, proj.operator.k) == (4, 7168, 2 * 7168)
    assert head.repeat == pytest.approx(2 / 3)
    assert "draft_experts" in drafted
    assert drafted["lm_head"].operator.counts().total_flops() == 3 * head.operator.counts().total_flops()


def test_prompts_have_no_drafts() -> None:
    shape = StepShape(1, 100, 100)
    assert _steps(Plan(draft_tokens=1), shape) == _steps(Plan(), shape)


def test_the_module_takes_memory() -> None:
    formats, plan = choose_precisions(MODEL, PEAKS), Plan(draft_tokens=1)
    extra = weights_bytes_per_device(MODEL, plan, formats) - weights_bytes_per_device(MODEL, Plan(), formats)
    assert extra == pytest.approx(MODEL.mtp_parameters, rel=2e-3)  # fp8, the router in 16 bits
    assert kv_bytes_per_sequence(MODEL, plan, 2.0, 10) == 62 / 61 * kv_bytes_per_sequence(MODEL, Plan(), 2.0, 10)


def test_what_cannot_be() -> None:
    problem = plan_problem(load_model("llama-3.1-8b"), Plan(draft_tokens=1))
    assert problem == "draft_tokens 1: llama-3.1-8b has no multi-token-prediction module"
    with pytest.raises(InputError, match=r"acceptance must be between 0 and 1, not 1\.5"):
        plan_from({"draft_tokens": 1, "acceptance": "1.5"})
