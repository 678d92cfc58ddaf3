"""LLaVA and models of its build: a language model of another family, CLIP or SigLIP, and a small projector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.workloads.families.fields import ConfigFields, shown
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.parts import (
    IMAGE_TOKENS,
    feature_layers,
    kept_tokens,
    sub_config,
    text_model,
    tied_by_config,
    tied_by_either,
    two_layer_projector,
    vision_tower,
)
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.families.vision import USUAL_IMAGE, clip_tower, siglip_tower, tower
from perfmodel.workloads.families.vision_native import idefics3_tower, pixtral_tower
from perfmodel.workloads.spec import Tower

_TEXTS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2")
_CLIP_LARGE = {"model_type": "clip_vision_model", "intermediate_size": 4096, "hidden_size": 1024, "patch_size": 14,
               "image_size": 336, "num_hidden_layers": 24, "num_attention_heads": 16}  # fmt: skip
_DEFAULTS: dict[str, Any] = {
    "tie_word_embeddings": False, "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
    "multimodal_projector_bias": True,
}  # fmt: skip
_TOWERS = {"clip_vision_model": clip_tower, "siglip_vision_model": siglip_tower, "pixtral": pixtral_tower}
_VISION_IGNORED = word_set("vocab_size head_dim initializer_factor num_image_tokens projector_hidden_act")


def _seen(fields: ConfigFields, family: str) -> tuple[Tower, int]:
    """Return the vision tower, and how many of its features are projected."""
    kind = sub_config(fields, "vision_config", {}, _CLIP_LARGE).word("model_type") or "clip_vision_model"
    if kind not in _TOWERS:
        known = ", ".join(sorted(_TOWERS))
        raise fields.source.refusal(f"vision_config.model_type = {kind}: is not understood (understood: {known})")
    vision = vision_tower(fields, family, _TOWERS[kind], _CLIP_LARGE, _VISION_IGNORED)
    return vision, kept_tokens(fields, vision.tokens)


def _projector(fields: ConfigFields, vision: Tower, rows: int, hidden: int) -> Tower:
    bias = fields.flag("multimodal_projector_bias")
    return two_layer_projector(rows, vision.hidden * feature_layers(fields), hidden, bias=bias)


@register(
    "llava", "LlavaForConditionalGeneration", transformers="5.23", defaults=_DEFAULTS, ignored=IMAGE_TOKENS
)  # fmt: skip
def read_llava(fields: ConfigFields) -> Skeleton:
    """Return a LLaVA 1.5 (or a Pixtral): all layers of the tower run, whichever of them gives the features."""
    text, found = text_model(fields, "llava", "llama", _TEXTS)
    vision, rows = _seen(fields, "llava")
    towers = (replace(vision, output_tokens=rows), _projector(fields, vision, rows, found.hidden))
    return replace(tied_by_either(fields, text, found), towers=towers)


_PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]


@register(
    "llava_next", "LlavaNextForConditionalGeneration", transformers="5.23",
    defaults=_DEFAULTS | {"image_grid_pinpoints": _PINPOINTS}, ignored=IMAGE_TOKENS,
)  # fmt: skip
def read_llava_next(fields: ConfigFields) -> Skeleton:
    """Return a LLaVA-NeXT, whose tower sees a square image as a whole and in tiles, each on its own."""
    _, found = text_model(fields, "llava_next", "llama", _TEXTS)
    vision, rows = _seen(fields, "llava_next")
    size = sub_config(fields, "vision_config", {"image_size": 224}, _CLIP_LARGE).whole("image_size")
    high, wide = (max(side // size, 1) for side in _best_resolution(fields))
    tiles, side = high * wide, int(rows**0.5)
    passes = tiles + 1
    matrices = tuple((n * passes, k, m) for n, k, m in vision.matrices)
    seen = replace(
        vision, tokens=vision.tokens * passes, attended=vision.tokens, matrices=matrices, output_tokens=rows * passes
    )
    # the tiles' rows are put side by side again, each row of them with a vector that ends it
    given = rows + tiles * rows + high * side
    projector = replace(_projector(fields, vision, rows * passes, found.hidden), output_tokens=given)
    towers = (seen, projector, tower("image_newline", found.hidden, (), tokens=0, other=found.hidden))
    return replace(tied_by_config(fields, found), towers=towers)


def _best_resolution(fields: ConfigFields) -> tuple[int, int]:
    """Return the (height, width) of those listed that shows most of a usual square image, and wastes least."""
    value = fields.raw("image_grid_pinpoints")
    sizes = value if isinstance(value, list) and value else _PINPOINTS
    if not all(isinstance(s, list | tuple) and len(s) == 2 and all(_is_side(n) for n in s) for s in sizes):
        raise fields.fault("image_grid_pinpoints", f"must be a list of two whole numbers each, not {shown(value)}")
    most = USUAL_IMAGE**2

    def key(size: tuple[int, int]) -> tuple[int, int]:
        shown_pixels = min(min(size) ** 2, most)
        return shown_pixels, shown_pixels - size[0] * size[1]

    return max(((int(s[0]), int(s[1])) for s in sizes), key=key)


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6


_SIGLIP_LARGE = {"model_type": "siglip_vision_model", "intermediate_size": 4096, "hidden_size": 1152, "patch_size": 14,
                 "image_size": 224, "num_hidden_layers": 27, "num_attention_heads": 16,
                 "vision_use_head": False}  # fmt: skip
_GEMMA_2B = {"model_type": "gemma", "hidden_size": 2048, "num_hidden_layers": 18, "intermediate_size": 16384,
             "num_attention_heads": 8, "num_key_value_heads": 1, "vocab_size": 257152}  # fmt: skip


@register(
    "paligemma", "PaliGemmaForConditionalGeneration", transformers="5.23",
    defaults={"tie_word_embeddings": True, "projection_dim": 2048},
    ignored=IMAGE_TOKENS | {"vocab_size", "hidden_size"},
)  # fmt: skip
def read_paligemma(fields: ConfigFields) -> Skeleton:
    """Return a PaliGemma: Gemma 1 or 2, SigLIP and one matrix between them."""
    ignored = frozenset({"num_image_tokens"})
    _, found = text_model(fields, "paligemma", "gemma", ("gemma", "gemma2"), _GEMMA_2B, ignored)
    vision = vision_tower(fields, "paligemma", siglip_tower, _SIGLIP_LARGE, _VISION_IGNORED)
    width = fields.whole("projection_dim")
    matrices = [(vision.tokens, vision.hidden, width)]
    projector = tower(
        "projector", width, (), tokens=0, matrices=matrices, other=width, output_tokens=vision.tokens
    )  # fmt: skip
    return replace(tied_by_config(fields, found), towers=(replace(vision, output_tokens=vision.tokens), projector))


_IDEFICS_IGNORED = word_set(
    """
