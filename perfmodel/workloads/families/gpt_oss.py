"""gpt-oss: alternating windows, attention sinks, biases everywhere, experts in every layer."""

from __future__ import annotations

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    expert_counts,
    layer_count,
    skeleton,
    window_flags,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import MoeFfn

_DEFAULTS = {
    "num_key_value_heads": 8,
    "head_dim": 64,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "attention_bias": True,
    "sliding_window": 128,
}


@register("gpt_oss", "GptOssForCausalLM", transformers="5.x main (02b8f42b)", defaults=_DEFAULTS)
def read_gpt_oss(fields: ConfigFields) -> Skeleton:
    """Return a gpt-oss: router and experts have biases, each head a sink; ``attention_bias`` biases q, k, v and o."""
    check_activation(fields)
    experts, topk = expert_counts(
        fields, "num_local_experts", "num_experts", topk=("num_experts_per_tok", "experts_per_token")
    )
    ffn = MoeFfn(experts, topk, fields.whole("intermediate_size"), router_bias=True, expert_bias=True)
    bias = fields.flag("attention_bias")
    full, windowed = (
        Layer(attention(fields, window=w, qkv_bias=bias, output_bias=bias, sinks=True), ffn)
        for w in (0, fields.optional_whole("sliding_window") or 0)
    )
    return skeleton(fields, [windowed if flag else full for flag in _windowed(fields)])


def _windowed(fields: ConfigFields) -> list[bool]:
    """Return which layers have a window: as ``layer_types`` says, otherwise the first and every second after it."""
    layers = layer_count(fields)
    if fields.words("layer_types") is None:
        flags = [index % 2 == 0 for index in range(layers)]
    else:
        flags = window_flags(fields, layers)
    if any(flags) and not fields.optional_whole("sliding_window"):
        raise fields.refusal("sliding_window", "layers of sliding_attention without a window are not understood")
    return flags
