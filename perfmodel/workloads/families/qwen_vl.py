"""Qwen2-VL, Qwen2.5-VL and the mixtures of Qwen3-VL: Qwen's layers with a vision tower for images of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import refuse_unknown_keys, word_set
from perfmodel.workloads.families.parts import (
    IMAGE_TOKENS,
    own_head_dim,
    sub_config,
    tied_by_config,
    tied_by_either,
    vision_tower,
)
from perfmodel.workloads.families.qwen import read_qwen2
from perfmodel.workloads.families.qwen_moe import read_qwen3_moe
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.families.vision import qwen3_tower
from perfmodel.workloads.families.vision_native import qwen2_tower, qwen25_tower
from perfmodel.workloads.spec import Tower

_TEXT: dict[str, Any] = {
    "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
    "num_attention_heads": 64, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768,
    "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 80, "tie_word_embeddings": False,
}  # fmt: skip
_VISION_IGNORED = word_set("spatial_patch_size tokens_per_second")
_TIED = {"tie_word_embeddings": False}


@register(
    "qwen2_vl", "Qwen2VLForConditionalGeneration", transformers="5.23", defaults=_TIED, ignored=IMAGE_TOKENS
)  # fmt: skip
def read_qwen2_vl(fields: ConfigFields) -> Skeleton:
    """Return a Qwen2-VL."""
    return _dense(fields, "qwen2_vl", qwen2_tower)


@register(
    "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", transformers="5.23", defaults=_TIED, ignored=IMAGE_TOKENS
)  # fmt: skip
def read_qwen2_5_vl(fields: ConfigFields) -> Skeleton:
    """Return a Qwen2.5-VL."""
    return _dense(fields, "qwen2_5_vl", qwen25_tower)


def _dense(fields: ConfigFields, family: str, read: Callable[[ConfigFields], Tower]) -> Skeleton:
    """Return Qwen2's layers with a tower; without a ``text_config`` the fields of the text model are the config's."""
    flat = not fields.given("text_config")
    if flat:
        fields.used.add("text_config")
        text = ConfigFields(fields.source, _TEXT, fields.used)
    else:
        text = sub_config(fields, "text_config", _TEXT)
    own_head_dim(text)
    found = read_qwen2(text)
    if not flat:
        refuse_unknown_keys(text, IMAGE_TOKENS, family)
    vision = vision_tower(fields, family, read, None, _VISION_IGNORED)
    return replace(tied_by_either(fields, text, found), towers=(vision,))


_MOE: dict[str, Any] = {
    "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
    "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": None, "hidden_act": "silu",
    "max_position_embeddings": 128000, "attention_bias": False, "decoder_sparse_step": 1,
    "moe_intermediate_size": 1408, "num_experts_per_tok": 4, "num_experts": 60, "mlp_only_layers": None,
    "tie_word_embeddings": True,
}  # fmt: skip


@register(
    "qwen3_vl_moe", "Qwen3VLMoeForConditionalGeneration", transformers="5.23", defaults=_TIED, ignored=IMAGE_TOKENS
)  # fmt: skip
def read_qwen3_vl_moe(fields: ConfigFields) -> Skeleton:
    """Return a Qwen3-VL of experts: Qwen3's, and a ViT whose features enter three layers too."""
    text = sub_config(fields, "text_config", _MOE)
    found = read_qwen3_moe(text)
    refuse_unknown_keys(text, frozenset({"max_window_layers"}), "qwen3_vl_moe")
    vision = vision_tower(fields, "qwen3_vl_moe", partial(qwen3_tower, deep=(8, 16, 24)))
    return replace(tied_by_config(fields, found), towers=(vision,))
