"""Kimi K2.5: Kimi K2's language model with MoonViT."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.parts import IMAGE_TOKENS, text_model, tied_by_config, vision_tower
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.families.vision import tower
from perfmodel.workloads.families.vision_native import moon_tower

_VISION_IGNORED = word_set("pos_emb_time init_pos_emb_time")


@register(
    "kimi_k25", ("Kimi_K25ForConditionalGeneration", "KimiK25ForConditionalGeneration"), transformers="5.23",
    ignored=IMAGE_TOKENS | {"projection_layer_norm_eps"},
    defaults={"tie_word_embeddings": True, "projection_hidden_size": 1152},
)  # fmt: skip
def read_kimi_k25(fields: ConfigFields) -> Skeleton:
    """Return a Kimi K2.5; a config that leaves ``tie_word_embeddings`` out has the class default, true."""
    _, found = text_model(fields, "kimi_k25", "deepseek_v3", ("deepseek_v3", "kimi_k2"))
    vision, merged = vision_tower(fields, "kimi_k25", moon_tower, None, _VISION_IGNORED)
    rows, inputs, hidden = vision.output_tokens, vision.hidden * merged, found.hidden
    matrices = [(rows, inputs, inputs), (rows, inputs, hidden)]
    other = inputs + hidden + 2 * fields.whole("projection_hidden_size")
    projector = tower("projector", hidden, (), tokens=0, matrices=matrices, other=other, output_tokens=rows)
    return replace(tied_by_config(fields, found), towers=(vision, projector))
