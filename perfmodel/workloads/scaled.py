"""Models of a size that nobody has built: a model's own shape, made wider and deeper."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.arguments import positive
from perfmodel.errors import InputError
from perfmodel.workloads.override import change_model
from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.spec import LanguageModel

LARGEST = 1e15
"""Parameters beyond which a model is a slip of the pen."""


def scaled_model(model: LanguageModel, wanted: float | str) -> LanguageModel:
    """Return the model with about ``wanted`` parameters: width and depth grow alike, by the cube root of the ratio.

    Heads keep their size, and KV heads their number; widths stay multiples of 128, and layers make up the rest, within
    a layer's share (a few per cent of a shallow model). Experts keep their number and widen with the model.

    Errors: :class:`InputError` for a count that is no number, or one that is not between a layer and a quadrillion.
    """
    count = _count(wanted)
    ratio = (count / parameters(model)) ** (1.0 / 3.0)
    groups = tuple(replace(g, mixer=_wider(g.mixer, ratio), ffn=_wider(g.ffn, ratio)) for g in model.layers)
    wide = replace(model, hidden=_width(model.hidden, ratio), layers=groups)
    one, two = (parameters(change_model(wide, {"layers": str(n)})) for n in (wide.layer_count, 2 * wide.layer_count))
    each = (two - one) / wide.layer_count
    layers = round((count - (one - each * wide.layer_count)) / each)
    if layers < 1:
        raise InputError(f"{model.name} cannot shrink to {count:.3g} parameters: its embedding alone is larger")
    found = change_model(wide, {"layers": str(layers)})
    return replace(
        found, name=f"{model.name} scaled to {_short(parameters(found))} parameters", published_parameters=None
    )


def _count(wanted: float | str) -> float:
    text = str(wanted).strip()
    factor = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1:].upper())
    found = positive("parameters", text[:-1] if factor else text) * (factor or 1.0)
    if not 1e5 <= found <= LARGEST:
        raise InputError(f"parameters must be between 100K and 1000T, not {wanted}")
    return found


def _wider(block: Any, ratio: float) -> Any:
    """Return a mixer or feed-forward network with more heads, or wider: what it has of both."""
    found = {name: getattr(block, name, 0) for name in ("heads", "intermediate", "shared_intermediate")}
    changes = {name: _width(value, ratio, 8 if name == "heads" else 128) for name, value in found.items() if value}
    return replace(block, **changes) if changes else block


def _width(value: int, ratio: float, step: int = 128) -> int:
    return max(round(value * ratio / step), 1) * step


def _short(count: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.0f}"
