"""Traffic of fused attention: against a walk over its blocks, and in its limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.cost.tiling.attention import (
    AttentionShape,
    attention_bound,
    fused_passes,
    fused_words,
    query_rows,
    unfused_words,
)
from perfmodel.errors import PlanError

SHAPE = AttentionShape(2.0, 1024.0, 1024.0, 8.0, 2.0, 64.0, 64.0, causal=False)


def walked_cache_reads(shape: AttentionShape, positions: int) -> float:
    """Return the keys read by blocks of ``positions`` query positions, each up to its last one."""
    read, first = 0.0, 0
    while first < shape.q_tokens:
        last = min(first + positions, shape.q_tokens)
        read += shape.kv_tokens - shape.q_tokens + last if shape.causal else shape.kv_tokens
        first = last
    return read


@given(positions=st.sampled_from([1, 2, 4, 8, 16, 64, 512, 1024]), older=st.integers(0, 4096), causal=st.booleans())
def test_even_blocks_read_what_a_walk_reads(positions: int, older: int, causal: bool) -> None:
    shape = replace(SHAPE, kv_tokens=1024.0 + older, causal=causal)
    words = positions * 4 * (64 + 64 + 3) + 128  # a position is 4 query rows of its KV head
    assert query_rows(shape, words) == positions * 4
    assert fused_passes(shape, words) * shape.kv_tokens == pytest.approx(walked_cache_reads(shape, positions))


def test_a_large_buffer_moves_each_operand_once() -> None:
    assert fused_words(SHAPE, 1e9) == attention_bound(SHAPE, 1e9) == 2 * 1024 * 128 * (8 + 2)
    decode = AttentionShape(1.0, 1.0, 8192.0, 32.0, 8.0, 128.0, 128.0)
    assert fused_words(decode, 4096.0) == attention_bound(decode, 4096.0)


def test_unfused_moves_the_scores() -> None:
    assert unfused_words(SHAPE, 1e6) - fused_words(SHAPE, 1e6) > 2 * 2 * 4 * 1024 * 1024


def test_arrays_and_small_buffers() -> None:
    sizes = np.array([1e3, 1e4, 1e5])
    assert [fused_words(SHAPE, float(s)) for s in sizes] == list(fused_words(SHAPE, sizes))
    with pytest.raises(PlanError, match="a buffer of 200 words holds no query row of width 128"):
        fused_passes(SHAPE, 200.0)
