"""The operators of one step, summed and compared with hand formulas."""

from __future__ import annotations

import dataclasses

import pytest

from perfmodel.ops import (
    AllReduce,
    AttentionDecode,
    AttentionPrefill,
    Collective,
    ExpertExchange,
    Experts,
    Linear,
    MlaDecode,
)
from perfmodel.plan import Plan, StepOperator, StepShape, choose_precisions, step_operators
from perfmodel.workloads.library import load_model

PEAKS = frozenset({"tf32", "float16", "bfloat16", "fp8", "int8"})
PROMPT = StepShape(prefills=1, new_tokens=128, prefill_context=128, logits="all")
DECODE = StepShape(decodes=16, decode_context=1000)

# llama-3.1-8b a token: qkv 4096*(4096+2*1024) + o 4096*4096 + gate and up 4096*2*14336 + down 14336*4096 in 32 layers,
# head 4096*128256: 6,979,321,856 + 525,336,576 weights, two flops each
LLAMA_FLOPS = 15_009_316_864


def _steps(name: str, plan: Plan, shape: StepShape, precision: str | None = "bfloat16") -> list[StepOperator]:
    model = load_model(name)
    return step_operators(model, plan, choose_precisions(model, PEAKS, precision), shape)


def _names(steps: list[StepOperator]) -> set[str]:
    return {s.name for s in steps}


def _linear_flops(steps: list[StepOperator]) -> float:
    return sum(s.repeat * s.operator.counts().total_flops() for s in steps if isinstance(s.operator, Linear))


def _one(steps: list[StepOperator], name: str) -> StepOperator:
    (found,) = [s for s in steps if s.name == name]
    return found


def test_linear_layers_take_two_flops_a_parameter_and_token() -> None:
    assert _linear_flops(_steps("llama-3.1-8b", Plan(), PROMPT)) == 128 * LLAMA_FLOPS
    assert _linear_flops(_steps("llama-3.1-8b", Plan(), DECODE)) == 16 * LLAMA_FLOPS


def test_logits_of_the_last_position_only() -> None:
    last = StepShape(prefills=2, new_tokens=64, prefill_context=64)
    steps = _steps("llama-3.1-8b", Plan(), last)
    head = 2 * 4096 * 128256
    assert _linear_flops(steps) == 128 * (LLAMA_FLOPS - head) + 2 * head  # one row a sequence
    assert _one(steps, "lm_head").operator.numbers()["m"] == 2


@pytest.mark.parametrize("tp", [2, 4, 8])
def test_tensor_parallelism_splits_the_flops(tp: int) -> None:
    assert _linear_flops(_steps("llama-3.1-8b", Plan(tp=tp), DECODE)) == 16 * LLAMA_FLOPS / tp


def test_kv_heads_are_replicated_beyond_their_number() -> None:
    steps = _steps("llama-3.1-8b", Plan(tp=16), DECODE)
    core = _one(steps, "attention_decode").operator
    assert isinstance(core, AttentionDecode)
    assert (core.heads, core.kv_heads) == (2, 1)  # 32/16; 8 KV heads on 16 devices: each on two
    # q 2 heads, k and v one each: 4*128 columns instead of 3*128
    assert _one(steps, "qkv_proj").operator.numbers()["n"] == 512


def test_one_device_has_no_collectives() -> None:
    for name in ("llama-3.1-8b", "deepseek-v3", "mixtral-8x7b"):
        assert not [s for s in _steps(name, Plan(), DECODE) if isinstance(s.operator, Collective)]


def test_tensor_parallelism_reduces_twice_a_layer() -> None:
    steps = _steps("llama-3.1-8b", Plan(tp=4), DECODE)
    reduces = {s.name: (s.repeat, s.operator.numbers()) for s in steps if isinstance(s.operator, AllReduce)}
    layer = (32.0, {"ranks": 4, "bytes": 16 * 4096 * 2})
    assert reduces == {
        "attention_all_reduce": layer,
        "ffn_all_reduce": layer,
        "embedding_all_reduce": (1, {"ranks": 4, "bytes": 16 * 4096 * 2}),
    }
    gather = _one(steps, "logits_all_gather").operator.numbers()
    assert gather == {"ranks": 4, "bytes": 16 * 128256 * 2}


def test_prefill_attention_is_in_the_step_with_its_shape() -> None:
    steps = _steps("llama-3.1-8b", Plan(tp=2), StepShape(prefills=3, new_tokens=10, prefill_context=25))
    core = _one(steps, "attention_prefill").operator
    assert isinstance(core, AttentionPrefill)
    assert core.numbers() == {
        "batch": 3, "q_tokens": 10, "kv_tokens": 25, "heads": 16, "kv_heads": 4, "head_dim": 128, "window": 0,
    }  # fmt: skip
    assert "attention_decode" not in _names(steps)


