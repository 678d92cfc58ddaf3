"""Language models with a vision tower: their text model as a family of its own, the tower as a count of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    dense_ffn,
    expert_counts,
    layer_count,
    skeleton,
    uniform,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.gemma import GEMMA3_DEFAULTS, GEMMA_IGNORED, read_gemma3_text
from perfmodel.workloads.families.known_keys import refuse_unknown_keys, word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.families.vision import (
    VISION_IGNORED,
    llama4_tower,
    qwen3_tower,
    siglip_tower,
    tower,
)
from perfmodel.workloads.spec import DenseFfn, MoeFfn

TOKENS = frozenset(
    {"vision_start_token_id", "vision_end_token_id", "image_token_index", "boi_token_index", "eoi_token_index",
     "mm_tokens_per_image", "vision_config", "text_config"}
)  # fmt: skip


def part(fields: ConfigFields, name: str, defaults: Mapping[str, Any]) -> ConfigFields:
    """Return the fields of a part of the config, such as ``text_config``."""
    fields.used.add(name)
    return ConfigFields(fields.source.nested(name), defaults)


_T = TypeVar("_T")


def vision_part(
    fields: ConfigFields, read: Callable[[ConfigFields], _T], family: str, ignored: frozenset[str] = frozenset()
) -> _T:
    """Return what ``read`` makes of ``vision_config``, whose other fields must change nothing."""
    vision = part(fields, "vision_config", {})
    made = read(vision)
    refuse_unknown_keys(vision, VISION_IGNORED | ignored, family)
    return made


_QWEN3_VL_TEXT = {
    "num_key_value_heads": 32, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 128000,
    "attention_bias": False, "tie_word_embeddings": False,
}  # fmt: skip


@register(
    "qwen3_vl", "Qwen3VLForConditionalGeneration", transformers="5.x", ignored=TOKENS,
    defaults={"tie_word_embeddings": False},
)  # fmt: skip
def read_qwen3_vl(fields: ConfigFields) -> Skeleton:
    """Return a dense Qwen3-VL: Qwen3's layers, and a ViT whose features enter three layers too."""
    text = part(fields, "text_config", _QWEN3_VL_TEXT)
    bias = text.flag("attention_bias")
    found = uniform(text, attention(text, qkv_bias=bias, output_bias=bias, qk_norm="head"), dense_ffn(text))
    refuse_unknown_keys(text, frozenset(), "qwen3_vl")
    towers = (vision_part(fields, partial(qwen3_tower, deep=(8, 16, 24)), "qwen3_vl"),)
    tied = fields.flag("tie_word_embeddings") or text.flag("tie_word_embeddings")
    return replace(found, tied_embeddings=tied, towers=towers)


_LLAMA4_TEXT = {
    "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 131072,
    "attention_bias": False, "tie_word_embeddings": False, "interleave_moe_layer_step": 1, "moe_layers": None,
    "attention_chunk_size": 8192, "no_rope_layers": None, "no_rope_layer_interval": 4, "num_local_experts": 16,
    "num_experts_per_tok": 1, "layer_types": None, "use_qk_norm": True,
}  # fmt: skip
_LLAMA4_IGNORED = frozenset(
    {
        "use_qk_norm",
        "attn_temperature_tuning",
        "floor_scale",
        "attn_scale",
        "for_llm_compressor",
        "router_aux_loss_coef",
    }
)


@register("llama4_text", "Llama4ForCausalLM", transformers="5.x", defaults=_LLAMA4_TEXT, ignored=_LLAMA4_IGNORED)
def read_llama4_text(fields: ConfigFields) -> Skeleton:
    """Return a Llama 4's language model: experts in every n-th layer, attention within chunks in three of four."""
    check_activation(fields)
    layers, bias = layer_count(fields), fields.flag("attention_bias")
    experts, topk = expert_counts(fields, "num_local_experts")
    width = fields.whole("intermediate_size")
    sparse = MoeFfn(experts, topk, width, shared_intermediate=width)
    dense = DenseFfn(fields.whole("intermediate_size_mlp"))
    step = fields.whole("interleave_moe_layer_step")
    stated = fields.wholes("moe_layers")
    routed = frozenset(range(step - 1, layers, step) if stated is None else stated)
    chunk = fields.optional_whole("attention_chunk_size") or 0
    found: list[Layer] = []
    for index in range(layers):
        rotated = _rotated(fields, index)
        mixer = attention(fields, window=chunk if rotated else 0, qkv_bias=bias, output_bias=bias)
        mixer = replace(mixer, chunked=rotated and chunk > 0, rotated=rotated)
        found.append(Layer(mixer, sparse if index in routed else dense))
    return skeleton(fields, found)


def _rotated(fields: ConfigFields, index: int) -> bool:
    """Say whether a layer has rotation, and with it chunks: those without attend to everything."""
    stated = fields.wholes("no_rope_layers")
    kinds = fields.words("layer_types")
    interval = fields.whole("no_rope_layer_interval")
    if kinds:
        return kinds[index] != "full_attention"
    return bool(stated[index]) if stated else (index + 1) % interval != 0


_LLAMA4_VISION_IGNORED = word_set(
    """
multi_modal_projector_bias projector_dropout vision_feature_layer vision_feature_select_strategy pixel_shuffle_ratio
"""
)


@register(
    "llama4", "Llama4ForConditionalGeneration", transformers="5.x", ignored=TOKENS | {"boi_token_index"},
    defaults={"tie_word_embeddings": False},
)  # fmt: skip
def read_llama4(fields: ConfigFields) -> Skeleton:
    """Return a Llama 4; a config without ``vision_config`` is taken as the language model alone."""
    text = part(fields, "text_config", _LLAMA4_TEXT)
    found = read_llama4_text(text)
    refuse_unknown_keys(text, _LLAMA4_IGNORED, "llama4")
    if not fields.given("vision_config"):
        return found
    towers = vision_part(fields, partial(llama4_tower, hidden=found.hidden), "llama4", _LLAMA4_VISION_IGNORED)
    return replace(found, towers=towers)


_GEMMA3_TEXT = GEMMA3_DEFAULTS | {
    "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8,
}  # fmt: skip


@register(
    "gemma3", "Gemma3ForConditionalGeneration", transformers="5.x", ignored=TOKENS,
    defaults={"tie_word_embeddings": True},
)  # fmt: skip
def read_gemma3(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 3 with SigLIP as its vision tower and a projection after it."""
    text = part(fields, "text_config", _GEMMA3_TEXT)
    found = replace(read_gemma3_text(text), tied_embeddings=fields.flag("tie_word_embeddings"))
    refuse_unknown_keys(text, GEMMA_IGNORED, "gemma3")
    vision = vision_part(fields, siglip_tower, "gemma3")
    tokens = fields.optional_whole("mm_tokens_per_image") or 256
    projector = tower(
        "projector", found.hidden, (), tokens=0, matrices=[(tokens, vision.hidden, found.hidden)], other=vision.hidden,
        output_tokens=tokens,
    )  # fmt: skip
    return replace(found, towers=(vision, projector))
