"""A model written out layer by layer, as the family "layers" reads it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from perfmodel.errors import InputError
from perfmodel.workloads.families import Layer, Skeleton
from perfmodel.workloads.families.layers import FFN_KINDS, MIXER_KINDS

_KINDS = {**{kind: name for name, kind in MIXER_KINDS.items()}, **{kind: name for name, kind in FFN_KINDS.items()}}


def layers_config(skeleton: Skeleton) -> Iterator[str]:
    """Yield the lines of a workload's ``config`` in the family "layers" that give the same model.

    Errors: :class:`InputError` for a model with an encoder or a head of several matrices, which the family lacks.
    """
    if skeleton.encoder is not None or skeleton.head:
        raise InputError("a model with an encoder, or with matrices before its head, cannot be written out in layers")
    yield "  model_type: layers"
    yield f"  hidden_size: {skeleton.hidden}"
    yield f"  vocab_size: {skeleton.vocabulary}"
    usual = Skeleton(0, 0, (), False)
    names = {"tied_embeddings": "tie_word_embeddings", "maximum_tokens": "max_position_embeddings"}
    for field in ("tied_embeddings", "maximum_tokens", "lm_head_bias", "final_norms", "has_head", "generates",
                  "embedding_width"):  # fmt: skip
        if (value := getattr(skeleton, field)) != getattr(usual, field):
            yield f"  {names.get(field, field)}: {json.dumps(value)}"
    if skeleton.extra:
        yield f"  extra: {json.dumps(dict(skeleton.extra))}"
    named = {layer: f"block_{index + 1}" for index, layer in enumerate(dict.fromkeys(skeleton.layers))}
    yield "  blocks:"
    for layer, name in named.items():
        yield f"    {name}:"
        yield from (f"      {key}: {text}" for key, text in _block(layer))
    yield f"  pattern: {json.dumps(pattern([named[layer] for layer in skeleton.layers]))}"


def _block(layer: Layer) -> Iterator[tuple[str, str]]:
    for key in ("mixer", "second", "ffn", "cross", "lora"):
        part = getattr(layer, key)
        if part is not None:
            kind = {"kind": _KINDS[type(part)]} if type(part) in _KINDS else {}
            yield key, json.dumps({**kind, **_fields(part)})
    for key, default in Layer._field_defaults.items():
        if key not in ("second", "cross", "lora") and (value := getattr(layer, key)) != default:
            yield key, json.dumps(value)


def _fields(part: Any) -> dict[str, Any]:
    """Return the fields of a block that are not as usual."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            found[field.name] = _fields(value) if dataclasses.is_dataclass(value) else value
    return found


def pattern(names: Sequence[str]) -> str:
    """Return the shortest of: runs of equal names, or a period repeated (with what is left over behind it)."""
    best = _runs(names)
    for period in range(2, min(len(names) // 2, 64) + 1):
        times = 1
        while names[times * period : (times + 1) * period] == names[:period]:
            times += 1
        if times > 1:
            rest = _runs(names[times * period :])
            text = f"{times}*({_runs(names[:period])}) {rest}".strip()
            best = min(best, text, key=len)
    return best


def _runs(names: Sequence[str]) -> str:
    found: list[str] = []
    index = 0
    while index < len(names):
        end = index
        while end < len(names) and names[end] == names[index]:
            end += 1
        found.append(f"{end - index}*{names[index]}" if end - index > 1 else names[index])
        index = end
    return " ".join(found)
