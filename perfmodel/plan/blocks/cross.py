"""Attention of a decoder's tokens to the encoder's output: keys and values are made once a request, then cached."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import maximum
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import CrossAttention


def cross_attention(rank: Rank, c: CrossAttention, count: float) -> Iterator[StepOperator]:
    """Yield the operators between the norm and the sum over the tensor-parallel ranks.

    A prefill projects the source's keys and values. A decode step has no core here: it is in that of the decoder's own
    attention, whose cache of input and output tokens holds the rows of both.
    """
    s, hidden, tp = rank.shape, rank.model.hidden, rank.plan.tp
    heads, kv_heads = c.heads / tp, maximum(c.kv_heads / tp, 1.0)
    dtype, cache = rank.precisions.attention_dtype, rank.precisions.cache
    yield rank.linear("cross_q_proj", "attention", heads * c.head_dim, hidden, count)
    if s.prefills is not None:
        rows = s.prefills * s.source_tokens
        yield rank.linear("cross_kv_proj", "attention", 2 * kv_heads * c.head_dim, c.source_hidden, count, rows)
        core = ops.AttentionPrefill(
            s.prefills, s.new_tokens, s.source_tokens, heads, kv_heads, c.head_dim, 0, False, dtype, cache, False
        )
        yield StepOperator("cross_attention_prefill", "attention", core, count)
    yield rank.linear("cross_o_proj", "attention", hidden, heads * c.head_dim, count)
