"""The operators that one device runs in one step, with their collectives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from perfmodel import ops
from perfmodel.ops.routing import Routing
from perfmodel.plan.blocks import FFNS, MIXERS
from perfmodel.plan.blocks.ends import embedding, head
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.workloads.spec import LanguageModel, LayerGroup

__all__ = ["stage_repeats", "step_operators"]


def step_operators(
    model: LanguageModel, plan: Plan, precisions: Precisions, shape: StepShape, routing: Routing | None = None
) -> list[StepOperator]:
    """Return the operators of one step on the busiest device, in order of first appearance.

    Each layer group appears once with its count; with pipeline stages the list is that of all stages together, one
    microbatch passing them (:func:`stage_repeats` gives a stage's share). Two-batch overlap runs every operator twice
    on half of the sequences. Collectives of one rank are in the list (they cost nothing) when ``plan`` holds arrays or
    symbols, and left out when the plan is plain numbers.
    """
    shape = shape.per_group(plan.attention_dp)
    halves = 2 if plan.overlap == "two_batch" else 1
    rank = Rank(model, plan, precisions, shape.per_group(halves), routing or Routing())
    found = list(embedding(rank))
    for group in model.layers:
        found += _layer(rank, group)
    found += _sends(rank)
    found += head(rank)
    return found if halves == 1 else [replace(step, repeat=step.repeat * halves) for step in found]


def _layer(rank: Rank, group: LayerGroup) -> Iterator[StepOperator]:
    hidden, count = rank.model.hidden, float(group.count)
    yield StepOperator("input_norm", "attention", ops.AddRmsNorm(rank.norm_tokens, hidden), count)
    yield from MIXERS[type(group.attention)](rank, group.attention, count)
    if not group.parallel:
        yield from rank.reduce("attention_all_reduce", "attention", rank.tokens * hidden * 2.0, count)
        yield StepOperator("post_attention_norm", "ffn", ops.AddRmsNorm(rank.norm_tokens, hidden), count)
    if further := group.norm_operators - (1 if group.parallel else 2):
        yield StepOperator("further_norms", "ffn", ops.RmsNorm(rank.norm_tokens, hidden), count * further)
    yield from FFNS[type(group.ffn)](rank, group.ffn, count)


def _sends(rank: Rank) -> Iterator[StepOperator]:
    """Yield the hand-over of the hidden state from stage to stage; each tensor-parallel rank sends its part."""
    plan = rank.plan
    if plan.pp > 1:
        message = ops.SendRecv(2, rank.tokens * rank.model.hidden * 2.0 / plan.tp, span=plan.devices_per_stage)
        yield StepOperator("stage_send", "pipeline", message, plan.pp - 1.0)


def stage_repeats(model: LanguageModel, plan: Plan) -> list[dict[str, float]]:
    """Return for each stage that may be the slowest which share of each part of the model it runs.

    Layers are dealt evenly, the remainder to the earlier stages; the last one has the head. Where the layers do not
    divide, either the stage with one layer more or the last one may be the slowest. The parts are those of
    :class:`StepOperator`; the embedding (a gather) is never what makes a stage slow.
    """
    layers, stages = model.layer_count, int(plan.pp)
    if stages == 1:
        return [{}]
    send = 1.0 / (stages - 1)
    last = {"attention": layers // stages / layers, "ffn": layers // stages / layers, "embedding": 0.0}
    found = [last | {"head": 1.0, "pipeline": 0.0}]
    if layers % stages:
        share = (layers // stages + 1) / layers
        found.append({"attention": share, "ffn": share, "embedding": 0.0, "head": 0.0, "pipeline": send})
    return found
