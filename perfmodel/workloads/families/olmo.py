"""OLMo 1 and 2 and OLMoE: norms without parameters, norms after the blocks, experts."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    dense_ffn,
    expert_counts,
    layer_count,
    skeleton,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import MoeFfn

_OLMO = {"num_key_value_heads": None, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
         "max_position_embeddings": 2048}  # fmt: skip


@register("olmo", "OlmoForCausalLM", transformers="5.x", defaults=_OLMO, ignored=frozenset({"clip_qkv"}))
def read_olmo(fields: ConfigFields) -> Skeleton:
    """Return an OLMo 1, whose norms have no parameters."""
    bias = fields.flag("attention_bias")
    layer = Layer(attention(fields, qkv_bias=bias, output_bias=bias), dense_ffn(fields), norms=0)
    return replace(skeleton(fields, [layer] * layer_count(fields)), final_norms=0)


@register("olmo2", "Olmo2ForCausalLM", transformers="5.x", defaults=_OLMO)
def read_olmo2(fields: ConfigFields) -> Skeleton:
    """Return an OLMo 2: queries and keys normed over all heads, norms after the blocks instead of before."""
    bias = fields.flag("attention_bias")
    layer = Layer(attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="full"), dense_ffn(fields))
    return skeleton(fields, [layer] * layer_count(fields))


@register(
    "olmoe", "OlmoeForCausalLM", transformers="5.x", ignored=frozenset({"clip_qkv"}),
    defaults=_OLMO | {"num_experts": 64, "num_experts_per_tok": 8},
)  # fmt: skip
def read_olmoe(fields: ConfigFields) -> Skeleton:
    """Return an OLMoE: experts in every layer, of width ``intermediate_size``."""
    check_activation(fields)
    bias = fields.flag("attention_bias")
    experts, topk = expert_counts(fields, "num_experts")
    layer = Layer(
        attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="full"),
        MoeFfn(experts, topk, fields.whole("intermediate_size")),
    )
    return skeleton(fields, [layer] * layer_count(fields))
