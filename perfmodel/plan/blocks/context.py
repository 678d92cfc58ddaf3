"""Context parallelism: the tokens of a group are cut over ``cp`` devices, attention still sees all of them.

In a prefill the keys and values travel: round a ring behind the attention of the part before (Ring Attention, Liu et
al. 2023), or gathered ahead of it (``cp_mode`` all_gather, as Llama 3 was trained: Grattafiori et al. 2024, section
3.3.2). Each rank takes one early and one late piece of the sequence, so that the causal mask leaves all the same work.
In a decode step the queries travel: they are gathered, each rank attends to its part of the cache, and the partial
outputs are reduce-scattered.
"""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.plan.rank import Rank, is_one
from perfmodel.plan.step_shape import StepOperator, StepShape


def prefill_lengths(shape: StepShape, cp: Number) -> tuple[Number, Number]:
    """Return (queries, keys) a sequence of the attention that one rank computes, aligned causally at the end.

    With ``q = S/cp`` queries from all over the S new tokens of a context C, a query sees ``C - (S - 1)/2`` keys on
    average, as it does in attention of q queries at the end of ``C - (S - q)/2`` keys.
    """
    if is_one(cp):
        return shape.new_tokens, shape.prefill_context
    queries = shape.new_tokens / cp
    if not shape.causal:
        return queries, shape.prefill_context
    return queries, shape.prefill_context - (shape.new_tokens - queries) * 0.5


def move_keys(rank: Rank, row_bytes: Number, count: float) -> Iterator[StepOperator]:
    """Yield what brings the other ranks' keys and values (``row_bytes`` a token) to this one in a prefill."""
    plan, s = rank.plan, rank.shape
    if is_one(plan.cp) or s.prefills is None:
        return
    gathered = s.prefills * s.prefill_context * row_bytes
    if plan.cp_mode == "all_gather":
        yield StepOperator("context_all_gather", "attention", ops.AllGather(plan.cp, gathered, span=plan.tp), count)
        return
    # cp - 1 rounds, each a message of this rank's part to its neighbour while the part before is attended to
    message = ops.SendRecv(2, gathered / plan.cp, span=plan.tp)
    yield StepOperator("context_ring", "attention", message, count * (plan.cp - 1), behind="attention")


def move_queries(rank: Rank, query_bytes: Number, count: float) -> Iterator[StepOperator]:
    """Yield the gathering of a decode step's queries (``query_bytes`` a sequence) over the ranks."""
    if not is_one(rank.plan.cp) and rank.shape.decodes is not None:
        moved = rank.shape.decodes * query_bytes
        op = ops.AllGather(rank.plan.cp, moved, span=rank.plan.tp)
        yield StepOperator("context_query_gather", "attention", op, count)


def merge_outputs(rank: Rank, output_bytes: Number, count: float) -> Iterator[StepOperator]:
    """Yield the reduction of a decode step's partial outputs (``output_bytes`` a sequence) over the ranks."""
    if not is_one(rank.plan.cp) and rank.shape.decodes is not None:
        moved = rank.shape.decodes * output_bytes
        op = ops.ReduceScatter(rank.plan.cp, moved, span=rank.plan.tp)
        yield StepOperator("context_output_scatter", "attention", op, count)
