"""Further families near Llama's build: BitNet, MiniCPM3, InternLM3, CWM, VaultGemma, Nemotron-NAS (DeciLM)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    dense_ffn,
    head_count,
    layer_count,
    skeleton,
    uniform,
    window_flags,
)
from perfmodel.workloads.families.deepseek import LATENT_IGNORED, latent_attention
from perfmodel.workloads.families.fields import ConfigFields, ConfigSource
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, Ffn, LinearBlock, Mixer

_USUAL = {
    "num_key_value_heads": None, "head_dim": None, "hidden_act": "silu", "tie_word_embeddings": False,
    "attention_bias": False, "mlp_bias": False, "max_position_embeddings": 2048,
}  # fmt: skip


@register(
    "bitnet", "BitNetForCausalLM", transformers="5.23", ignored=frozenset({"hidden_act"}),
    defaults=_USUAL | {"num_key_value_heads": 5, "hidden_act": "relu2"},
)  # fmt: skip
def read_bitnet(fields: ConfigFields) -> Skeleton:
    """Return a BitNet b1.58: a norm more within attention, and within the gated feed-forward block."""
    bias, width = fields.flag("attention_bias"), fields.whole("intermediate_size")
    found = uniform(fields, attention(fields, qkv_bias=bias, output_bias=bias), DenseFfn(width))
    inside = found.hidden + width
    return replace(found, layers=tuple(layer._replace(other=inside, norm_operators=3) for layer in found.layers))


@register(
    "minicpm3", "MiniCPM3ForCausalLM", transformers="5.23",
    ignored=LATENT_IGNORED | word_set("scale_emb scale_depth dim_model_base mlp_bias"),
    defaults={"hidden_act": "silu", "tie_word_embeddings": True, "attention_bias": False, "q_lora_rank": 768,
              "kv_lora_rank": 256, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": None,
              "max_position_embeddings": 32768, "mlp_bias": False},
)  # fmt: skip
def read_minicpm3(fields: ConfigFields) -> Skeleton:
    """Return a MiniCPM3: latent attention in a small dense model; values as wide as the width over the heads."""
    if not fields.given("v_head_dim"):
        heads, hidden = head_count(fields), fields.whole("hidden_size")
        fields = ConfigFields(fields.source, {**fields.defaults, "v_head_dim": hidden // heads}, fields.used)
        if "v_head_dim" in fields.source.values:
            values = {key: value for key, value in fields.source.values.items() if key != "v_head_dim"}
            fields.source = replace(fields.source, values=values)
    ffn = dense_ffn(fields, bias=fields.flag("mlp_bias"))
    return skeleton(fields, [Layer(latent_attention(fields), ffn)] * layer_count(fields))


@register(
    "internlm3", "InternLM3ForCausalLM", transformers="5.23",
    defaults=_USUAL | {"num_key_value_heads": 2, "head_dim": 128, "max_position_embeddings": 32768},
)  # fmt: skip
def read_internlm3(fields: ConfigFields) -> Skeleton:
    """Return an InternLM3: ``qkv_bias`` biases q, k and v, ``bias`` the other matrices."""
    qkv, others = fields.flag("attention_bias"), fields.flag("mlp_bias")
    if fields.given("qkv_bias") or fields.given("bias"):
        qkv, others = fields.flag("qkv_bias"), fields.flag("bias")
    fields.used.update(("qkv_bias", "bias"))
    return uniform(fields, attention(fields, qkv_bias=qkv, output_bias=others), dense_ffn(fields, bias=others))


@register(
    "cwm", "CwmForCausalLM", transformers="5.23",
    defaults=_USUAL | {"num_key_value_heads": 8, "head_dim": 128, "sliding_window": 8192, "layer_types": None},
)  # fmt: skip
def read_cwm(fields: ConfigFields) -> Skeleton:
    """Return a Code World Model: one global layer, then three with a window."""
    full, layers = attention(fields), layer_count(fields)
    window = fields.optional_whole("sliding_window") or 0
    flags = [index % 4 != 0 for index in range(layers)]
    if fields.words("layer_types") is not None:
        flags = window_flags(fields, layers)
    local, ffn = replace(full, window=window), dense_ffn(fields, bias=fields.flag("mlp_bias"))
    fields.used.add("attention_bias")
    return skeleton(fields, [Layer(local if flag else full, ffn) for flag in flags])


@register(
    "vaultgemma", "VaultGemmaForCausalLM", transformers="5.23",
    ignored=word_set("hidden_activation query_pre_attn_scalar final_logit_softcapping attn_logit_softcapping"),
    defaults=_USUAL | {"num_key_value_heads": 4, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
                       "tie_word_embeddings": True, "sliding_window": 4096, "layer_types": None},
)  # fmt: skip
def read_vaultgemma(fields: ConfigFields) -> Skeleton:
    """Return a VaultGemma: Gemma 2 without the norms after the blocks."""
    check_activation(fields)
    bias, layers = fields.flag("attention_bias"), layer_count(fields)
    full = attention(fields, qkv_bias=bias, output_bias=bias)
    flags = [(index + 1) % 2 != 0 for index in range(layers)]
    if fields.words("layer_types") is not None:
        flags = window_flags(fields, layers)
    local, ffn = replace(full, window=fields.optional_whole("sliding_window") or 0), dense_ffn(fields)
    return skeleton(fields, [Layer(local if flag else full, ffn) for flag in flags])


@register(
    "nemotron-nas", "DeciLMForCausalLM", transformers="remote code", ignored=word_set("num_key_value_heads bias"),
    defaults=_USUAL,
)  # fmt: skip
def read_nemotron_nas(fields: ConfigFields) -> Skeleton:
    """Return a Nemotron-NAS: a search has left out blocks of Llama 3, or put one matrix in their place.

    Source: Puzzle (Bercovich et al. 2024). The feed-forward width is ``2/3*ffn_mult*hidden``, rounded up to 256s.
    """
    check_activation(fields)
    blocks = fields.raw("block_configs")
    layers = layer_count(fields)
    if not isinstance(blocks, list) or len(blocks) != layers:
        raise fields.fault("block_configs", f"must be a list of {layers} blocks")
    found = [_block(fields, block, index) for index, block in enumerate(blocks)]
    return skeleton(fields, found)


def _block(fields: ConfigFields, block: Any, index: int) -> Layer:
    parts: dict[str, ConfigFields] = {}
    for name in ("attention", "ffn"):
        part = block.get(name) if isinstance(block, dict) else None
        if not isinstance(part, dict):
            raise fields.fault("block_configs", f"block {index} must have an object '{name}'")
        source = ConfigSource(fields.source.file, part, fields.source.place, f"block_configs[{index}].{name}.")
        parts[name] = ConfigFields(source)
    mixer, ffn = _searched_attention(fields, parts["attention"]), _searched_network(fields, parts["ffn"])
    if mixer is None and ffn is None:
        raise fields.fault("block_configs", f"block {index} has neither attention nor a feed-forward network")
    norms = (mixer is not None) + (ffn is not None)
    return Layer(mixer, ffn, norms, norms)


def _searched_attention(fields: ConfigFields, part: ConfigFields) -> Mixer | None:
    if part.flag("no_op"):
        return None
    if part.flag("replace_with_linear"):
        return LinearBlock(fields.whole("hidden_size"))
    for special in ("sparsify", "window_length", "num_sink_tokens", "use_prefill_window_in_sink_attention"):
        if part.raw(special) and part.given(special):
            raise part.refusal(special, "is not understood")
    heads, group = head_count(fields), part.whole("n_heads_in_group", most=65536)
    if heads % group:
        raise part.fault("n_heads_in_group", f"must divide the {heads} heads, not {group}")
    bias = fields.flag("attention_bias")
    full = attention(fields, qkv_bias=bias, output_bias=bias)
    return replace(full, kv_heads=heads // group)


def _searched_network(fields: ConfigFields, part: ConfigFields) -> Ffn | None:
    if part.flag("no_op"):
        return None
    hidden = fields.whole("hidden_size")
    if part.flag("replace_with_linear"):
        return LinearBlock(hidden)
    bias = fields.flag("mlp_bias")
    if part.given("intermediate_size"):
        return DenseFfn(part.whole("intermediate_size"), bias=bias)
    multiple = part.source.values.get("ffn_mult")
    if isinstance(multiple, bool) or not isinstance(multiple, int | float) or not 0 < multiple < 1e4:
        raise part.fault("ffn_mult", "must be a number above 0")
    return DenseFfn(256 * -(-int(2 * multiple * hidden / 3) // 256), bias=bias)
