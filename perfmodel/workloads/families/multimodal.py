"""Language models with a vision tower: their text model as a family of its own, the tower as a count of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
from perfmodel.workloads.spec import DenseFfn, MoeFfn

_TOKENS = frozenset(
    {"vision_start_token_id", "vision_end_token_id", "image_token_index", "boi_token_index", "eoi_token_index",
     "mm_tokens_per_image", "vision_config", "text_config"}
)  # fmt: skip


def _part(fields: ConfigFields, name: str, defaults: Mapping[str, Any]) -> ConfigFields:
    """Return the fields of a part of the config, such as ``text_config``."""
    fields.used.add(name)
    return ConfigFields(fields.source.nested(name), defaults)


def _vit_layer(width: int, inner: int) -> int:
    """Return the parameters of a ViT layer with biases: two LayerNorms, q, k, v and output, two matrices."""
    return 4 * width + 4 * (width * width + width) + 2 * width * inner + inner + width


_QWEN3_VL_TEXT = {
    "num_key_value_heads": 32, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 128000,
    "attention_bias": False, "tie_word_embeddings": False,
}  # fmt: skip
_QWEN3_VISION = {
    "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "in_channels": 3, "patch_size": 16,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 3584, "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [8, 16, 24],
}  # fmt: skip


@register(
    "qwen3_vl", "Qwen3VLForConditionalGeneration", transformers="5.x", ignored=_TOKENS,
    defaults={"tie_word_embeddings": False},
)  # fmt: skip
def read_qwen3_vl(fields: ConfigFields) -> Skeleton:
    """Return a dense Qwen3-VL: Qwen3's layers, and a ViT whose features enter three layers too."""
    text = _part(fields, "text_config", _QWEN3_VL_TEXT)
    bias = text.flag("attention_bias")
    found = uniform(text, attention(text, qkv_bias=bias, output_bias=bias, qk_norm="head"), dense_ffn(text))
    refuse_unknown_keys(text, frozenset(), "qwen3_vl")
    vision = _part(fields, "vision_config", _QWEN3_VISION)
    tower = _qwen3_tower(vision)
    refuse_unknown_keys(vision, frozenset({"hidden_act", "num_heads"}), "qwen3_vl")
    tied = fields.flag("tie_word_embeddings") or text.flag("tie_word_embeddings")
    return replace(found, tied_embeddings=tied, towers=(("vision", tower),))


def _qwen3_tower(v: ConfigFields) -> int:
    """Return the parameters: patches, positions, layers, the merger, and one more merger for each deep feature."""
    width, merged = v.whole("hidden_size"), v.whole("hidden_size") * v.whole("spatial_merge_size") ** 2
    patch = v.whole("in_channels") * v.whole("temporal_patch_size") * v.whole("patch_size") ** 2
    project = merged * merged + merged + merged * v.whole("out_hidden_size") + v.whole("out_hidden_size")
    deep = len(v.wholes("deepstack_visual_indexes") or ())
    layers = v.whole("depth") * _vit_layer(width, v.whole("intermediate_size"))
    tables = patch * width + width + v.whole("num_position_embeddings") * width
    return tables + layers + 2 * width + project + deep * (2 * merged + project)


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
    """Return a Llama 4's language model: experts in every n-th layer, chunks in three of four.

    A chunk is counted as a window of its length: exact up to one chunk, too much by up to twice beyond.
    """
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
        mixer = attention(fields, window=chunk if _rotated(fields, index) else 0, qkv_bias=bias, output_bias=bias)
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


_LLAMA4_VISION = {
    "hidden_size": 768, "num_hidden_layers": 34, "intermediate_size": 5632, "num_channels": 3, "patch_size": 14,
    "image_size": 448, "pixel_shuffle_ratio": 0.5, "projector_input_dim": 4096, "projector_output_dim": 4096,
    "vision_output_dim": 7680,
}  # fmt: skip
_LLAMA4_VISION_IGNORED = word_set(
    """
hidden_act num_attention_heads rope_theta norm_eps multi_modal_projector_bias projector_dropout
attention_dropout vision_feature_layer vision_feature_select_strategy pixel_shuffle_ratio
vision_output_dim rope_parameters
"""
)


@register(
    "llama4", "Llama4ForConditionalGeneration", transformers="5.x", ignored=_TOKENS | {"boi_token_index"},
    defaults={"tie_word_embeddings": False},
)  # fmt: skip
def read_llama4(fields: ConfigFields) -> Skeleton:
    """Return a Llama 4; a config without ``vision_config`` is taken as the language model alone."""
    text = _part(fields, "text_config", _LLAMA4_TEXT)
    found = read_llama4_text(text)
    refuse_unknown_keys(text, _LLAMA4_IGNORED, "llama4")
    if not fields.given("vision_config"):
        return found
    vision = _part(fields, "vision_config", _LLAMA4_VISION)
    width, positions = vision.whole("hidden_size"), (vision.whole("image_size") // vision.whole("patch_size")) ** 2 + 1
    patches = vision.whole("num_channels") * vision.whole("patch_size") ** 2 * width
    layers = vision.whole("num_hidden_layers") * _vit_layer(width, vision.whole("intermediate_size"))
    inner, out = vision.whole("projector_input_dim"), vision.whole("projector_output_dim")
    shuffled = vision.whole("intermediate_size") * inner + out * out
    tower = patches + width + positions * width + 4 * width + layers + shuffled
    projector = vision.whole("vision_output_dim") * found.hidden
    refuse_unknown_keys(vision, _LLAMA4_VISION_IGNORED, "llama4")
    return replace(found, towers=(("vision", tower), ("projector", projector)))


_GEMMA3_TEXT = GEMMA3_DEFAULTS | {
    "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8,
}  # fmt: skip
_SIGLIP = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_channels": 3, "image_size": 224,
           "patch_size": 16, "vision_use_head": True}  # fmt: skip
_SIGLIP_IGNORED = frozenset({"hidden_act", "num_attention_heads", "layer_norm_eps", "attention_dropout"})


@register(
    "gemma3", "Gemma3ForConditionalGeneration", transformers="5.x", ignored=_TOKENS,
    defaults={"tie_word_embeddings": True},
)  # fmt: skip
def read_gemma3(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 3 with SigLIP as its vision tower and a projection after it."""
    text = _part(fields, "text_config", _GEMMA3_TEXT)
    found = replace(read_gemma3_text(text), tied_embeddings=fields.flag("tie_word_embeddings"))
    refuse_unknown_keys(text, GEMMA_IGNORED, "gemma3")
    vision = _part(fields, "vision_config", _SIGLIP)
    width, patch = vision.whole("hidden_size"), vision.whole("patch_size")
    tables = vision.whole("num_channels") * patch * patch * width + width
    tables += (vision.whole("image_size") // patch) ** 2 * width
    one = _vit_layer(width, vision.whole("intermediate_size"))
    layers = vision.whole("num_hidden_layers") * one
    if vision.flag("vision_use_head"):
        layers += one - width  # a layer that pools: a learned query, one norm less
    refuse_unknown_keys(vision, _SIGLIP_IGNORED, "gemma3")
    projector = width * found.hidden + width
    return replace(found, towers=(("vision", tables + layers + 2 * width), ("projector", projector)))
