"""GLM-4.1V and GLM-4.5V: GLM's language models with a vision tower for images of any size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.workloads.families.common import attention, dense_ffn, layer_count, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.glm import read_glm4_moe
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION, refuse_unknown_keys
from perfmodel.workloads.families.parts import IMAGE_TOKENS, own_head_dim, sub_config, tied_by_either, vision_tower
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.families.vision_native import glm4v_tower

_TEXT: dict[str, Any] = {
    "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40,
    "num_attention_heads": 32, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}  # fmt: skip
_MOE: dict[str, Any] = {
    "vocab_size": 151424, "hidden_size": 4096, "intermediate_size": 10944, "num_hidden_layers": 46,
    "num_attention_heads": 96, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 65536,
    "tie_word_embeddings": False, "attention_bias": True, "moe_intermediate_size": 1408, "num_experts_per_tok": 8,
    "n_shared_experts": 1, "n_routed_experts": 128, "first_k_dense_replace": 1,
}  # fmt: skip
_TIED = {"tie_word_embeddings": False}


@register(
    "glm4v", "Glm4vForConditionalGeneration", transformers="5.23", defaults=_TIED, ignored=IMAGE_TOKENS
)  # fmt: skip
def read_glm4v(fields: ConfigFields) -> Skeleton:
    """Return a GLM-4.1V: biases on q, k and v, whatever ``attention_bias`` says, and four norms a layer."""
    text = sub_config(fields, "text_config", _TEXT)
    own_head_dim(text)
    text.flag("attention_bias")  # read, and not used, by the layers
    layer = Layer(attention(text, qkv_bias=True), dense_ffn(text), 4, 4)
    found = skeleton(text, [layer] * layer_count(text))
    refuse_unknown_keys(text, IMAGE_TOKENS, "glm4v")
    return _with_tower(fields, text, found, "glm4v")


@register(
    "glm4v_moe", "Glm4vMoeForConditionalGeneration", transformers="5.23", defaults=_TIED, ignored=IMAGE_TOKENS
)  # fmt: skip
def read_glm4v_moe(fields: ConfigFields) -> Skeleton:
    """Return a GLM-4.5V: GLM-4.5-Air's layers without normed queries and keys."""
    first = sub_config(fields, "text_config", _MOE)
    head_dim = first.whole("hidden_size") // first.whole("num_attention_heads")  # rounded down, as the class does
    text = ConfigFields(first.source, _MOE | {"head_dim": max(head_dim, 1)})
    if text.flag("use_qk_norm"):
        raise text.refusal("use_qk_norm", "transformers' class has no such norms")
    found = read_glm4_moe(text)
    refuse_unknown_keys(text, IMAGE_TOKENS | MULTI_TOKEN_PREDICTION, "glm4v_moe")
    return _with_tower(fields, text, found, "glm4v_moe")


def _with_tower(fields: ConfigFields, text: ConfigFields, found: Skeleton, family: str) -> Skeleton:
    vision = vision_tower(fields, family, glm4v_tower)
    return replace(tied_by_either(fields, text, found), towers=(vision,))
