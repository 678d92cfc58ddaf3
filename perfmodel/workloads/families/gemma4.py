"""Gemma 3n and 4: local and global layers of different heads, shared caches, inputs of each layer's own, experts."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    layer_count,
    skeleton,
    window_flags,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import refuse_unknown_keys, word_set
from perfmodel.workloads.families.multimodal import TOKENS, part, vision_part
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.families.vision import gemma4_tower
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, MoeFfn

_DEFAULTS = {
    "num_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512, "hidden_act": "gelu_pytorch_tanh",
    "tie_word_embeddings": True, "attention_bias": False, "max_position_embeddings": 131072, "sliding_window": 512,
    "vocab_size": 262144, "vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256,
    "attention_k_eq_v": False, "num_kv_shared_layers": 0, "enable_moe_block": False, "use_double_wide_mlp": False,
    "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30, "num_attention_heads": 8,
}  # fmt: skip
_IGNORED = word_set(
    """
hidden_activation final_logit_softcapping use_bidirectional_attention num_experts top_k_experts moe_intermediate_size
expert_intermediate_size vocab_size_per_layer_input num_global_key_value_heads per_layer_config
"""
)
_TOP = TOKENS | word_set(
    """
audio_token_id boa_token_id eoa_token_id eoa_token_index boi_token_id eoi_token_id
vision_soft_tokens_per_image
"""
)


@register("gemma4_text", "Gemma4ForCausalLM", transformers="5.23", defaults=_DEFAULTS, ignored=_IGNORED)
def read_gemma4_text(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 4's language model; layers that reuse keys and values have no matrices for them."""
    check_activation(fields)
    layers, side = layer_count(fields), fields.whole("hidden_size_per_layer_input", least=0)
    if fields.source.values.get("use_bidirectional_attention") == "all":
        raise fields.refusal("use_bidirectional_attention", "only causal text is understood")
    if fields.source.values.get("per_layer_config"):
        _uniform_overrides(fields)
    first_shared = layers - fields.whole("num_kv_shared_layers", least=0, most=layers)
    local, whole = (_attention(fields, window=flag) for flag in (True, False))
    made: list[Layer] = []
    for index, windowed in enumerate(_windowed(fields, layers)):
        mixer = replace(local if windowed else whole, shared_cache=index >= first_shared)
        ffn, norms, other = _network(fields, reuses=index >= first_shared)
        norms += 1 if side else 0
        made.append(Layer(mixer, ffn, norms, norms, side_width=side, other=other))
    found = skeleton(fields, made)
    if not side:
        return found
    tables = fields.whole("vocab_size_per_layer_input") * layers * side
    return replace(found, extra=(("per_layer_embedding", tables), ("per_layer_norm", side)))


def _uniform_overrides(fields: ConfigFields) -> None:
    """Refuse overrides layer by layer other than those that the fields for global layers say."""
    overrides = fields.source.nested("per_layer_config").values
    dims = {value.get("head_dim") for value in overrides.values() if isinstance(value, dict)}
    heads = {value.get("num_key_value_heads") for value in overrides.values() if isinstance(value, dict)}
    if len(dims) != 1 or len(heads) != 1:
        raise fields.refusal("per_layer_config", "layers that differ beyond local and global are not understood")


def _override(fields: ConfigFields, name: str) -> int | None:
    """Return what the per-layer config gives the global layers for a field."""
    overrides = fields.source.values.get("per_layer_config")
    if not isinstance(overrides, dict) or not overrides:
        return None
    first = next(iter(overrides.values()))
    value = first.get(name) if isinstance(first, dict) else None
    return value if isinstance(value, int) and 0 < value <= 65536 else None


def _windowed(fields: ConfigFields, layers: int) -> list[bool]:
    """Return which layers have a window: as ``layer_types`` says, or five of six; the last layer never has."""
    if fields.words("layer_types") is None:
        flags = [(index + 1) % 6 != 0 for index in range(layers)]
    else:
        flags = window_flags(fields, layers)
    return [*flags[:-1], False]


def _attention(fields: ConfigFields, *, window: bool) -> GroupedQueryAttention:
    bias = fields.flag("attention_bias")
    fields.used.add("sliding_window")
    found = attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")
    if window:
        return replace(found, window=fields.whole("sliding_window"))
    dim = _override(fields, "head_dim") or fields.whole("global_head_dim", most=65536)
    shared = fields.flag("attention_k_eq_v")
    stated = _override(fields, "num_key_value_heads") or fields.optional_whole("num_global_key_value_heads", most=65536)
    kv_heads = stated if stated is not None and shared else found.kv_heads
    if found.heads % kv_heads:
        raise fields.fault("num_global_key_value_heads", f"must divide the {found.heads} heads, not {kv_heads}")
    return replace(found, head_dim=dim, kv_heads=kv_heads, shared_values=shared)


def _network(fields: ConfigFields, *, reuses: bool) -> tuple[DenseFfn | MoeFfn, int, int]:
    """Return a layer's feed-forward network, its norms, and parameters that belong to neither."""
    wide = 2 if fields.flag("use_double_wide_mlp") and reuses else 1
    width = fields.whole("intermediate_size") * wide
    if not fields.flag("enable_moe_block"):
        return DenseFfn(width), 4, 0
    experts, topk = fields.whole("num_experts", most=65536), fields.whole("top_k_experts", most=65536)
    if topk > experts:
        raise fields.fault("top_k_experts", f"must not exceed the {experts} experts, not {topk}")
    inner = fields.whole("moe_intermediate_size", "expert_intermediate_size")
    scales = fields.whole("hidden_size") + experts  # of the router's input, and of each expert
    return MoeFfn(experts, topk, inner, shared_intermediate=width, router_extra=scales), 7, 0


@register(
    "gemma4", "Gemma4ForConditionalGeneration", transformers="5.23", ignored=_TOP,
    defaults={"tie_word_embeddings": True},
)  # fmt: skip
def read_gemma4(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 4 with its vision tower; one with an audio tower is refused."""
    if fields.given("audio_config"):
        raise fields.refusal("audio_config", "the audio tower is not understood")
    fields.used.add("audio_config")
    text = part(fields, "text_config", _DEFAULTS)
    found = replace(read_gemma4_text(text), tied_embeddings=fields.flag("tie_word_embeddings"))
    refuse_unknown_keys(text, _IGNORED, "gemma4")
    if not fields.given("vision_config"):
        return found
    tokens = fields.optional_whole("vision_soft_tokens_per_image") or 280
    towers = vision_part(fields, lambda v: gemma4_tower(v, found.hidden, tokens), "gemma4", _VISION_IGNORED)
    return replace(found, towers=towers)


_VISION_IGNORED = word_set(
    """
default_output_length global_head_dim image_seq_length video_seq_length standardize use_clipped_linears
dtype
"""
)
