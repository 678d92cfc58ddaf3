"""Mistral Small 3.1 and its like: Mistral's language model, Pixtral's tower, and a merger of neighbouring patches."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.parts import (
    IMAGE_TOKENS,
    feature_layers,
    text_model,
    tied_by_config,
    two_layer_projector,
    vision_tower,
)
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.families.vision_native import pixtral_tower
from perfmodel.workloads.spec import Tower

_TEXT = {"model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 32768,
         "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8, "sliding_window": None,
         "vocab_size": 131072}  # fmt: skip
_VISION = {"model_type": "pixtral", "intermediate_size": 4096, "hidden_size": 1024, "patch_size": 14,
           "image_size": 1540, "num_hidden_layers": 24, "num_attention_heads": 16}  # fmt: skip
_VISION_IGNORED = word_set("head_dim vocab_size")


@register(
    "mistral3", "Mistral3ForConditionalGeneration", transformers="5.23", ignored=IMAGE_TOKENS,
    defaults={"tie_word_embeddings": True, "vision_feature_layer": -1, "multimodal_projector_bias": False,
              "spatial_merge_size": 2},
)  # fmt: skip
def read_mistral3(fields: ConfigFields) -> Skeleton:
    """Return a Mistral 3; a config that leaves ``tie_word_embeddings`` out has the class default, true."""
    _, found = text_model(fields, "mistral3", "mistral", ("llama", "mistral", "qwen2", "qwen3"), _TEXT)
    merge = fields.whole("spatial_merge_size", most=64)
    vision = vision_tower(fields, "mistral3", partial(pixtral_tower, merge=merge), _VISION, _VISION_IGNORED)
    projector = _projector(fields, vision, merge, found.hidden)
    return replace(tied_by_config(fields, found), towers=(vision, projector))


def _projector(fields: ConfigFields, vision: Tower, merge: int, hidden: int) -> Tower:
    """Return a norm, the matrix that merges patches to one of the tower's width, and two more."""
    rows, width = vision.tokens // merge**2, vision.hidden
    bias = fields.flag("multimodal_projector_bias")
    made = two_layer_projector(rows, width * feature_layers(fields), hidden, bias=bias, other=width)
    merging = (rows, width * merge**2, width)
    return replace(
        made, parameters=made.parameters + merging[1] * merging[2], matrices=(merging, *made.matrices)
    )  # fmt: skip
