"""Products of activations and gathers: hand-worked counts."""

from __future__ import annotations

import pytest

from perfmodel.ops import BatchedMatmul, EmbeddingBag


def test_a_batched_product() -> None:
    counts = BatchedMatmul(5, 2, 3, 4).counts()
    assert counts.total_flops() == 2 * 5 * 2 * 3 * 4
    assert counts.total_bytes() == 5 * (8 + 12 + 6) * 2


def test_one_look_up_touches_one_row() -> None:
    op = EmbeddingBag(1, 1, 1000, 1, 64)
    assert op.distinct_rows() == pytest.approx(1.0)
    assert op.counts().total_flops() == 0


def test_many_look_ups_touch_every_row_and_no_more() -> None:
    assert EmbeddingBag(10_000, 1, 50, 10, 64).distinct_rows() == pytest.approx(50.0)
    two = EmbeddingBag(1, 1, 2, 2, 64).distinct_rows()
    assert two == pytest.approx(1.5)  # the same row twice, or both


def test_the_sum_of_a_bag() -> None:
    counts = EmbeddingBag(2, 3, 1000, 5, 8).counts()
    assert counts.total_flops() == 2 * 3 * 8 * 4
    assert counts.filter_bytes(role="indices").total_bytes() == 2 * 3 * 5 * 8
