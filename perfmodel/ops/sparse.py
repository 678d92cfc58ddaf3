"""Sparse attention: the scores that choose which cached entries to attend to, and attention to the chosen ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Bytes, Counts, read, tensor, vector, write
from perfmodel.formats import Encoding
from perfmodel.numeric import Number, maximum, minimum, where
from perfmodel.ops.attention import SOFTMAX_FLOPS_PER_SCORE, visible_pairs
from perfmodel.ops.base import Operator, register

_FLOPS_PER_SCORE = 3.0
"""Rectify, weigh, add up over the heads."""


@register
@dataclass(frozen=True)
class IndexScores(Operator):
    """The scores of every cached entry for every query: ``heads`` small heads that share one key of ``dim``.

    ``flops = 2*B*pairs*heads*dim``, pairs causal; one entry stands for ``stride`` tokens. Bytes: queries once, the
    cached keys once, one score of 4 bytes a pair out and in again for the choice of the top ones.

    Shapes: B sequences of ``q_tokens`` at the end of ``kv_tokens``. Source: DeepSeek-V3.2-Exp (2025), equation 1.
    Omits: the projections (linear layers of their own); sorting.
    """

    KIND: ClassVar[str] = "index_scores"
    GROWS_WITH_CACHE: ClassVar[bool] = True
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 512), "q_tokens": (1, 4096), "kv_tokens": (4096, 131072), "heads": (1, 64), "dim": (32, 128),
        "stride": (1, 8),
    }  # fmt: skip

    batch: Number
    q_tokens: Number
    kv_tokens: Number
    heads: Number
    dim: Number
    stride: Number = 1
    dtype: str = "bfloat16"
    cache: Encoding = Encoding("bfloat16", 16)

    def counts(self) -> Counts:
        pairs = self.batch * visible_pairs(self.q_tokens, self.kv_tokens, 0, causal=True) / self.stride
        row = self.dim * self.cache.bytes_per_element
        entries = self.batch * self.kv_tokens / self.stride
        moved: dict[Bytes, Number] = {
            read("activation"): self.batch * self.q_tokens * self.heads * self.dim * 2.0,
            read("kv"): entries * row,
            write("kv"): self.batch * self.q_tokens / self.stride * row,
            read("scores"): pairs * 4.0,
            write("scores"): pairs * 4.0,
        }
        flops = {
            tensor(self.dtype, "index"): 2.0 * pairs * self.heads * self.dim,
            vector("index"): _FLOPS_PER_SCORE * pairs * self.heads,
        }
        return Counts(flops, moved)


@register
@dataclass(frozen=True)
class SparseLatent(Operator):
    """Latent attention of ``q_tokens`` new tokens to the ``topk`` chosen of the cached ones, absorbed.

    ``flops = 2*B*H*min(chosen*(2*kv_lora_rank + rope), pairs*dense_width)``: a query at position p sees the
    ``min(p, topk)`` chosen entries, or all of them as multi-head attention of ``dense_width`` (nope + rope + v), which
    is less for short prompts. Bytes: queries and output once, the new rows, the cached rows of the last query.

    Source: DeepSeek-V3.2-Exp (2025), section 1. Omits: the same row read again for another query.
    """

    KIND: ClassVar[str] = "sparse_latent"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 128), "q_tokens": (1, 4096), "kv_tokens": (4096, 131072), "heads": (1, 128),
        "kv_lora_rank": (256, 512), "rope_dim": (32, 64), "window": (64, 4096), "dense_width": (128, 576),
    }  # fmt: skip

    batch: Number
    q_tokens: Number
    kv_tokens: Number
    heads: Number
    kv_lora_rank: Number
    rope_dim: Number
    window: Number
    dense_width: Number
    dtype: str = "bfloat16"
    cache: Encoding = Encoding("bfloat16", 16)

    def pairs(self) -> Number:
        """Return the chosen (query, entry) pairs of the whole batch, a head."""
        return self.batch * visible_pairs(self.q_tokens, self.kv_tokens, self.window, causal=True)

    def every_pair(self) -> Number:
        """Return all visible (query, entry) pairs of the whole batch, a head."""
        return self.batch * visible_pairs(self.q_tokens, self.kv_tokens, 0, causal=True)

    def chosen_width(self) -> Number:
        """Return the multiplications of an absorbed pair."""
        return 2.0 * self.kv_lora_rank + self.rope_dim

    def products(self) -> Number:
        """Return the least multiplications of a head: over the chosen entries, or over all without absorption."""
        return minimum(self.pairs() * self.chosen_width(), self.every_pair() * self.dense_width)

    def rows_read(self) -> Number:
        """Return the cached rows that a sequence's queries need at least: those of its last query."""
        return self.batch * minimum(self.window, self.kv_tokens)

    def counts(self) -> Counts:
        row = (self.kv_lora_rank + self.rope_dim) * self.cache.bytes_per_element
        queries = self.batch * self.q_tokens * self.heads
        moved: dict[Bytes, Number] = {
            read("activation"): queries * (self.kv_lora_rank + self.rope_dim) * 2.0,
            write("activation"): queries * self.kv_lora_rank * 2.0,
            read("kv"): self.rows_read() * row,
            write("kv"): self.batch * self.q_tokens * row,
        }
        flops = {
            tensor(self.dtype, "attention"): 2.0 * self.products() * self.heads,
            vector("softmax"): SOFTMAX_FLOPS_PER_SCORE * self.pairs() * self.heads,
        }
        return Counts(flops, moved)


