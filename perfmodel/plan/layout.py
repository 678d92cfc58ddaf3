"""The operators that one device runs in one step, with their collectives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from perfmodel import ops
from perfmodel.numeric import Number, floor, maximum, where
from perfmodel.ops.routing import Routing
from perfmodel.plan.blocks import FFNS, MIXERS
from perfmodel.plan.blocks.cross import cross_attention
from perfmodel.plan.blocks.draft import drafts
from perfmodel.plan.blocks.ends import embedding, exit_head, head
from perfmodel.plan.blocks.lora import adapts, lora_of
from perfmodel.plan.blocks.share import run_by_share
from perfmodel.plan.blocks.side import side_input
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

    Where drafts are verified, a decode step's operators are those of a token that is kept: repeated over the tokens
    that a step yields (:attr:`Plan.tokens_per_step`).
    """
    shape = shape.per_group(plan.attention_dp)
    if plan.draft_tokens and shape.prefills is None:
        shape = replace(shape, decode_tokens=1 + plan.draft_tokens)
    halves = 2 if plan.overlap == "two_batch" else 1
    rank = Rank(model, plan, precisions, shape.per_group(halves), routing or Routing())
    if model.encoder is not None:
        rank = replace(rank, shape=rank.shape.behind_an_encoder())
    found = [*_encoder(rank), *embedding(rank)]
    for group in model.layers:
        found += run_by_share(rank, group, _layer)
        if group.exits:
            found += exit_head(rank, float(group.count))
    found += _sends(rank)
    found += head(rank)
    found += drafts(rank, _layer, head)
    times = halves / plan.tokens_per_step if rank.shape.decode_tokens > 1 else halves
    return found if times == 1 else [replace(step, repeat=step.repeat * times) for step in found]


def _encoder(rank: Rank) -> Iterator[StepOperator]:
    """Yield the operators of an encoder over the prompts, each of which it reads as a whole, without a mask."""
    encoder, s = rank.model.encoder, rank.shape
    if encoder is None or s.prefills is None:
        return
    reading = StepShape(s.prefills, s.source_tokens, s.source_tokens, causal=False)
    view = replace(rank, shape=reading, model=replace(rank.model, hidden=encoder.hidden))
    for index, (rows, inputs, outputs) in enumerate(encoder.matrices):
        product = ops.Linear(rows * view.tokens, outputs, inputs, rank.precisions.router)
        yield StepOperator(f"encoder_input_{index}", "embedding", product, 1)
    for group in encoder.layers:
        for step in _layer(view, group):
            yield replace(step, name=f"encoder_{step.name}")


def _layer(rank: Rank, group: LayerGroup) -> Iterator[StepOperator]:
    for step in _plain_layer(rank, group):
        yield step
        if group.lora is not None and adapts(group.lora, step):
            yield lora_of(rank, group.lora, step, getattr(group.ffn, "gated", False))


def _plain_layer(rank: Rank, group: LayerGroup) -> Iterator[StepOperator]:
    count, mixed = float(group.count), bool(group.mixers)
    if mixed:
        yield from _streams(rank, group, "attention")
        yield _norm(rank, "input_norm", "attention", count)
        for mixer in group.mixers:
            yield from MIXERS[type(mixer)](rank, mixer, count)
        if not group.parallel:
            yield from _reduced(rank, "attention", count)
    if group.cross is not None:
        yield _norm(rank, "cross_norm", "attention", count)
        yield from cross_attention(rank, group.cross, count)
        yield from _reduced(rank, "cross_attention", count)
    if group.ffn is not None:
        if not group.parallel:
            yield from _streams(rank, group, "ffn")
            yield _norm(rank, "post_attention_norm", "ffn", count)
        yield from FFNS[type(group.ffn)](rank, group.ffn, count)
    yield from side_input(rank, group.side_width, count)
    usual = mixed + (group.cross is not None) + (group.ffn is not None and not group.parallel)
    if (further := group.norm_operators - usual) > 0:
        yield StepOperator("further_norms", "ffn", ops.RmsNorm(rank.norm_tokens, rank.model.hidden), count * further)


def _norm(rank: Rank, name: str, part: str, count: float) -> StepOperator:
    return StepOperator(name, part, ops.AddRmsNorm(rank.norm_tokens, rank.model.hidden), count)


def _reduced(rank: Rank, name: str, count: float) -> Iterator[StepOperator]:
    yield from rank.reduce(f"{name}_all_reduce", "attention", rank.tokens * rank.model.hidden * 2.0, count)


def _streams(rank: Rank, group: LayerGroup, part: str) -> Iterator[StepOperator]:
    """Yield the mixing of residual streams around a block: its coefficients from all streams, then two passes."""
    n, hidden, count = group.streams, rank.model.hidden, float(group.count)
    if n == 1:
        return
    mixing = ops.Linear(rank.tokens, (2 + n) * n, n * hidden, rank.precisions.router)
    yield StepOperator("stream_mixing", part, mixing, count)
    # the streams are collapsed into the block's input, then mixed with its output: in and out once each time
    yield StepOperator("stream_update", part, ops.Add(rank.tokens, n * hidden), count)


def _sends(rank: Rank) -> Iterator[StepOperator]:
    """Yield the hand-over of the hidden state from stage to stage; each tensor-parallel rank sends its part."""
    plan = rank.plan
    if plan.staged:
        message = ops.SendRecv(2, rank.tokens * rank.model.hidden * 2.0 / plan.tp, span=plan.devices_per_stage)
        yield StepOperator("stage_send", "pipeline", message, plan.pp - 1.0)


def stage_repeats(model: LanguageModel, plan: Plan) -> list[dict[str, Number]]:
    """Return for each stage that may be the slowest which share of each part of the model it runs.

    Layers are dealt evenly, the remainder to the earlier stages; the last one has the head. Where the layers do not
    divide, either the stage with one layer more or the last one may be the slowest. The parts are those of
    :class:`StepOperator`; the embedding (a gather) is never what makes a stage slow.
    """
    if not plan.staged:
        return [{}]
    layers, stages = float(model.layer_count), plan.pp
    each = floor(layers / stages)
    left = layers - each * stages
    alone = where(stages > 1.0, 0.0, 1.0)
    last: dict[str, Number] = {"attention": each / layers, "ffn": each / layers, "embedding": alone}
    found = [last | {"head": 1.0, "pipeline": 0.0}]
    if isinstance(left, float) and left == 0.0:
        return found
    # where some of a column of plans divide the layers, their stage with one layer more is a stage of nothing
    longer = where(left > 0.0, (each + 1.0) / layers, 0.0)
    send = where(left > 0.0, 1.0 / maximum(stages - 1.0, 1.0), 0.0)
    return [*found, {"attention": longer, "ffn": longer, "embedding": 0.0, "head": 0.0, "pipeline": send}]
