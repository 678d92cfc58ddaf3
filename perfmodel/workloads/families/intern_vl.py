"""InternVL 3 in transformers' form: a language model of another family, InternViT and a pixel shuffle."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.fields import ConfigFields, shown
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.parts import (
    IMAGE_TOKENS,
    feature_layers,
    kept_tokens,
    text_model,
    tied_by_config,
    two_layer_projector,
    vision_tower,
)
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.families.vision_native import internvl_tower

_VISION_IGNORED = word_set("projection_dropout hidden_dropout_prob layer_scale_init_value")


@register(
    "internvl", "InternVLForConditionalGeneration", transformers="5.23", ignored=IMAGE_TOKENS,
    defaults={"tie_word_embeddings": True, "vision_feature_layer": -1, "vision_feature_select_strategy": "default",
              "downsample_ratio": 0.5},
)  # fmt: skip
def read_internvl(fields: ConfigFields) -> Skeleton:
    """Return an InternVL; its tower and its tokens are counted for one tile of an image."""
    _, found = text_model(fields, "internvl", "qwen2", ("llama", "qwen2", "qwen3", "qwen3_moe"))
    vision = vision_tower(fields, "internvl", internvl_tower, None, _VISION_IGNORED)
    feature_layers(fields)  # read, and not used, by the projector
    inputs = vision.hidden * _shuffle(fields) ** 2
    rows = kept_tokens(fields, vision.tokens) // _shuffle(fields) ** 2
    projector = two_layer_projector(rows, inputs, found.hidden, bias=True, other=2 * inputs)
    return replace(tied_by_config(fields, found), towers=(vision, projector))


def _shuffle(fields: ConfigFields) -> int:
    """Return how many patches a side are put into one: ``int(1 / downsample_ratio)``."""
    ratio = fields.raw("downsample_ratio")
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 1 / 64 <= ratio <= 1:
        raise fields.fault("downsample_ratio", f"must be a number between 1/64 and 1, not {shown(ratio)}")
    return int(1 / ratio)
