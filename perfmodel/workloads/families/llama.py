"""Llama 1 to 3.3 and models of the same build: grouped-query attention and a gated feed-forward block."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, dense_ffn, uniform
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Skeleton, register

_DEFAULTS = {
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
}


@register("llama", "LlamaForCausalLM", transformers="5.x main (008e5743)", defaults=_DEFAULTS)
def read_llama(fields: ConfigFields) -> Skeleton:
    """Return a Llama: ``attention_bias`` biases q, k, v and o, ``mlp_bias`` all three feed-forward matrices."""
    bias = fields.flag("attention_bias")
    mixer = attention(fields, qkv_bias=bias, output_bias=bias)
    return uniform(fields, mixer, dense_ffn(fields, bias=fields.flag("mlp_bias")))
