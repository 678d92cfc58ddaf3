"""Main-memory traffic of attention through a buffer: fused, where scores never leave it, and unfused."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.cost.tiling.gemm import gemm_words
from perfmodel.errors import PlanError
from perfmodel.numeric import Number, ceil, floor, maximum


@dataclass(frozen=True)
class AttentionShape:
    """Attention of ``q_tokens`` new tokens over ``kv_tokens`` (they included); each KV head serves its share of heads.

    ``key_width`` and ``value_width`` are those of one head.
    """

    batch: Number
    q_tokens: Number
    kv_tokens: Number
    heads: Number
    kv_heads: Number
    key_width: Number
    value_width: Number
    causal: bool = True

    @property
    def rows(self) -> Number:
        """Return the query rows that one KV head serves: ``q_tokens*heads/kv_heads``."""
        return self.q_tokens * self.heads / self.kv_heads

    @property
    def ends(self) -> Number:
        """Return the words of queries and outputs, which move once in every schedule."""
        return self.batch * self.q_tokens * self.heads * (self.key_width + self.value_width)

    @property
    def cache(self) -> Number:
        """Return the words of keys and values, once each."""
        return self.batch * self.kv_heads * self.kv_tokens * (self.key_width + self.value_width)


def query_rows(shape: AttentionShape, words: Number) -> Number:
    """Return the query rows that a buffer of ``words`` holds: ``floor((S - (d+dv))/(d+dv+3))``, at most all.

    A row needs its query, its output and three numbers (maximum, sum, score); one key and one value pass by.
    Source: FlashAttention (arXiv 2205.14135), algorithm 1, with keys streamed one at a time.
    """
    width = shape.key_width + shape.value_width
    return floor((words - width) / (width + 3.0))


def fused_passes(shape: AttentionShape, words: Number) -> Number:
    """Return how often the keys and values of a head are read: ``ceil(rows/Br)`` blocks of query rows.

    With a causal mask a block reads only the keys up to its own last token: with n even blocks the mean share of the
    new tokens' keys is ``(n+1)/(2n)``, and older keys are read by all.
    Errors: :class:`PlanError` if a plain number of words holds no row. Not checked against data.
    """
    held = query_rows(shape, words)
    if isinstance(held, (int, float)) and held < 1:
        raise PlanError(
            f"a buffer of {words:g} words holds no query row of width {shape.key_width + shape.value_width:g}"
        )
    blocks = ceil(shape.rows / maximum(held, 1.0))
    if not shape.causal:
        return blocks
    new = shape.q_tokens / shape.kv_tokens
    return blocks * (1.0 - new) + new * (blocks + 1.0) / 2.0


def fused_words(shape: AttentionShape, words: Number) -> Number:
    """Return the words that fused attention moves: queries and outputs once, keys and values once a pass."""
    return shape.ends + shape.cache * fused_passes(shape, words)


def unfused_words(shape: AttentionShape, words: Number) -> Number:
    """Return the words of three kernels: two products at their best tiling, and a softmax that reads and writes scores.

    Scores of a causal mask are counted as the full square, as an unfused product computes it.
    """
    heads = shape.batch * shape.kv_heads
    scores = gemm_words(shape.rows, shape.kv_tokens, shape.key_width, words)
    values = gemm_words(shape.rows, shape.value_width, shape.kv_tokens, words)
    return heads * (scores + values + 2.0 * shape.rows * shape.kv_tokens)


def attention_bound(shape: AttentionShape, words: Number) -> Number:
    """Return words that every schedule moves: each operand once.

    Source: compulsory traffic. With less than about ``d^2`` words no schedule reaches it (Saha and Ye, arXiv
    2402.07443), which this bound does not say.
    """
    return shape.ends + shape.cache
