"""Plausibility of a model: what is well formed and yet likely wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LanguageModel, LayerGroup, MoeFfn

_TOLERANCE = 0.005


@dataclass(frozen=True)
class Finding:
    """One oddity: "error" is almost surely wrong, "warning" is worth a look."""

    level: str
    field: str
    message: str


def check_model(model: LanguageModel) -> list[Finding]:
    """Return what looks wrong in a model: its parameter count against the published one, and odd ratios.

    The count may differ from ``published_parameters`` by 0.5 %.
    """
    findings = [*_count(model), *_provenance(model)]
    for index, group in enumerate(model.layers):
        findings += _ratios(group, model.hidden, f"layers[{index}]")
    return findings


def _count(model: LanguageModel) -> Iterator[Finding]:
    published = model.published_parameters
    if published is None:
        yield Finding("warning", "published_parameters", "is not stated: the computed count is unchecked")
        return
    ratio = parameters(model) / published - 1
    if abs(ratio) > _TOLERANCE:
        message = f"computed {parameters(model)} is {100 * ratio:+.2f} % off the published {published}"
        yield Finding("error", "published_parameters", message)


def _provenance(model: LanguageModel) -> Iterator[Finding]:
    if not model.verified:
        yield Finding("warning", "verified", "the numbers were not read in their source")
    if model.published_parameters is not None and not model.published_source:
        yield Finding("warning", "published_parameters", "has no source")


def _ratios(group: LayerGroup, hidden: int, where: str) -> Iterator[Finding]:
    ffn = group.ffn
    for mixer in group.mixers:
        if isinstance(mixer, GroupedQueryAttention):
            width = mixer.heads * mixer.head_dim / hidden
            yield from _unless(0.25, width, 4, f"{where}.attention", "heads*head_dim/hidden")
            yield from _unless(16, mixer.head_dim, 512, f"{where}.attention", "head_dim")
    if isinstance(ffn, MoeFfn):
        yield from _unless(1 / 64, ffn.intermediate / hidden, 8, f"{where}.ffn", "expert intermediate/hidden")
        if ffn.topk == ffn.experts:
            yield Finding("warning", f"{where}.ffn", "every token goes to every expert")
    elif isinstance(ffn, DenseFfn):
        yield from _unless(1, ffn.intermediate / hidden, 8, f"{where}.ffn", "intermediate/hidden")


def _unless(low: float, value: float, high: float, field: str, what: str) -> Iterator[Finding]:
    if not low <= value <= high:
        yield Finding("warning", field, f"{what} is {value:.3g}, outside {low:.3g} to {high:.3g}")
