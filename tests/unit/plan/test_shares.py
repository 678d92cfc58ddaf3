"""Layers that some tokens skip, exits, low-rank adapters and product-key memories, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel import ops
from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.plan.memory import kv_bytes_per_sequence, weights_bytes_per_device
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads import load_model
from perfmodel.workloads.spec import LanguageModel, Lora, MemoryFfn

MODEL = load_model("llama-3.2-1b")
PEAKS = frozenset({"bfloat16"})


def _changed(**fields: object) -> LanguageModel:
    return replace(MODEL, layers=tuple(replace(g, **fields) for g in MODEL.layers))  # pyright: ignore[reportArgumentType]


def _steps(model: LanguageModel, shape: StepShape) -> dict[str, StepOperator]:
    found = step_operators(model, Plan(), choose_precisions(model, PEAKS), shape)
    return {step.name: step for step in found}


def test_a_batch_runs_a_layer_that_any_of_it_needs() -> None:
    steps = _steps(_changed(share=0.25), StepShape(decodes=4, decode_context=100))
    chance = 1 - 0.75**4
    proj = steps["qkv_proj"]
    assert proj.repeat == pytest.approx(16 * chance)
    assert isinstance(proj.operator, ops.Linear)
    assert proj.operator.m == pytest.approx(4 * 0.25 / chance)
    assert steps["lm_head"].repeat == 1


def test_mixture_of_depths_sees_and_keeps_a_share_of_the_tokens() -> None:
    model = _changed(share=0.125, prompt_share=0.125, keeps_skipped=False)
    core = _steps(model, StepShape(2, 800, 800))["attention_prefill"].operator
    assert isinstance(core, ops.AttentionPrefill)
    assert (core.q_tokens, core.kv_tokens) == (100, 100)
    decode = _steps(model, StepShape(decodes=1, decode_context=800))["attention_decode"]
    assert isinstance(decode.operator, ops.AttentionDecode)
    assert (decode.operator.kv_tokens, decode.reach) == (100, 0.125)
    whole = kv_bytes_per_sequence(MODEL, Plan(), 2.0, 800)
    assert kv_bytes_per_sequence(model, Plan(), 2.0, 800) == pytest.approx(whole / 8)


def test_early_exit_leaves_the_cache_whole_and_prompts_alone() -> None:
    model = _changed(share=0.5)
    assert kv_bytes_per_sequence(model, Plan(), 2.0, 800) == kv_bytes_per_sequence(MODEL, Plan(), 2.0, 800)
    core = _steps(model, StepShape(1, 800, 800))["attention_prefill"].operator
    assert isinstance(core, ops.AttentionPrefill)
    assert core.q_tokens == 800


def test_a_skipped_layer_is_stored_all_the_same() -> None:
    formats = choose_precisions(MODEL, PEAKS)
    whole = weights_bytes_per_device(MODEL, Plan(), formats)
    assert weights_bytes_per_device(_changed(share=0.01, prompt_share=0.01), Plan(), formats) == whole


def test_exits_ask_the_head() -> None:
    steps = _steps(_changed(share=0.5, exits=True), StepShape(decodes=4, decode_context=100))
    assert steps["exit_head"].repeat == 16
    assert "exit_head" not in _steps(_changed(exits=True), StepShape(1, 10, 10))


def test_adapters_beside_every_linear_layer() -> None:
    steps = _steps(_changed(lora=Lora(16, 4)), StepShape(decodes=8, decode_context=100))
    pair = steps["qkv_proj_lora"].operator
    assert isinstance(pair, ops.LoraPair)
    assert (pair.tokens, pair.sequences, pair.inputs, pair.outputs) == (8, 8, 2048, 1024)
    assert steps["qkv_proj_lora"].repeat == 3 * 16
    assert pair.counts().total_flops() == 2 * 8 * 16 * (2048 + 1024)
    touched = 4 * (1 - (3 / 4) ** 8)
    weights = pair.counts().filter_bytes(role="weight").total_bytes()
    assert weights == pytest.approx(touched * 16 * (2048 + 1024) * 2)
    assert "lm_head_lora" not in steps
    extra = weights_bytes_per_device(_changed(lora=Lora(16, 4)), Plan(), choose_precisions(MODEL, PEAKS))
    extra -= weights_bytes_per_device(MODEL, Plan(), choose_precisions(MODEL, PEAKS))
    sides = (3 * 2048 + 3072) + (2048 + 2048) + (2 * 2048 + 2 * 8192) + (8192 + 2048)
    assert extra == pytest.approx(16 * 4 * 16 * sides * 2)


def test_one_adapter_is_always_there() -> None:
    assert ops.LoraPair(8, 8, 64, 64, 4, 1).touched() == pytest.approx(1)


def test_a_memory_gathers_what_its_heads_choose() -> None:
    model = _changed(ffn=MemoryFfn(keys=100, heads=4, key_dim=256, topk=8))
    steps = _steps(model, StepShape(decodes=3, decode_context=10))
    values = steps["memory_values"].operator
    assert isinstance(values, ops.Embedding)
    assert (values.rows, values.cols) == (3 * 4 * 8, 2048)
    scores = steps["memory_scores"].operator
    assert scores.counts().total_flops() == 2 * 3 * (4 * 100) * 256
