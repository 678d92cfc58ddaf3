"""The operators of a tower beside the language model, such as a vision tower: one pass over images."""

from __future__ import annotations

from dataclasses import replace

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.plan.layout import step_operators
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions, choose_precisions
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.workloads.spec import GroupedQueryAttention, LanguageModel, LayerGroup, Tower

_LAYERS = ("attention", "ffn")


def tower_operators(tower: Tower, images: Number, precisions: Precisions) -> list[StepOperator]:
    """Return the operators of one pass of a tower over ``images`` on one device, under the tower's name.

    Its matrices are linear layers of ``rows*images`` tokens (a convolution that does not overlap is one, over patches),
    its layers those of a model without embedding and head, over ``images`` sequences of ``tokens`` each that see the
    whole image, or windows of ``attended`` tokens. All run in the 16-bit base format, as checkpoints store towers.

    Omits: norms and activations outside the layers, gathers from tables of positions, the first and last reshaping.
    """
    base = precisions.router
    plain = replace(precisions, linear=base, attention=base)
    found = [
        StepOperator(f"{tower.name}_matrix_{index}", "tower", ops.Linear(rows * images, outputs, inputs, base), 1.0)
        for index, (rows, inputs, outputs) in enumerate(tower.matrices)
    ]
    if not tower.layers or not tower.tokens:
        return found
    shape = StepShape(images, tower.tokens, tower.tokens, causal=False)
    return found + [
        replace(step, name=f"{tower.name}_{step.name}", part="tower")
        for step in step_operators(_stack(tower), Plan(), plain, shape)
        if step.part in _LAYERS
    ]


def _stack(tower: Tower) -> LanguageModel:
    """Return a tower's layers as a model of their own, which neither embeds nor predicts."""
    layers = tuple(_windowed(group, tower.attended) for group in tower.layers)
    return LanguageModel(tower.name, "tower", tower.hidden, 1, layers, generates=False, has_head=False)


def _windowed(group: LayerGroup, window: int) -> LayerGroup:
    if not window or not isinstance(group.mixer, GroupedQueryAttention):
        return group
    return replace(group, mixer=replace(group.mixer, window=window, chunked=True))


def tower_flops(tower: Tower) -> tuple[float, float]:
    """Return the flops of a tower for one image: all of them, and those of matrix products.

    ``2*rows*inputs*outputs`` of each matrix, and of a layer ``2*tokens*weights + 4*tokens*attended*width``, with the
    element-wise work counted in the first number alone. Omits what :func:`tower_operators` omits.
    """
    stub = LanguageModel(tower.name, "tower", tower.hidden, 1, ())
    every = matrix = 0.0
    for step in tower_operators(tower, 1, choose_precisions(stub, frozenset({"bfloat16"}))):
        counts = step.operator.counts()
        every += step.repeat * float(counts.total_flops())
        matrix += step.repeat * float(counts.filter_flops(engine="tensor").total_flops())
    return every, matrix
