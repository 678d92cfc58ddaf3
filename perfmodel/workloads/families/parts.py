"""Parts of a config with sub-configs: a text model of a family of its own, a vision tower, sizes that may be pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from perfmodel.workloads.families.fields import ConfigFields, ConfigSource, shown
from perfmodel.workloads.families.known_keys import refuse_unknown_keys, word_set
from perfmodel.workloads.families.registry import ADAPTERS, Skeleton
from perfmodel.workloads.families.vision import VISION_IGNORED, tower
from perfmodel.workloads.spec import Tower

IMAGE_TOKENS = word_set(
    """
image_token_index image_token_id video_token_id vision_start_token_id vision_end_token_id vision_token_id
image_start_token_id image_end_token_id video_start_token_id video_end_token_id image_seq_length ignore_index
projector_hidden_act hidden_act use_image_newline_parameter processor_class
"""
)
"""Keys beside the sub-configs that change no count: tokens that stand for an image, activations."""
_LLAMA_SIZES = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
_SIZES: dict[str, dict[str, Any]] = {
    "llama": _LLAMA_SIZES | {"vocab_size": 32000, "intermediate_size": 11008},
    "mistral": _LLAMA_SIZES | {"vocab_size": 32000, "intermediate_size": 14336},
    "qwen2": _LLAMA_SIZES | {"vocab_size": 151936, "intermediate_size": 22016},
    "qwen3": _LLAMA_SIZES | {"vocab_size": 151936, "intermediate_size": 22016},
    "qwen3_moe": {
        "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32,
        "intermediate_size": 6144, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
    },
    "gemma": {"vocab_size": 256000, "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
              "intermediate_size": 24576},
    "gemma2": {"vocab_size": 256000, "hidden_size": 2304, "num_hidden_layers": 26, "num_attention_heads": 8,
               "intermediate_size": 9216},
    "deepseek_v3": {
        "vocab_size": 129280, "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
        "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8,
        "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    },
}  # fmt: skip
"""Sizes that the config classes of transformers 5.23 take where a ``text_config`` leaves them out."""


def sub_config(
    fields: ConfigFields, name: str, defaults: Mapping[str, Any], absent: Mapping[str, Any] | None = None
) -> ConfigFields:
    """Return the fields of a part of the config; a part that is left out, or null, says what ``absent`` says."""
    fields.used.add(name)
    if fields.given(name):
        return ConfigFields(fields.source.nested(name), defaults)
    source = fields.source
    return ConfigFields(ConfigSource(source.file, absent or {}, source.place, f"{source.prefix}{name}."), defaults)


def text_model(
    fields: ConfigFields,
    family: str,
    usual: str,
    kinds: Collection[str],
    absent: Mapping[str, Any] | None = None,
    ignored: frozenset[str] = frozenset(),
) -> tuple[ConfigFields, Skeleton]:
    """Return ``text_config`` and what the adapter of its ``model_type`` (where it says none, ``usual``) makes of it."""
    first = sub_config(fields, "text_config", {}, absent)
    kind = first.word("model_type") or usual
    if kind not in kinds:
        raise first.refusal("model_type", f"is not understood in a {family} (understood: {', '.join(sorted(kinds))})")
    adapter = ADAPTERS[kind]
    text = ConfigFields(first.source, _SIZES["deepseek_v3" if kind == "kimi_k2" else kind] | dict(adapter.defaults))
    found = adapter.read(text)
    refuse_unknown_keys(text, adapter.ignored | ignored, family)
    return text, found


_T = TypeVar("_T")


def vision_tower(
    fields: ConfigFields,
    family: str,
    read: Callable[[ConfigFields], _T],
    absent: Mapping[str, Any] | None = None,
    ignored: frozenset[str] = frozenset(),
) -> _T:
    """Return what ``read`` makes of ``vision_config``, whose other fields must change nothing."""
    vision = sub_config(fields, "vision_config", {}, absent)
    made = read(vision)
    refuse_unknown_keys(vision, VISION_IGNORED | ignored, family)
    return made


def pair(fields: ConfigFields, key: str, *, least: int = 1, most: int = 10**6) -> tuple[int, int]:
    """Return a size that is one whole number, or one for the height and one for the width."""
    value = fields.raw(key)
    if not isinstance(value, list | tuple):
        both = fields.whole(key, least=least, most=most)
        return both, both
    if len(value) != 2 or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        raise fields.fault(key, f"must be a whole number or two of them, not {shown(value)}")
    height, width = value
    if not (least <= height <= most and least <= width <= most):
        raise fields.fault(key, f"must be between {least} and {most}, not {shown(value)}")
    return height, width


def feature_layers(fields: ConfigFields) -> int:
    """Return how many layers' features ``vision_feature_layer`` puts side by side: one, or as many as it lists."""
    value = fields.raw("vision_feature_layer")
    if isinstance(value, list):
        if not value or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
            raise fields.fault("vision_feature_layer", f"must be whole numbers, not {shown(value)}")
        return len(value)
    fields.whole("vision_feature_layer", least=-4096, most=4096)
    return 1


def kept_tokens(fields: ConfigFields, tokens: int) -> int:
    """Return the features that are projected: all, or with the "default" strategy all but the first (a class token)."""
    strategy = fields.word("vision_feature_select_strategy")
    if strategy not in ("default", "full"):
        raise fields.fault("vision_feature_select_strategy", f"must be default or full, not {shown(strategy)}")
    return tokens - 1 if strategy == "default" else tokens


def two_layer_projector(rows: int, inputs: int, hidden: int, *, bias: bool, other: int = 0) -> Tower:
    """Return the projector of two matrices, from ``inputs`` to the language model's width and from that to it again."""
    matrices = [(rows, inputs, hidden), (rows, hidden, hidden)]
    return tower(
        "projector", hidden, (), tokens=0, matrices=matrices, other=2 * hidden * bias + other, output_tokens=rows
    )


def tied_by_either(fields: ConfigFields, text: ConfigFields, found: Skeleton) -> Skeleton:
    """Return the model with its embeddings tied where the config or its ``text_config`` says so."""
    return replace(found, tied_embeddings=fields.flag("tie_word_embeddings") or text.flag("tie_word_embeddings"))


def tied_by_config(fields: ConfigFields, found: Skeleton) -> Skeleton:
    """Return the model with its embeddings tied where the config says so, whatever its ``text_config`` says."""
    return replace(found, tied_embeddings=fields.flag("tie_word_embeddings"))


def own_head_dim(text: ConfigFields) -> None:
    """Fault a ``head_dim`` other than hidden/heads in a family whose modules do not read it."""
    stated = text.optional_whole("head_dim")
    hidden, heads = text.whole("hidden_size"), text.whole("num_attention_heads")
    if stated is not None and stated * heads != hidden:
        raise text.fault("head_dim", f"must be hidden_size {hidden} / {heads} heads, not {stated}")
