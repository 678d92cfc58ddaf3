"""What-if models: a model with some of its numbers changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from perfmodel.errors import InputError, did_you_mean
from perfmodel.workloads.spec import LanguageModel, LayerGroup

_OWN = ("hidden", "vocabulary")
_PARTS = {"attention": "mixer", "ffn": "ffn"}
"""What a part is called in a change, and the field of a layer group that holds it."""


def change_model(model: LanguageModel, changes: Mapping[str, str]) -> LanguageModel:
    """Return a model with other whole numbers, such as ``{"attention.kv_heads": "4", "ffn.intermediate": "*2"}``.

    Fields: hidden, vocabulary, layers (all groups in proportion), and those of the layers' attention and feed-forward
    networks, changed in every layer that has them. Errors: :class:`InputError` for a field that it does not have.
    """
    for field, text in changes.items():
        model = _changed(model, field.strip(), text.strip())
    if changes:
        said = ", ".join(f"{field} = {text}" for field, text in changes.items())
        model = replace(model, name=f"{model.name} ({said})", published_parameters=None)
    return model


def model_fields(model: LanguageModel) -> list[str]:
    """Return every field that :func:`change_model` can change in this model."""
    found = [*_OWN, "layers"]
    for group in model.layers:
        for part, held in _PARTS.items():
            found += [f"{part}.{name}" for name in _numbers(getattr(group, held))]
    return list(dict.fromkeys(found))


def _numbers(part: Any) -> list[str]:
    if not is_dataclass(part):
        return []
    return [f.name for f in fields(part) if type(getattr(part, f.name)) is int]


def _changed(model: LanguageModel, field: str, text: str) -> LanguageModel:
    known = model_fields(model)
    if field not in known:
        raise InputError(
            f"{model.name} has no field '{field}' to change{did_you_mean(field, known)} (one of {', '.join(known)})"
        )
    if field in _OWN:
        return replace(model, **{field: _value(field, text, getattr(model, field))})
    if field == "layers":
        factor = _value(field, text, model.layer_count) / model.layer_count
        groups = (replace(g, count=max(1, round(g.count * factor))) for g in model.layers)
        return replace(model, layers=tuple(groups))
    part, _, name = field.partition(".")
    return replace(model, layers=tuple(_group(g, part, name, field, text) for g in model.layers))


def _group(group: LayerGroup, part: str, name: str, field: str, text: str) -> LayerGroup:
    held = _PARTS[part]
    block = getattr(group, held)
    if name not in _numbers(block):
        return group
    changed = replace(block, **{name: _value(field, text, getattr(block, name), least=0)})
    return replace(group, **{held: changed})


def _value(field: str, text: str, current: int, least: int = 1) -> int:
    try:
        number = current * float(text[1:]) if text.startswith(("*", "x")) else float(text)
    except ValueError:
        raise InputError(f"model.{field}: '{text}' is not a number") from None
    if number != round(number) or not least <= number < 1e12:
        raise InputError(f"model.{field}: {text} must come to a whole number of at least {least}")
    return round(number)
