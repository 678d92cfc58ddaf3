"""Grouped-query attention (multi-head and multi-query too): projections, rotation, cores."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import Number, maximum
from perfmodel.plan.blocks.context import merge_outputs, move_keys, move_queries, prefill_lengths
from perfmodel.plan.rank import Rank, is_one
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import GroupedQueryAttention


def grouped_query_attention(rank: Rank, a: GroupedQueryAttention, count: float) -> Iterator[StepOperator]:
    """Yield the operators between the input norm and the sum over the tensor-parallel ranks."""
    hidden, tp = rank.model.hidden, rank.plan.tp
    heads, kv_heads = a.heads / tp, maximum(a.kv_heads / tp, 1.0)
    own = 0.0 if a.shared_cache else kv_heads
    values = 0.0 if a.shared_values else own * a.value_dim
    yield rank.linear("qkv_proj", "attention", heads * a.head_dim + own * a.head_dim + values, hidden, count)
    if a.output_gate != "none":
        gate = heads * (a.value_dim if a.output_gate == "element" else 1.0)
        yield rank.linear("gate_proj", "attention", gate, hidden, count)
    if a.qk_norm != "none":
        yield StepOperator("qk_norm", "attention", ops.RmsNorm(rank.tokens, (heads + own) * a.head_dim), count)
    if a.rotated:
        yield StepOperator("rope", "attention", ops.Rope(rank.tokens, (heads + own) * a.head_dim), count)
    yield from _cores(rank, a, heads, kv_heads, count)
    if a.output_gate != "none":
        gated = ops.GatedActivation(rank.tokens, heads * a.value_dim)
        yield StepOperator("output_gate", "attention", gated, count)
    yield rank.linear("o_proj", "attention", hidden, heads * a.value_dim, count)


def _cores(
    rank: Rank, a: GroupedQueryAttention, heads: Number, kv_heads: Number, count: float
) -> Iterator[StepOperator]:
    s, cp = rank.shape, rank.plan.cp
    dtype, cache = rank.precisions.attention_dtype, rank.precisions.cache
    suffix = f"_{'chunk' if a.chunked else 'window'}_{a.window}" if a.window else ""
    # the operator has one head width: products and rows take the sum of keys' and values' widths
    head_dim = (a.head_dim + a.value_dim) / 2 if a.v_head_dim else a.head_dim
    writes, chunked = not a.shared_cache and a.causal, a.chunked
    row_bytes = 2.0 * kv_heads * head_dim * cache.bytes_per_element
    yield from move_keys(rank, row_bytes, count)
    if s.prefills is not None:
        queries, keys = prefill_lengths(s, cp)
        core = ops.AttentionPrefill(
            s.prefills, queries, keys, heads, kv_heads, head_dim, a.window, s.causal and a.causal, dtype, cache, writes,
            chunked=chunked,
        )  # fmt: skip
        yield StepOperator("attention_prefill" + suffix, "attention", core, count)
    yield from move_queries(rank, s.decode_tokens * heads * a.head_dim * 2.0, count)
    if s.decodes is not None:
        window, context = a.window, s.decode_context
        if not is_one(cp):
            window, context = window and -(-window // cp), context / cp
        # drafts to verify read the same cache: as many more query heads
        core = ops.AttentionDecode(
            s.decodes, context, heads * s.decode_tokens, kv_heads, head_dim, window, dtype, cache, writes, chunked
        )
        yield StepOperator("attention_decode" + suffix, "attention", core, count)
    yield from merge_outputs(rank, s.decode_tokens * heads * a.value_dim * 2.0, count)
