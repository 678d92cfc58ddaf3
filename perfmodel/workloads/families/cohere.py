"""Cohere's Command R: parallel layers under one LayerNorm without bias, a tied head; Command R7B with windows."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, dense_ffn, layer_count, skeleton, window_flags
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register

_COHERE = {"num_key_value_heads": None, "hidden_act": "silu", "tie_word_embeddings": True, "attention_bias": False,
           "use_qk_norm": False, "max_position_embeddings": 8192}  # fmt: skip
_IGNORED = word_set(
    """
logit_scale use_embedding_sharing use_parallel_block use_parallel_embedding use_gated_activation
cache_implementation position_embedding_type order_of_interleaved_layers rotary_pct
_sliding_window_pattern
"""
)


@register("cohere", "CohereForCausalLM", transformers="5.x", defaults=_COHERE, ignored=_IGNORED)
def read_cohere(fields: ConfigFields) -> Skeleton:
    """Return a Command R or R+, whose queries and keys may be normed over all heads."""
    layer = _layer(fields, 0, "full" if fields.flag("use_qk_norm") else "none")
    return skeleton(fields, [layer] * layer_count(fields))


@register(
    "cohere2", "Cohere2ForCausalLM", transformers="5.x", ignored=_IGNORED,
    defaults=_COHERE | {"sliding_window": 4096, "layer_types": None, "sliding_window_pattern": 4},
)  # fmt: skip
def read_cohere2(fields: ConfigFields) -> Skeleton:
    """Return a Command R7B or A: three of four layers with a window."""
    local, whole = (_layer(fields, window, "none") for window in (fields.whole("sliding_window"), 0))
    layers = layer_count(fields)
    pattern = fields.whole("sliding_window_pattern")
    if fields.words("layer_types") is not None:
        return skeleton(fields, [local if flag else whole for flag in window_flags(fields, layers)])
    return skeleton(fields, [local if (index + 1) % pattern else whole for index in range(layers)])


def _layer(fields: ConfigFields, window: int, qk_norm: str) -> Layer:
    bias = fields.flag("attention_bias")
    mixer = attention(fields, window=window, qkv_bias=bias, output_bias=bias, qk_norm=qk_norm)
    return Layer(mixer, dense_ffn(fields), norms=1, norm_operators=1, parallel=True)
