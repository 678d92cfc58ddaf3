"""Mixtral: Mistral's attention and sparse experts in every layer."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, check_activation, expert_counts, uniform
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.spec import MoeFfn

_DEFAULTS = {
    "num_key_value_heads": 8,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "sliding_window": None,
}


@register("mixtral", "MixtralForCausalLM", transformers="5.x main (008e5743)", defaults=_DEFAULTS)
def read_mixtral(fields: ConfigFields) -> Skeleton:
    """Return a Mixtral: experts of width ``intermediate_size``, a router without bias, no shared expert."""
    check_activation(fields)
    experts, topk = expert_counts(fields, "num_local_experts", "num_experts")
    window = fields.optional_whole("sliding_window") or 0
    return uniform(fields, attention(fields, window=window), MoeFfn(experts, topk, fields.whole("intermediate_size")))
