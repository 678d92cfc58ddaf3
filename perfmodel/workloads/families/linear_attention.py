"""MiniMax-Text-01 and Kimi Linear: lightning attention, and Kimi delta attention, between layers of full attention."""

from __future__ import annotations

from collections.abc import Mapping

from perfmodel.workloads.families.common import attention, check_activation, expert_counts, layer_count, skeleton
from perfmodel.workloads.families.deepseek import LATENT_IGNORED, latent_attention, latent_layers
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION, word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import MoeFfn, RecurrentMixer

_MINIMAX = {
    "num_key_value_heads": 8, "head_dim": None, "hidden_act": "silu", "max_position_embeddings": 131072,
    "tie_word_embeddings": False, "num_experts_per_tok": 2, "num_local_experts": 8,
}  # fmt: skip
_MINIMAX_IGNORED = MULTI_TOKEN_PREDICTION | word_set(
    """
block_size full_attn_alpha_factor full_attn_beta_factor linear_attn_alpha_factor linear_attn_beta_factor
mlp_alpha_factor mlp_beta_factor postnorm layernorm_full_attention_alpha layernorm_full_attention_beta
layernorm_linear_attention_alpha layernorm_linear_attention_beta layernorm_mlp_alpha layernorm_mlp_beta
shared_intermediate_size shared_moe_mode attn_window_size sliding_window
"""
)


@register("minimax", "MiniMaxForCausalLM", transformers="5.23", defaults=_MINIMAX, ignored=_MINIMAX_IGNORED)
@register(
    "minimax_text_01", "MiniMaxText01ForCausalLM", transformers="remote code", defaults=_MINIMAX,
    ignored=_MINIMAX_IGNORED,
)  # fmt: skip
def read_minimax(fields: ConfigFields) -> Skeleton:
    """Return a MiniMax-Text-01: lightning attention (queries, keys, values and a gate for all heads) and experts."""
    check_activation(fields)
    full = attention(fields)
    width = full.heads * full.head_dim
    lightning = RecurrentMixer(
        "decay", full.heads, full.heads, full.head_dim, full.head_dim, in_width=4 * width, out_in=width,
        small=width, norm_width=width,
    )  # fmt: skip
    experts, topk = expert_counts(fields, "num_local_experts", "num_experts")
    ffn = MoeFfn(experts, topk, fields.whole("intermediate_size"))
    return skeleton(fields, [Layer(lightning if flag else full, ffn) for flag in _linear(fields)])


def _linear(fields: ConfigFields) -> list[bool]:
    layers = layer_count(fields)
    kinds, types = fields.words("layer_types"), fields.wholes("attn_type_list")
    if kinds is None and types is not None:
        kinds = ["full_attention" if kind == 1 else "linear_attention" for kind in types]
    if kinds is None:
        return [(index + 1) % 2 != 0 for index in range(layers)]
    if len(kinds) != layers or set(kinds) - {"full_attention", "linear_attention"}:
        raise fields.refusal("layer_types", f"must name {layers} layers as linear_attention or full_attention")
    return [kind == "linear_attention" for kind in kinds]


_KIMI = {
    "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False, "q_lora_rank": None,
    "moe_layer_freq": 1, "max_position_embeddings": 1048576, "first_k_dense_replace": 1, "n_shared_experts": 1,
    "num_experts_per_tok": 8, "n_routed_experts": 256, "linear_head_dim": 128, "linear_num_heads": 32,
    "linear_conv_kernel_dim": 4,
}  # fmt: skip
_KIMI_IGNORED = LATENT_IGNORED | word_set(
    """
mla_use_nope moe_router_activation_func use_grouped_topk num_expert_group
topk_group moe_renormalize
"""
)


@register("kimi_linear", "KimiLinearForCausalLM", transformers="5.23", defaults=_KIMI, ignored=_KIMI_IGNORED)
def read_kimi_linear(fields: ConfigFields) -> Skeleton:
    """Return a Kimi Linear: three layers of Kimi delta attention to one of latent attention, then experts."""
    for ours, theirs in (("n_shared_experts", "num_shared_experts"), ("num_experts_per_tok", "num_experts_per_token")):
        if fields.given(theirs):
            fields = _renamed(fields, theirs, ours)
    latent, layers = latent_attention(fields), layer_count(fields)
    found = latent_layers(fields, [latent] * layers)
    delta = _delta(fields)
    flags = _kimi_linear_flags(fields, layers)
    return skeleton(
        fields, [layer._replace(mixer=delta) if flag else layer for flag, layer in zip(flags, found, strict=True)]
    )


def _renamed(fields: ConfigFields, old: str, new: str) -> ConfigFields:
    """Return the same fields with a value under another name too."""
    fields.used.add(old)
    return ConfigFields(fields.source, {**fields.defaults, new: fields.source.values[old]}, fields.used)


def _linear_config(fields: ConfigFields) -> Mapping[str, object]:
    fields.used.add("linear_attn_config")
    return fields.source.nested("linear_attn_config").values if fields.given("linear_attn_config") else {}


def _delta(fields: ConfigFields) -> RecurrentMixer:
    inner = _linear_config(fields)
    names = {"linear_num_heads": "num_heads", "linear_head_dim": "head_dim",
             "linear_conv_kernel_dim": "short_conv_kernel_size"}  # fmt: skip
    nested = ConfigFields(fields.source.nested("linear_attn_config")) if inner else None
    heads, dim, kernel = (
        nested.whole(name, most=65536) if nested and name in inner else fields.whole(key, most=65536)
        for key, name in names.items()
    )
    width = heads * dim
    # queries, keys, values, the forget gate's and the output gate's low-rank inputs, one write gate a head
    return RecurrentMixer(
        "delta", heads, heads, dim, dim, in_width=3 * width + 2 * dim + heads, out_in=width,
        gates=width + heads, middle=((dim, width), (dim, width)), conv_channels=3 * width, conv_kernel=kernel,
        small=3 * width * kernel + width + heads + dim, norm_width=width,
    )  # fmt: skip


def _kimi_linear_flags(fields: ConfigFields, layers: int) -> list[bool]:
    kinds, inner = fields.words("layer_types"), _linear_config(fields)
    if kinds is None and "full_attn_layers" in inner:
        listed = ConfigFields(fields.source.nested("linear_attn_config")).wholes("full_attn_layers") or []
        full = set(listed)  # counted from one
        return [index + 1 not in full for index in range(layers)]
    if kinds is None:
        return [index == 0 or index % 4 != 0 for index in range(layers)]
    if len(kinds) != layers or set(kinds) - {"full_attention", "linear_attention"}:
        raise fields.refusal("layer_types", f"must name {layers} layers as linear_attention or full_attention")
    return [kind == "linear_attention" for kind in kinds]