@register
@dataclass(frozen=True)
class SparseLatentDecode(SparseLatent):
    """The same for one token a sequence in a decode step, always absorbed: the cache is in that form."""

    KIND: ClassVar[str] = "sparse_latent_decode"
    GROWS_WITH_CACHE: ClassVar[bool] = True

    def products(self) -> Number:
        return self.pairs() * self.chosen_width()


@register
@dataclass(frozen=True)
class CompressedCore(Operator):
    """Attention to a window of tokens and to entries that stand for ``rate`` tokens each, with shared keys and values.

    A query at position p sees ``min(p, window)`` tokens and ``min(p/rate, topk)`` entries (``topk`` 0: all; ``rate`` 0:
    none). ``flops = 4*B*H*pairs*head_dim``. Bytes: queries and output, the new rows, each visible row once.

    Source: DeepSeek-V4 (2026), section 2.3. Omits: that an entry is seen only when its last token has passed.
    """

    KIND: ClassVar[str] = "compressed_attention"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 128), "q_tokens": (1, 4096), "kv_tokens": (4096, 131072), "heads": (1, 128), "head_dim": (64, 512),
        "window": (16, 1024), "rate": (0, 128), "topk": (0, 1024),
    }  # fmt: skip

    batch: Number
    q_tokens: Number
    kv_tokens: Number
    heads: Number
    head_dim: Number
    window: Number
    rate: Number = 0
    topk: Number = 0
    dtype: str = "bfloat16"
    cache: Encoding = Encoding("bfloat16", 16)

    def _entry_window(self) -> Number:
        """Return the entries' window in tokens: ``topk*rate``, 0 for all."""
        return self.topk * self.rate

    def pairs(self) -> Number:
        """Return the (query, row) pairs of the whole batch, a head."""
        near = visible_pairs(self.q_tokens, self.kv_tokens, self.window, causal=True)
        far = visible_pairs(self.q_tokens, self.kv_tokens, self._entry_window(), causal=True)
        return self.batch * (near + where(self.rate > 0, far / maximum(self.rate, 1.0), 0.0))

    def rows_read(self) -> Number:
        """Return the rows that the last query of each sequence sees, which is the least that is read."""
        reach = where(self._entry_window() > 0, minimum(self._entry_window(), self.kv_tokens), self.kv_tokens)
        entries = where(self.rate > 0, reach / maximum(self.rate, 1.0), 0.0)
        return self.batch * (minimum(self.window, self.kv_tokens) + entries)

    def counts(self) -> Counts:
        row = self.head_dim * self.cache.bytes_per_element
        queries = self.batch * self.q_tokens * self.heads * self.head_dim * 2.0
        new = 1.0 + where(self.rate > 0, 1.0 / maximum(self.rate, 1.0), 0.0)
        moved: dict[Bytes, Number] = {
            read("activation"): queries,
            write("activation"): queries,
            read("kv"): self.rows_read() * row,
            write("kv"): self.batch * self.q_tokens * new * row,
        }
        flops = {
            tensor(self.dtype, "attention"): 4.0 * self.pairs() * self.heads * self.head_dim,
            vector("softmax"): SOFTMAX_FLOPS_PER_SCORE * self.pairs() * self.heads,
        }
        return Counts(flops, moved)


@register
@dataclass(frozen=True)
class CompressedCoreDecode(CompressedCore):
    """The same for one token a sequence in a decode step."""

    KIND: ClassVar[str] = "compressed_attention_decode"
    GROWS_WITH_CACHE: ClassVar[bool] = True

    def edges(self) -> tuple[Number, ...]:
        return tuple(edge for edge in (self.window, self._entry_window()) if edge)
