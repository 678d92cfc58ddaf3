"""Stored formats from the ways in which checkpoints describe their quantisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perfmodel.errors import ImportRefused, SpecError
from perfmodel.workloads import LanguageModel
from perfmodel.workloads.spec import Quantisation

Build = Callable[..., LanguageModel]


def formats(stored: Quantisation) -> tuple[str, str, str, str, str | None]:
    return stored.linear, stored.attention, stored.experts, stored.lm_head, stored.kv


def block(**fields: Any) -> dict[str, Any]:
    return {"quantization_config": fields}


def scheme(weights: dict[str, Any] | None, activations: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return block(quant_method="compressed-tensors", config_groups={"group_0": group}, ignore=["lm_head"], **more)


_F8, _I8 = {"num_bits": 8, "type": "float"}, {"num_bits": 8, "type": "int"}
_F4 = {"num_bits": 4, "type": "float", "group_size": 16, "strategy": "tensor_group"}
_I4 = {"num_bits": 4, "type": "int", "group_size": 128, "strategy": "group"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (block(quant_method="fp8", activation_scheme="dynamic", weight_block_size=[128, 128]), "fp8_block"),
        (block(quant_method="fp8", activation_scheme="static"), "fp8"),
        (block(quant_method="fbgemm_fp8", activation_scale_ub=1200.0), "fp8"),
        (block(quant_method="modelopt", quant_algo="NVFP4", ignore=["lm_head"], group_size=16), "nvfp4"),
        (block(quant_method="modelopt", quant_algo="W4A16_AWQ", exclude_modules=["lm_head"]), "int4_wo"),
        (block(quant_method="awq", bits=4, group_size=128, zero_point=True, version="gemm"), "int4_wo"),
        (block(quant_method="gptq", bits=4, group_size=128, desc_act=True, sym=True), "int4_wo"),
        (block(quant_method="gptq", bits=8, group_size=32), "int8_wo"),
        (block(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_use_double_quant=True), "int4_wo"),
        (block(quant_method="bitsandbytes", load_in_8bit=True, llm_int8_threshold=6.0), "int8"),
        (scheme(_F8, _F8), "fp8"),
        (scheme(_F8), "fp8_wo"),
        (scheme({**_F8, "strategy": "block", "block_structure": [128, 128]}, _F8), "fp8_block"),
        (scheme(_I8, _I8), "int8"),
        (scheme(_I8), "int8_wo"),
        (scheme(_I4), "int4_wo"),
        (scheme(_F4, _F4), "nvfp4"),
        (scheme(_F4), "nvfp4_wo"),
        (scheme({**_F4, "group_size": 32}), "w4a16_mxfp4"),
    ],
)
def test_methods(config: dict[str, Any], expected: str, build: Build) -> None:
    stored = build("llama", **config).quantisation
    assert formats(stored) == (expected, expected, expected, "bfloat16", None)


def test_mxfp4_stores_only_experts(build: Build) -> None:
    excluded = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    stored = build("gpt_oss", **block(quant_method="mxfp4", modules_to_not_convert=excluded)).quantisation
    assert formats(stored) == ("bfloat16", "bfloat16", "w4a16_mxfp4", "bfloat16", None)


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        (None, ("fp8", "fp8", "fp8", "bfloat16")),
        ([], ("fp8", "fp8", "fp8", "fp8")),
        (["lm_head"], ("fp8", "fp8", "fp8", "bfloat16")),
        (["lm_head", "gate", "model.layers.1.mlp.gate"], ("fp8", "fp8", "fp8", "bfloat16")),
        (["self_attn", "lm_head"], ("fp8", "bfloat16", "fp8", "bfloat16")),
        (["model.layers.*.self_attn*"], ("fp8", "bfloat16", "fp8", "fp8")),
        (["re:.*self_attn.*", "re:.*lm_head"], ("fp8", "bfloat16", "fp8", "bfloat16")),
        ([f"model.language_model.layers.{i}.self_attn*" for i in range(4)], ("fp8", "bfloat16", "fp8", "fp8")),
        ([f"model.layers.{i}.self_attn.{p}_proj" for i in range(4) for p in "qkvo"], ("fp8", "bfloat16", "fp8", "fp8")),
        (["experts", "lm_head"], ("fp8", "fp8", "bfloat16", "bfloat16")),
        (["model.layers.1.block_sparse_moe.gate"], ("fp8", "fp8", "fp8", "fp8")),
    ],
)
def test_exclusions_decide(excluded: list[str] | None, expected: tuple[str, ...], build: Build) -> None:
    stored = build("mixtral", **block(quant_method="fp8", modules_to_not_convert=excluded)).quantisation
    assert formats(stored)[:4] == expected


def test_shared_experts_are_linear_layers(build: Build) -> None:
    config = block(quant_method="fp8", modules_to_not_convert=["model.layers.0.mlp.gate_proj", "lm_head"])
    with pytest.raises(ImportRefused, match="mixed precision"):
        build("deepseek_v3", **config)
    excluded = ["lm_head", "shared_experts", "re:.*layers.0.mlp.*"]
    stored = build("deepseek_v3", **block(quant_method="fp8", ignore=excluded)).quantisation
    assert formats(stored) == ("bfloat16", "fp8", "fp8", "bfloat16", None)


def test_tied_heads_stay_as_the_embedding(build: Build) -> None:
    config = block(quant_method="fp8", modules_to_not_convert=[])
    assert build("llama", tie_word_embeddings=True, **config).quantisation.lm_head == "bfloat16"


def test_separate_file(build: Build) -> None:
    inner = {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    separate = {"producer": {"name": "modelopt"}, "quantization": inner}
    assert formats(build("llama", separate).quantisation) == ("fp8", "fp8", "fp8", "bfloat16", "fp8")


def test_separate_file_of_the_cache_alone(build: Build) -> None:
    separate = {"quantization": {"quant_algo": None, "kv_cache_quant_algo": "FP8"}}
    assert formats(build("llama", separate).quantisation)[0::4] == ("bfloat16", "fp8")


@pytest.mark.parametrize(
    "said", [{"kv_cache_scheme": {"num_bits": 8, "type": "float"}}, {"kv_cache_quant_algo": "FP8"}]
)
def test_cache(said: dict[str, Any], build: Build) -> None:
    config = block(quant_method="modelopt", quant_algo="NVFP4", ignore=["lm_head"], **said)
    assert build("llama", **config).quantisation.kv == "fp8"


def test_base_type(build: Build) -> None:
    assert build("llama", torch_dtype="float16").quantisation == Quantisation(*["float16"] * 5)
    assert build("llama", dtype="float32").quantisation.linear == "float32"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (block(quant_method="quip"), "quant_method 'quip' is not understood"),
        (block(quant_method="fp8", weight_block_size=[64, 64]), "weight_block_size"),
        (block(quant_method="modelopt", quant_algo="MIXED_PRECISION"), "quant_algo"),
        (block(quant_method="modelopt", quant_algo="FP8", quantized_layers={"a": 1}), "quantized_layers"),
        (block(quant_method="modelopt", quant_algo="FP8", kv_cache_quant_algo="INT2"), "kv_cache_quant_algo"),
        (block(quant_method="gptq", bits=3), "bits"),
        (block(quant_method="bitsandbytes", load_in_4bit=True), "bnb_4bit_use_double_quant"),
        (block(quant_method="gptq", bits=4, group_size=64), "group_size"),
        (block(quant_method="gptq", bits=4, dynamic={"-:.*": {}}), "dynamic"),
        (block(quant_method="fp8", modules_to_not_convert=["model.layers.0.self_attn"]), "mixed precision"),
        (block(quant_method="fp8", modules_to_not_convert=["re:("]), "regular expression"),
        (scheme({**_I4, "num_bits": 3}), "int3 weights"),
        (scheme(_F8, _F8, sparsity_config={"format": "sparse-24"}), "sparsity_config"),
    ],
)
def test_what_is_not_clearly_readable_is_refused(config: dict[str, Any], field: str, build: Build) -> None:
    with pytest.raises(ImportRefused, match=field):
        build("llama", **config)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"quantization_config": "fp8"}, "quantization_config: must be an object"),
        (block(bits=4), r"quantization_config\.quant_method: is missing"),
        (block(quant_method="awq"), r"quantization_config\.bits: is missing"),
        (block(quant_method="fp8", modules_to_not_convert="lm_head"), "modules_to_not_convert: must be a list"),
        (scheme(None), r"group_0\.weights: is missing"),
    ],
)
def test_bad_blocks(config: dict[str, Any], field: str, build: Build) -> None:
    with pytest.raises(SpecError, match=field):
        build("llama", **config)
