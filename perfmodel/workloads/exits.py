"""Early exit: a model of which a share of the decoded tokens leaves after some layer."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.errors import InputError
from perfmodel.workloads.spec import LanguageModel, LayerGroup


def with_exit(model: LanguageModel, layer: int, leaving: float) -> LanguageModel:
    """Return the model with an exit after ``layer``: a share ``leaving`` of decoded tokens goes no further.

    The output head looks at the layer's output of every token; prompts run all layers, and tokens that left have keys
    and values in the layers they skip. Kinds of layers that alternate are cut in proportion.
    Source: CALM (Schuster et al. 2022). Errors: :class:`InputError` for a layer that is not inside the model.
    """
    if not 0 < layer < model.layer_count:
        raise InputError(f"an exit lies after layer 1 to {model.layer_count - 1} of {model.name}, not {layer}")
    if not 0.0 <= leaving <= 1.0:
        raise InputError(f"the share of tokens that leaves must be between 0 and 1, not {leaving:g}")
    before: list[LayerGroup] = []
    after: list[LayerGroup] = []
    for group in model.layers:
        kept = round(group.count * layer / model.layer_count)
        before += [replace(group, count=kept)] if kept else []
        left = group.count - kept
        after += [replace(group, count=left, share=group.share * (1.0 - leaving))] if left else []
    if not before:
        raise InputError(
            f"{model.name} has several kinds of layers; an exit after layer {layer} comes before all of them"
        )
    last = before.pop()
    asked = [replace(last, count=1, exits=True)]
    if last.count > 1:
        asked.insert(0, replace(last, count=last.count - 1))
    return replace(model, layers=(*before, *asked, *after))
