"""Layers that a part of the tokens skips: early exit, layer skipping, mixture of depths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from perfmodel.numeric import Number, exp, log
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.workloads.spec import LayerGroup

Layer = Callable[[Rank, LayerGroup], Iterable[StepOperator]]


def run_by_share(rank: Rank, group: LayerGroup, layer: Layer) -> Iterator[StepOperator]:
    """Yield a layer's operators for the tokens that run it, as often as any does.

    Of n sequences in a decode step, each at the layer with probability p, some are with ``P = 1 - (1-p)^n``: then the
    layer runs, for ``n*p/P`` of them on average. So a batch still reads the weights of layers that most tokens skip. Of
    a prompt a share of the tokens runs the layer. Source: CALM (Schuster et al. 2022) for exits; mixture of depths
    (Raposo et al. 2024). Omits: projecting the keys and values of tokens that skip a layer and leave them all the same.
    """
    if group.share == 1.0 and group.prompt_share == 1.0:
        yield from layer(rank, group)
        return
    s = rank.shape
    if s.prefills is not None:
        prompts = StepShape(
            s.prefills, s.new_tokens * group.prompt_share, _seen(s.prefill_context, group, group.prompt_share),
            logits=s.logits, causal=s.causal,
        )  # fmt: skip
        yield from layer(replace(rank, shape=prompts), group)
    if s.decodes is not None and group.share > 0:
        chance = any_of(s.decodes, group.share)
        running = StepShape(
            decodes=s.decodes * group.share / chance, decode_context=_seen(s.decode_context, group, group.share)
        )
        for step in layer(replace(rank, shape=running), group):
            reach = 1.0 if group.keeps_skipped else group.share
            yield replace(step, repeat=step.repeat * chance, reach=reach)


def any_of(sequences: Number, share: float) -> Number:
    """Return the chance that one of the sequences at least is there, each with probability ``share``."""
    return 1.0 if share >= 1.0 else 1.0 - exp(sequences * log(1.0 - share))


def _seen(context: Number, group: LayerGroup, share: float) -> Number:
    """Return the tokens that a layer's cache has: all, or those that ran the layer."""
    return context if group.keeps_skipped else context * share
