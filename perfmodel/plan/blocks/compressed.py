"""Attention to a window and to compressed entries, with the indexer that chooses among them (DeepSeek-V4)."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import CompressedAttention, Indexer


def compressed_attention(rank: Rank, a: CompressedAttention, count: float) -> Iterator[StepOperator]:
    """Yield the operators between the input norm and the sum over the tensor-parallel ranks.

    The one key, the compressor and the indexer are replicated over the ranks, the query heads and output groups dealt.
    """
    hidden, heads, series = rank.model.hidden, a.heads / rank.plan.tp, 2 if a.overlapping else 1
    yield rank.linear("q_kv_a_proj", "attention", a.q_lora_rank + a.head_dim, hidden, count)
    norm = ops.RmsNorm(rank.tokens, a.q_lora_rank + a.head_dim)
    yield StepOperator("latent_norm", "attention", norm, count)
    yield rank.linear("q_b_proj", "attention", heads * a.head_dim, a.q_lora_rank, count)
    yield StepOperator("rope", "attention", ops.Rope(rank.tokens, (heads + 1) * a.rope_dim), count)
    if a.rate:
        yield rank.linear("compressor_proj", "attention", 2 * series * a.head_dim, hidden, count)
    if a.indexer is not None:
        yield rank.linear("indexer_compressor_proj", "attention", 2 * series * a.indexer.dim, hidden, count)
        yield from indexer(rank, a.indexer, a.q_lora_rank, a.rate, count)
    yield from _cores(rank, a, heads, count)
    yield rank.linear("o_a_proj", "attention", a.output_rank, heads * a.head_dim, count)
    yield rank.linear("o_b_proj", "attention", hidden, a.output_groups * a.output_rank / rank.plan.tp, count)


def indexer(rank: Rank, i: Indexer, query_inputs: int, stride: int, count: float) -> Iterator[StepOperator]:
    """Yield the projections of an indexer's queries and of its heads' weights, and the scores over the cache."""
    yield rank.linear("indexer_q_proj", "attention", i.heads * i.dim, query_inputs, count)
    yield rank.linear("indexer_weights", "attention", i.heads, rank.model.hidden, count)
    s, cache = rank.shape, rank.precisions.cache
    # scores are products of quantised vectors where the layers around them are
    dtype = "fp8" if rank.precisions.attention.compute in ("fp8", "fp4") else rank.precisions.attention_dtype
    if s.prefills is not None:
        queries = s.new_tokens / rank.plan.cp
        scores = ops.IndexScores(s.prefills, queries, s.prefill_context, i.heads, i.dim, stride, dtype, cache)
        yield StepOperator("index_scores_prefill", "attention", scores, count)
    if s.decodes is not None:
        kept = s.decode_context / rank.plan.cp
        scores = ops.IndexScores(s.decodes, s.decode_tokens, kept, i.heads, i.dim, stride, dtype, cache)
        yield StepOperator("index_scores_decode", "attention", scores, count)


def _cores(rank: Rank, a: CompressedAttention, heads: Number, count: float) -> Iterator[StepOperator]:
    s, dtype, cache = rank.shape, rank.precisions.attention_dtype, rank.precisions.cache
    topk = a.indexer.topk if a.indexer is not None else 0
    name = f"attention_compressed_{a.rate}" if a.rate else f"attention_window_{a.window}"
    shape = (heads, a.head_dim, a.window, a.rate, topk, dtype, cache)
    if s.prefills is not None:
        core = ops.CompressedCore(s.prefills, s.new_tokens / rank.plan.cp, s.prefill_context, *shape)
        yield StepOperator(f"{name}_prefill", "attention", core, count)
    if s.decodes is not None:
        core = ops.CompressedCoreDecode(s.decodes, s.decode_tokens, s.decode_context / rank.plan.cp, *shape)
        yield StepOperator(f"{name}_decode", "attention", core, count)
