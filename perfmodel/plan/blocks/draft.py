"""Drafts of a multi-token-prediction module, one after the other, each from the state and the token before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from perfmodel import ops
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.workloads.spec import LayerGroup

Layer = Callable[[Rank, LayerGroup], Iterable[StepOperator]]
Head = Callable[[Rank], Iterable[StepOperator]]


def drafts(rank: Rank, layer: Layer, head: Head) -> Iterator[StepOperator]:
    """Yield the operators of all drafts of a decode step: two norms, a matrix from 2h to h, a layer, the output head.

    Source: DeepSeek-V3 (2024), section 2.2; drafting as in section 5.4.3. The same module makes every draft.
    """
    s, module, hidden = rank.shape, rank.model.mtp, rank.model.hidden
    if module is None or s.decodes is None or not rank.plan.draft_tokens:
        return
    times = float(rank.plan.draft_tokens)
    one = replace(rank, shape=StepShape(decodes=s.decodes, decode_context=s.decode_context))
    found = [
        StepOperator("norms", "head", ops.RmsNorm(one.tokens, 2 * hidden), 1.0),
        one.linear("proj", "head", hidden / rank.plan.tp, 2 * hidden, 1.0),
        *layer(one, module),
        *head(one),
    ]
    for step in found:
        yield replace(step, name=f"draft_{step.name}", part="head", repeat=step.repeat * times)
