"""Loading, swapping and computing caches: where they are equal."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.cost.cache_moves import break_even_bytes_per_s, break_even_tokens, load_s, quadratic, swap_s

POSITIVE = st.floats(1e-6, 1e-2)


@given(size=st.floats(1e6, 1e12), computing=st.floats(1e-3, 100.0), compression=st.floats(1.0, 8.0))
def test_at_the_break_even_rate_loading_takes_as_long(size: float, computing: float, compression: float) -> None:
    rate = break_even_bytes_per_s(size, computing, 1e-4, compression)
    assert load_s(size, rate, 1e-4, compression) == pytest.approx(computing)
    assert load_s(size, 2.0 * rate, 1e-4, compression) < computing


def test_a_latency_above_the_computation_is_never_worth_it() -> None:
    assert break_even_bytes_per_s(1e9, 0.01, 0.02) == math.inf


@given(linear=POSITIVE, square=st.floats(1e-9, 1e-5), loading=POSITIVE, latency=st.floats(0.0, 1.0))
def test_at_the_break_even_length_loading_takes_as_long(
    linear: float, square: float, loading: float, latency: float
) -> None:
    n = float(break_even_tokens(linear, square, loading, latency))
    assert n >= 0.0
    if n > 1e-6:
        assert latency + loading * n == pytest.approx(linear * n + square * n * n, rel=1e-6, abs=1e-9)
    longer = 1.5 * n + 1.0
    assert latency + loading * longer < (linear * longer + square * longer**2) * (1.0 + 1e-9)


def test_without_attention_a_token_decides() -> None:
    assert float(break_even_tokens(2e-3, 0.0, 1e-3, 0.5)) == pytest.approx(500.0)
    assert float(break_even_tokens(1e-3, 0.0, 2e-3, 0.5)) == math.inf


def test_a_parabola_through_two_prefills() -> None:
    linear, square = quadratic(1000.0, 1000 * 1e-4 + 1e6 * 1e-9, 4000.0, 4000 * 1e-4 + 16e6 * 1e-9)
    assert (linear, square) == (pytest.approx(1e-4), pytest.approx(1e-9))


def test_there_and_back() -> None:
    assert swap_s(5e9, 50e9) == pytest.approx(0.2)
