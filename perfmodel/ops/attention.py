"""Softmax attention over a KV cache: multi-head, multi-query and grouped-query, full, causal or windowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Bytes, Counts, Flops, read, tensor, vector, write
from perfmodel.formats import Encoding
from perfmodel.numeric import Number, floor, maximum, minimum, where
from perfmodel.ops.base import Operator, register

SOFTMAX_FLOPS_PER_SCORE = 5.0
"""Scale, subtract the maximum, exponentiate, add to the sum, rescale: one each."""


def visible_pairs(q_tokens: Number, kv_tokens: Number, window: Number, causal: bool, chunked: bool = False) -> Number:
    """Return how many (query, key) pairs one sequence's attention computes.

    Full: ``q*kv``. Causal, aligned at the end: query i of q sees keys up to ``kv-q+i``, at most ``window`` of them,
    so the count is ``S(kv) - S(kv-q)`` with ``S(x) = sum_{p<=x} min(p, w)``. ``window`` 0 means no window; a
    window without a causal mask sees ``min(kv, window)`` keys. ``chunked``: it sees those of its own chunk of
    ``window`` tokens, ``S(x) = n*w*(w+1)/2 + r*(r+1)/2`` for n whole chunks and r tokens more.
    """
    if chunked and causal:
        return _sum_in_chunks(kv_tokens, window) - _sum_in_chunks(kv_tokens - q_tokens, window)
    width = where(window > 0, minimum(window, kv_tokens), kv_tokens)
    if not causal:
        return q_tokens * width
    return _sum_of_visible(kv_tokens, width) - _sum_of_visible(kv_tokens - q_tokens, width)


def _sum_of_visible(last: Number, width: Number) -> Number:
    ramp = minimum(last, width)
    return ramp * (ramp + 1) * 0.5 + (last - ramp) * width


def _sum_in_chunks(last: Number, chunk: Number) -> Number:
    chunk = maximum(chunk, 1.0)
    whole = floor(last / chunk)
    rest = last - whole * chunk
    return (whole * chunk * (chunk + 1) + rest * (rest + 1)) * 0.5


def cache_reach(q_tokens: Number, kv_tokens: Number, window: Number) -> Number:
    """Return how many cached tokens of a sequence the query tokens touch at all."""
    return where(window > 0, minimum(window + q_tokens - 1, kv_tokens), kv_tokens)


def _score_flops(pairs: Number, heads: Number, width: Number, dtype: str) -> dict[Flops, Number]:
    return {
        tensor(dtype, "attention"): 2.0 * pairs * heads * width,
        vector("softmax"): SOFTMAX_FLOPS_PER_SCORE * pairs * heads,
    }


@register
@dataclass(frozen=True)
class AttentionPrefill(Operator):
    """Attention of ``q_tokens`` new tokens a sequence over ``kv_tokens`` (the new ones included).

    ``flops = 2*B*H*pairs*(d_qk + d_v)``, pairs as in :func:`visible_pairs` (the causal half, a window).
    Bytes: queries and output once, the cache that the queries reach once, the new keys and values written
    (``writes_cache``). Unfused (``fused=False``) adds the score matrix, written and read twice in 16 bits
    (scores out and in for the softmax, probabilities out and in for the second product).

    Source: FlashAttention (Dao et al. 2022), algorithm 1. Omits: sinks (one column), paging tables.
    """

    KIND: ClassVar[str] = "attention_prefill"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 512), "q_tokens": (1, 8192), "kv_tokens": (8192, 32768), "heads": (8, 128), "kv_heads": (1, 8),
        "head_dim": (32, 256), "window": (0, 4096),
    }  # fmt: skip

    batch: Number
    q_tokens: Number
    kv_tokens: Number
    heads: Number
    kv_heads: Number
    head_dim: Number
    window: Number = 0
    causal: bool = True
    dtype: str = "bfloat16"
    cache: Encoding = Encoding("bfloat16", 16)
    writes_cache: bool = True
    fused: bool = True
    chunked: bool = False

    def pairs(self) -> Number:
        """Return the (query, key) pairs of the whole batch, a head."""
        return self.batch * visible_pairs(self.q_tokens, self.kv_tokens, self.window, self.causal, self.chunked)

    def counts(self) -> Counts:
        kv_row = 2.0 * self.kv_heads * self.head_dim * self.cache.bytes_per_element
        queries = self.batch * self.q_tokens * self.heads * self.head_dim * 2.0
        reach = cache_reach(self.q_tokens, self.kv_tokens, self.window)
        moved: dict[Bytes, Number] = {
            read("activation"): queries,
            write("activation"): queries,
            read("kv"): self.batch * reach * kv_row,
        }
        if self.writes_cache:
            moved[write("kv")] = self.batch * self.q_tokens * kv_row
        if not self.fused:
            scores = 2.0 * self.heads * self.pairs() * 2.0
            moved[read("scores")], moved[write("scores")] = scores, scores
        return Counts(_score_flops(self.pairs(), self.heads, 2.0 * self.head_dim, self.dtype), moved)


@register
@dataclass(frozen=True)
class AttentionDecode(Operator):
    """Attention of one new token a sequence over ``kv_tokens`` cached ones (the new one included).

    ``flops = 4*B*H*d*min(kv, window)``; bytes: the visible cache ``2*B*kv*H_kv*d*c`` read once, the new row
    written, query and output. Source: PagedAttention (Kwon et al. 2023). Omits: sinks, paging tables.
    """

    KIND: ClassVar[str] = "attention_decode"
    GROWS_WITH_CACHE: ClassVar[bool] = True
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 1024), "kv_tokens": (1, 131072), "heads": (8, 128), "kv_heads": (1, 8), "head_dim": (32, 256),
        "window": (0, 4096),
    }  # fmt: skip

    batch: Number
    kv_tokens: Number
    heads: Number
    kv_heads: Number
    head_dim: Number
    window: Number = 0
    dtype: str = "bfloat16"
    cache: Encoding = Encoding("bfloat16", 16)
    writes_cache: bool = True
    chunked: bool = False

    def visible(self) -> Number:
        """Return the cached tokens that the new token of each sequence attends to (in chunks: half of one)."""
        within = where(self.window > 0, minimum(self.window, self.kv_tokens), self.kv_tokens)
        if not self.chunked:
            return within
        return where(self.kv_tokens > self.window, (self.window + 1.0) * 0.5, within)

    def counts(self) -> Counts:
        kv_row = 2.0 * self.kv_heads * self.head_dim * self.cache.bytes_per_element
        pairs = self.batch * self.visible()
        query = self.batch * self.heads * self.head_dim * 2.0
        moved: dict[Bytes, Number] = {read("activation"): query, write("activation"): query, read("kv"): pairs * kv_row}
        if self.writes_cache:
            moved[write("kv")] = self.batch * kv_row
        return Counts(_score_flops(pairs, self.heads, 2.0 * self.head_dim, self.dtype), moved)


@register
@dataclass(frozen=True)
class MlaPrefill(Operator):
    """Multi-head latent attention in prefill, after the up-projection: keys of nope+rope, values of v_dim.

    ``flops = 2*B*H*pairs*(nope + rope + v)``; bytes: queries, up-projected keys and values and the output once,
    the new compressed rows (kv_lora_rank + rope) written. Source: DeepSeek-V2 (2024), section 2.1.
    Omits: the projections themselves (linear layers of their own). Only causal ones have a time of their own.
    """

    KIND: ClassVar[str] = "mla_prefill"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 128), "q_tokens": (1, 8192), "kv_tokens": (8192, 32768), "heads": (1, 128),
        "kv_lora_rank": (256, 512), "rope_dim": (32, 64), "nope_dim": (64, 192), "v_dim": (64, 256),
    }  # fmt: skip

    batch: Number
    q_tokens: Number
    kv_tokens: Number
    heads: Number
    kv_lora_rank: Number
    rope_dim: Number
    nope_dim: Number
    v_dim: Number
    dtype: str = "bfloat16"
    cache: Encoding = Encoding("bfloat16", 16)
    writes_cache: bool = True
    causal: bool = True

    def pairs(self) -> Number:
        """Return the (query, key) pairs of the whole batch, a head."""
        return self.batch * visible_pairs(self.q_tokens, self.kv_tokens, 0, self.causal)

    def counts(self) -> Counts:
        key_dim = self.nope_dim + self.rope_dim
        element = 2.0 if self.dtype != "fp8" else 1.0
        queries, keys = self.batch * self.q_tokens * self.heads, self.batch * self.kv_tokens * self.heads
        moved: dict[Bytes, Number] = {
            read("activation"): queries * key_dim * element,
            write("activation"): queries * self.v_dim * 2.0,
            read("kv"): keys * (self.nope_dim + self.v_dim) * element
            + self.batch * self.kv_tokens * self.rope_dim * element,
        }
        if self.writes_cache:
            row = (self.kv_lora_rank + self.rope_dim) * self.cache.bytes_per_element
            moved[write("kv")] = self.batch * self.q_tokens * row
        return Counts(_score_flops(self.pairs(), self.heads, key_dim + self.v_dim, self.dtype), moved)


@register
@dataclass(frozen=True)
class MlaDecode(Operator):
    """Multi-head latent attention in decode, absorbed: one shared KV head of kv_lora_rank + rope_dim.

    ``flops = 2*B*q*H*kv*(2*kv_lora_rank + rope)``; bytes: the compressed cache ``B*kv*(kv_lora_rank + rope)*c`` read
    once for all heads, the new rows written, queries and output. Source: DeepSeek-V2 (2024), section 2.1.3
    (absorption). Omits: the absorbed projections (batched matrix products of their own).
    """

    KIND: ClassVar[str] = "mla_decode"
    GROWS_WITH_CACHE: ClassVar[bool] = True
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 512), "q_tokens": (1, 4), "kv_tokens": (16, 131072), "heads": (1, 128),
        "kv_lora_rank": (256, 512), "rope_dim": (32, 64),
    }  # fmt: skip

    batch: Number
    q_tokens: Number
    kv_tokens: Number
    heads: Number
    kv_lora_rank: Number
    rope_dim: Number
    dtype: str = "bfloat16"
    cache: Encoding = Encoding("bfloat16", 16)
    writes_cache: bool = True

    def counts(self) -> Counts:
        row = (self.kv_lora_rank + self.rope_dim) * self.cache.bytes_per_element
        queries = self.batch * self.q_tokens * self.heads
        pairs = self.batch * visible_pairs(self.q_tokens, self.kv_tokens, 0, causal=True)
        moved: dict[Bytes, Number] = {
            read("activation"): queries * (self.kv_lora_rank + self.rope_dim) * 2.0,
            write("activation"): queries * self.kv_lora_rank * 2.0,
            read("kv"): self.batch * self.kv_tokens * row,
        }
        if self.writes_cache:
            moved[write("kv")] = self.batch * self.q_tokens * row
        return Counts(_score_flops(pairs, self.heads, 2.0 * self.kv_lora_rank + self.rope_dim, self.dtype), moved)
