"""Gemma 1 to 3: heads of their own width, tied embeddings, norms after each block too, local and global layers."""

from __future__ import annotations

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    layer_count,
    skeleton,
    window_flags,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn

_GEMMA = {"num_key_value_heads": 16, "head_dim": 256, "hidden_activation": None, "hidden_act": "gelu_pytorch_tanh",
          "tie_word_embeddings": True, "attention_bias": False, "max_position_embeddings": 8192}  # fmt: skip
_GEMMA2 = _GEMMA | {"num_key_value_heads": 4, "sliding_window": 4096, "layer_types": None, "sliding_window_pattern": 2}
GEMMA_IGNORED = word_set(
    """
hidden_activation query_pre_attn_scalar final_logit_softcapping attn_logit_softcapping
cache_implementation use_bidirectional_attention rope_local_base_freq _sliding_window_pattern
"""
)


@register("gemma", "GemmaForCausalLM", transformers="5.x", defaults=_GEMMA, ignored=GEMMA_IGNORED)
def read_gemma(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 1."""
    bias = fields.flag("attention_bias")
    layer = Layer(attention(fields, qkv_bias=bias, output_bias=bias), _ffn(fields))
    return skeleton(fields, [layer] * layer_count(fields))


@register("gemma2", "Gemma2ForCausalLM", transformers="5.x", defaults=_GEMMA2, ignored=GEMMA_IGNORED)
def read_gemma2(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 2: four norms a layer, every other layer with a window."""
    return _windowed(fields, qk_norm="none", every=2)


GEMMA3_DEFAULTS = _GEMMA2 | {"max_position_embeddings": 131072, "sliding_window_pattern": 6}


@register(
    "gemma3_text", "Gemma3ForCausalLM", transformers="5.x", ignored=GEMMA_IGNORED, defaults=GEMMA3_DEFAULTS
)  # fmt: skip
def read_gemma3_text(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 3's language model: normed queries and keys, one global layer in six."""
    return _windowed(fields, qk_norm="head", every=6)


def _windowed(fields: ConfigFields, *, qk_norm: str, every: int) -> Skeleton:
    bias, window, ffn = fields.flag("attention_bias"), fields.whole("sliding_window"), _ffn(fields)
    local, whole = (
        Layer(attention(fields, window=w, qkv_bias=bias, output_bias=bias, qk_norm=qk_norm), ffn, 4, 4)
        for w in (window, 0)
    )
    layers = layer_count(fields)
    pattern = fields.optional_whole("sliding_window_pattern") or every
    if fields.words("layer_types") is not None:
        return skeleton(fields, [local if flag else whole for flag in window_flags(fields, layers)])
    return skeleton(fields, [local if (index + 1) % pattern else whole for index in range(layers)])


def _ffn(fields: ConfigFields) -> DenseFfn:
    check_activation(fields)
    return DenseFfn(fields.whole("intermediate_size"))
