"""Mistral 7B and its successors: Llama's build, with a sliding window on every layer where one is set."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, dense_ffn, uniform
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Skeleton, register

_DEFAULTS = {
    "num_key_value_heads": 8,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "sliding_window": 4096,
}


@register("mistral", "MistralForCausalLM", transformers="5.x main (001f85b3)", defaults=_DEFAULTS)
def read_mistral(fields: ConfigFields) -> Skeleton:
    """Return a Mistral: a config that leaves ``sliding_window`` out has the class default 4096, null means none."""
    window = fields.optional_whole("sliding_window") or 0
    return uniform(fields, attention(fields, window=window), dense_ffn(fields))
