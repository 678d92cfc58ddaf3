"""IBM Granite: Llama's build with multipliers, and its mixture of experts."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, check_activation, dense_ffn, expert_counts, uniform
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.spec import MoeFfn

_GRANITE = {"num_key_value_heads": None, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "mlp_bias": False, "max_position_embeddings": 2048}  # fmt: skip
_IGNORED = frozenset({"embedding_multiplier", "logits_scaling", "residual_multiplier", "attention_multiplier"})


@register("granite", "GraniteForCausalLM", transformers="5.x", defaults=_GRANITE, ignored=_IGNORED)
def read_granite(fields: ConfigFields) -> Skeleton:
    """Return a Granite 3 or 4 without experts."""
    bias = fields.flag("attention_bias")
    mixer = attention(fields, qkv_bias=bias, output_bias=bias)
    return uniform(fields, mixer, dense_ffn(fields, bias=fields.flag("mlp_bias")))


@register(
    "granitemoe", "GraniteMoeForCausalLM", transformers="5.x", ignored=_IGNORED,
    defaults=_GRANITE | {"num_local_experts": 8, "num_experts_per_tok": 2},
)  # fmt: skip
def read_granitemoe(fields: ConfigFields) -> Skeleton:
    """Return a Granite with experts in every layer."""
    check_activation(fields)
    bias = fields.flag("attention_bias")
    experts, topk = expert_counts(fields, "num_local_experts")
    mixer = attention(fields, qkv_bias=bias, output_bias=bias)
    return uniform(fields, mixer, MoeFfn(experts, topk, fields.whole("intermediate_size")))