is_llama_config neftune_noise_alpha perceiver_config pixel_shuffle_factor max_image_size size use_base_siglip
"""
)


@register(
    "smolvlm",
    "SmolVLMForConditionalGeneration",
    transformers="5.23",
    ignored=IMAGE_TOKENS | {"vocab_size"},
    defaults={"tie_word_embeddings": False, "scale_factor": 2},
)
@register(
    "idefics3", "Idefics3ForConditionalGeneration", transformers="5.23", ignored=IMAGE_TOKENS | {"vocab_size"},
    defaults={"tie_word_embeddings": False, "scale_factor": 2},
)  # fmt: skip
def read_idefics3(fields: ConfigFields) -> Skeleton:
    """Return an Idefics 3 or a SmolVLM: a tile's patches are put together s x s, and projected by one matrix."""
    family = fields.word("model_type") or "idefics3"
    _, found = text_model(fields, family, "llama", _TEXTS, None, _IDEFICS_IGNORED)
    vision = vision_tower(fields, family, idefics3_tower, None, _IDEFICS_IGNORED)
    merged = fields.whole("scale_factor", most=64) ** 2
    rows = vision.tokens // merged
    matrices = [(rows, vision.hidden * merged, found.hidden)]
    connector = tower("projector", found.hidden, (), tokens=0, matrices=matrices, output_tokens=rows)
    return replace(tied_by_config(fields, found), towers=(vision, connector))
