"""The ends of a model: the embedding, and the head with its logits."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import ceil
from perfmodel.plan.rank import Rank, is_one
from perfmodel.plan.step_shape import StepOperator, share_of


def embedding(rank: Rank) -> Iterator[StepOperator]:
    """Yield the gather of the tokens' rows, and its sum over the ranks that split the vocabulary."""
    hidden, width = rank.model.hidden, rank.model.embedding_width
    yield StepOperator("embedding", "embedding", ops.Embedding(rank.tokens, width or hidden), 1)
    if width:
        yield rank.linear("embedding_proj", "embedding", hidden, width, 1)
    yield from rank.reduce("embedding_all_reduce", "embedding", rank.tokens * hidden * 2.0, 1)


def head(rank: Rank) -> Iterator[StepOperator]:
    """Yield the final norm, the logits of the positions asked for, and sampling."""
    model, plan, s = rank.model, rank.plan, rank.shape
    rows = rank.tokens if s.logits == "all" else share_of(s.rows_of_logits, plan.cp)
    vocabulary = ceil(model.vocabulary / plan.tp)
    yield StepOperator("final_norm", "head", ops.AddRmsNorm(rows, model.hidden), 1)
    for index, (inputs, outputs) in enumerate(model.head):
        form = rank.precisions.router
        yield StepOperator(f"head_proj_{index}", "head", ops.Linear(rows, outputs, inputs, form), 1)
    if not model.has_head:
        return
    lm_head = ops.Linear(rows, vocabulary, model.embedding_width or model.hidden, rank.precisions.lm_head)
    yield StepOperator("lm_head", "head", lm_head, 1)
    if not is_one(plan.tp):
        gathered = rows * model.vocabulary * 2.0
        yield StepOperator("logits_all_gather", "head", ops.AllGather(plan.tp, gathered), 1)
    yield StepOperator("sampling", "head", ops.Softmax(rows, model.vocabulary), 1)


def exit_head(rank: Rank, count: float) -> Iterator[StepOperator]:
    """Yield the output head as each of ``count`` layers with an exit asks it whether a decoded token is done."""
    s, model = rank.shape, rank.model
    if s.decodes is not None:
        vocabulary = ceil(model.vocabulary / rank.plan.tp)
        logits = ops.Linear(s.decodes, vocabulary, model.hidden, rank.precisions.lm_head)
        yield StepOperator("exit_head", "exit", logits, count)
        yield StepOperator("exit_choice", "exit", ops.Softmax(s.decodes, model.vocabulary), count)
