"""Which format each part of a model runs in."""

from __future__ import annotations

import pytest

from perfmodel.errors import InputError
from perfmodel.plan import choose_precisions
from perfmodel.workloads.library import load_model

H100 = frozenset({"tf32", "float16", "bfloat16", "fp8", "int8"})
A100 = frozenset({"tf32", "float16", "bfloat16", "int8"})
V100 = frozenset({"float16"})


def test_a_16_bit_checkpoint_runs_in_16_bits() -> None:
    p = choose_precisions(load_model("llama-3.1-8b"), H100)
    formats = (p.linear, p.attention, p.experts, p.lm_head, p.router)
    assert {*(f.name for f in formats), p.cache.dtype, p.attention_dtype} == {"bfloat16"}


def test_what_is_asked_for_goes_to_linear_layers_but_not_to_head_and_router() -> None:
    p = choose_precisions(load_model("mixtral-8x7b"), H100, "fp8")
    assert (p.linear.name, p.attention.name, p.experts.name) == ("fp8", "fp8", "fp8")
    assert (p.lm_head.name, p.router.name, p.cache.dtype) == ("bfloat16", "bfloat16", "bfloat16")


def test_experts_may_differ() -> None:
    p = choose_precisions(load_model("mixtral-8x7b"), H100, "bf16", moe_precision="w4a16_mxfp4")
    assert (p.linear.name, p.experts.name) == ("bfloat16", "w4a16_mxfp4")
    assert choose_precisions(load_model("gpt-oss-20b"), H100).experts.name == "w4a16_mxfp4"


def test_a_quantised_checkpoint_keeps_its_formats() -> None:
    p = choose_precisions(load_model("deepseek-v3"), H100)
    assert (p.linear.name, p.attention.name, p.experts.name) == ("fp8_block", "fp8_block", "fp8_block")
    assert p.lm_head.name == "bfloat16"


def test_fp8_of_a_block_scaled_checkpoint_is_block_scaled() -> None:
    assert choose_precisions(load_model("deepseek-v3"), H100, "fp8").linear.name == "fp8_block"


def test_the_cache() -> None:
    llama = load_model("llama-3.1-8b")
    assert choose_precisions(llama, H100, kv_precision="fp8").cache.bits == 8
    assert choose_precisions(llama, H100, "fp16").cache.dtype == "float16"
    assert choose_precisions(llama, H100, "fp8").cache.bits == 16
    assert choose_precisions(llama, H100, "fp8", served=True).cache.bits == 8, "as frameworks serve it"
    assert choose_precisions(llama, A100, "fp8", served=True).cache.bits == 16, "not where it computes in 16 bits"
    assert choose_precisions(llama, H100, "fp8", kv_precision="bf16", served=True).cache.bits == 16


def test_without_the_units_it_computes_in_what_there_is() -> None:
    p = choose_precisions(load_model("llama-3.1-8b"), A100, "fp8")
    assert (p.linear.compute, p.linear.weight.bits, p.linear.activation.bits) == ("bfloat16", 8, 16)
    v = choose_precisions(load_model("llama-3.1-8b"), V100)
    assert (v.linear.compute, v.lm_head.compute, v.attention_dtype, v.cache.dtype) == ("float16",) * 4


def test_unknown_names() -> None:
    with pytest.raises(InputError, match="unknown precision 'fp9'"):
        choose_precisions(load_model("llama-3.1-8b"), H100, "fp9")
    with pytest.raises(InputError, match="unknown KV cache precision 'fp9'"):
        choose_precisions(load_model("llama-3.1-8b"), H100, kv_precision="fp9")
