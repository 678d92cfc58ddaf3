"""Multi-head latent attention: up-projected in a prefill, absorbed in a decode step."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.plan.blocks.compressed import indexer
from perfmodel.plan.blocks.context import merge_outputs, move_keys, move_queries, prefill_lengths
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import Indexer, LatentAttention


def latent_attention(rank: Rank, a: LatentAttention, count: float) -> Iterator[StepOperator]:
    """Yield the operators between the input norm and the sum over the tensor-parallel ranks."""
    hidden, heads = rank.model.hidden, a.heads / rank.plan.tp
    key_dim, latent = a.nope_dim + a.rope_dim, a.kv_lora_rank + a.rope_dim
    if a.q_lora_rank:
        yield rank.linear("qkv_a_proj", "attention", a.q_lora_rank + latent, hidden, count)
        norm = ops.RmsNorm(rank.tokens, a.q_lora_rank + a.kv_lora_rank)
        yield StepOperator("latent_norm", "attention", norm, count)
        yield rank.linear("q_b_proj", "attention", heads * key_dim, a.q_lora_rank, count)
    else:
        yield rank.linear("q_kv_a_proj", "attention", heads * key_dim + latent, hidden, count)
        yield StepOperator("latent_norm", "attention", ops.RmsNorm(rank.tokens, a.kv_lora_rank), count)
    yield StepOperator("rope", "attention", ops.Rope(rank.tokens, (heads + 1) * a.rope_dim), count)
    if a.indexer is not None and not a.indexer.shared:
        yield rank.linear("indexer_k_proj", "attention", a.indexer.dim, hidden, count)
        yield from indexer(rank, a.indexer, a.q_lora_rank or hidden, 1, count)
    if a.indexer is not None:
        yield from _sparse(rank, a, a.indexer, heads, count)
    else:
        yield from move_keys(rank, latent * rank.precisions.cache.bytes_per_element, count)
        if rank.shape.prefills is not None:
            yield from _prefill(rank, a, heads, count)
        if rank.shape.decodes is not None:
            yield from _decode(rank, a, heads, count)
    yield rank.linear("o_proj", "attention", hidden, heads * a.v_dim, count)


def _sparse(rank: Rank, a: LatentAttention, i: Indexer, heads: Number, count: float) -> Iterator[StepOperator]:
    """Yield attention to the chosen tokens: absorbed in a prefill too, since every query chooses its own."""
    s, cp, dtype, cache = rank.shape, rank.plan.cp, rank.precisions.attention_dtype, rank.precisions.cache
    shape = (heads, a.kv_lora_rank, a.rope_dim, i.topk, a.nope_dim + a.rope_dim + a.v_dim, dtype, cache)
    yield rank.linear("q_absorb", "attention", heads * a.kv_lora_rank, a.nope_dim, count)
    if s.prefills is not None:
        queries, keys = prefill_lengths(s, cp)
        yield StepOperator(
            "mla_sparse_prefill", "attention", ops.SparseLatent(s.prefills, queries, keys, *shape), count
        )
    if s.decodes is not None:
        core = ops.SparseLatentDecode(s.decodes, s.decode_tokens, s.decode_context / cp, *shape)
        yield StepOperator("mla_sparse_decode", "attention", core, count)
    yield rank.linear("v_absorb", "attention", heads * a.v_dim, a.kv_lora_rank, count)


def _prefill(rank: Rank, a: LatentAttention, heads: Number, count: float) -> Iterator[StepOperator]:
    s, dtype, cache = rank.shape, rank.precisions.attention_dtype, rank.precisions.cache
    up = heads * (a.nope_dim + a.v_dim)
    # the latent rows travel between context-parallel ranks, so that each projects all of them up
    yield rank.linear("kv_b_proj", "attention", up, a.kv_lora_rank, count, s.prefills * s.prefill_context)
    queries, keys = prefill_lengths(s, rank.plan.cp)
    core = ops.MlaPrefill(
        s.prefills, queries, keys, heads, a.kv_lora_rank, a.rope_dim, a.nope_dim, a.v_dim, dtype, cache,
        causal=s.causal,
    )  # fmt: skip
    yield StepOperator("mla_prefill", "attention", core, count)


def _decode(rank: Rank, a: LatentAttention, heads: Number, count: float) -> Iterator[StepOperator]:
    s, cp, dtype, cache = rank.shape, rank.plan.cp, rank.precisions.attention_dtype, rank.precisions.cache
    latent = a.kv_lora_rank + a.rope_dim
    # absorbed: a product a head; one linear layer with all heads' columns has the same flops and weights
    decodes: Number = s.decodes
    rows = rank.tokens if s.prefills is None else decodes * s.decode_tokens
    yield rank.linear("q_absorb", "attention", heads * a.kv_lora_rank, a.nope_dim, count, rows)
    yield from move_queries(rank, s.decode_tokens * heads * latent * 2.0, count)
    core = ops.MlaDecode(
        s.decodes, s.decode_tokens, s.decode_context / cp, heads, a.kv_lora_rank, a.rope_dim, dtype, cache
    )
    yield StepOperator("mla_decode", "attention", core, count)
    yield from merge_outputs(rank, s.decode_tokens * heads * a.kv_lora_rank * 2.0, count)
    yield rank.linear("v_absorb", "attention", heads * a.v_dim, a.kv_lora_rank, count, rows)