def test_a_mixed_step_has_both_kinds_and_all_tokens_in_its_linear_layers() -> None:
    shape = StepShape(prefills=1, new_tokens=100, prefill_context=100, decodes=7, decode_context=50)
    steps = _steps("llama-3.1-8b", Plan(), shape)
    assert {"attention_prefill", "attention_decode"} <= _names(steps)
    assert _one(steps, "qkv_proj").operator.numbers()["m"] == 107
    assert _one(steps, "lm_head").operator.numbers()["m"] == 8


def test_layer_groups_appear_once_with_their_count() -> None:
    steps = _steps("deepseek-v3", Plan(), DECODE)
    cores = [s.repeat for s in steps if isinstance(s.operator, MlaDecode)]
    assert cores == [3, 58]
    assert [s.repeat for s in steps if isinstance(s.operator, Experts)] == [58]
    windows = {s.name: s.repeat for s in _steps("gpt-oss-20b", Plan(), DECODE) if s.name.startswith("attention_decode")}
    assert windows == {"attention_decode": 12, "attention_decode_window_128": 12}


def test_absorbed_and_up_projected_latent_attention() -> None:
    decode, prompt = (_steps("deepseek-v3", Plan(), shape) for shape in (DECODE, PROMPT))
    assert {"q_absorb", "mla_decode", "v_absorb"} <= _names(decode)
    assert "kv_b_proj" not in _names(decode)
    assert {"kv_b_proj", "mla_prefill"} <= _names(prompt)
    assert "q_absorb" not in _names(prompt)
    # the absorbed matrices are the same weights as the up-projection: 128 heads*512*(128 + 128)
    shapes = {s.name: s.operator.numbers() for s in decode + prompt}
    sizes = {name: shape["n"] * shape["k"] for name, shape in shapes.items() if "m" in shape}
    assert sizes["q_absorb"] + sizes["v_absorb"] == sizes["kv_b_proj"] == 128 * 512 * 256


def test_attention_groups_and_expert_parallelism_dispatch_and_combine() -> None:
    plan = Plan(tp=1, attention_dp=8, ep=8)
    steps = _steps("deepseek-v3", plan, StepShape(decodes=64, decode_context=1000), precision=None)
    assert {"expert_dispatch", "expert_combine"} <= _names(steps)
    assert not [s for s in steps if isinstance(s.operator, AllReduce)]
    dispatch, combine = (_one(steps, n).operator for n in ("expert_dispatch", "expert_combine"))
    assert isinstance(dispatch, ExpertExchange)
    # 64/8 tokens of a group go to at most 8 ranks: 8*8*7168 elements, out in fp8 with a scale of 4 bytes a 128, back in
    # 16 bits
    assert dispatch.numbers() == {"ranks": 8, "bytes": pytest.approx(8 * 8 * 7168 * (1 + 4 / 128))}
    assert combine.numbers() == {"ranks": 8, "bytes": 8 * 8 * 7168 * 2}
    experts = next(s.operator for s in steps if isinstance(s.operator, Experts))
    assert (experts.tokens, experts.ep, experts.tp) == (64, 8, 1)
    core = next(s.operator for s in steps if isinstance(s.operator, MlaDecode))
    assert (core.batch, core.heads) == (8, 128)


def test_attention_groups_with_split_experts_gather_and_scatter() -> None:
    steps = _steps("deepseek-v3", Plan(tp=1, attention_dp=8, ep=1), StepShape(decodes=64, decode_context=1000))
    assert {"expert_all_gather", "expert_reduce_scatter"} <= _names(steps)
    assert "expert_dispatch" not in _names(steps)


def test_expert_parallelism_within_one_attention_group_needs_no_dispatch() -> None:
    steps = _steps("mixtral-8x7b", Plan(tp=8, ep=8), DECODE)
    assert "expert_dispatch" not in _names(steps)
    assert "ffn_all_reduce" in _names(steps)


@pytest.mark.parametrize(("decodes", "groups", "share"), [(64, 8, 8), (4, 8, 1), (9, 8, 9 / 8)])
def test_the_fullest_group_has_at_least_one_whole_sequence(decodes: int, groups: int, share: float) -> None:
    assert StepShape(decodes=decodes).per_group(groups).decodes == share


def test_a_head_that_does_not_divide_is_padded() -> None:
    model = dataclasses.replace(load_model("llama-3.1-8b"), vocabulary=50257)
    steps = step_operators(model, Plan(tp=4), choose_precisions(model, PEAKS), DECODE)
    assert _one(steps, "lm_head").operator.numbers()["n"] == 12565  # 12564.25
