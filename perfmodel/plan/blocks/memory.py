"""A product-key memory: queries, the scores of two tables of sub-keys, a gather of the chosen values."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import MemoryFfn


def memory_ffn(rank: Rank, f: MemoryFfn, count: float) -> Iterator[StepOperator]:
    """Yield the operators after the norm; values are split over the ranks by their width, and so gathered in parts.

    Source: Lample et al. 2019, section 3; memory layers at scale (Berges et al. 2024).
    """
    hidden, tp = rank.model.hidden, rank.plan.tp
    yield rank.linear("memory_query", "ffn", f.heads * f.key_dim, hidden, count)
    # a head's query halves against its two tables: as many products as one table of the whole width
    yield rank.linear("memory_scores", "ffn", f.heads * f.keys, f.key_dim, count)
    yield StepOperator("memory_choice", "ffn", ops.Softmax(rank.tokens, 2 * f.heads * f.keys), count)
    gathered = ops.Embedding(rank.tokens * f.heads * f.topk, hidden / tp)
    yield StepOperator("memory_values", "ffn", gathered, count)
    yield from rank.reduce("ffn_all_reduce", "ffn", rank.tokens * hidden * 2.0, count)
