"""Products inside memory by hand: commands, seconds, what hides what, and how they grow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.cost.in_memory import (
    Array,
    Commands,
    Timing,
    attention_s,
    commands_s,
    gemv_commands,
    gemv_s,
    least_s,
)

TILED = Array(
    Timing(4.0, 29.0, 4.0, 15.0, 4.0, refresh=0.5, mode_s=300.0), channels=64.0, units=8.0, held=8.0, buffered=8.0,
    outputs_first=True, whole_tiles=True,
)  # fmt: skip
"""Like HBM2-PIM: 4096 outputs and 128 inputs a tile."""

STREAMED = Array(
    Timing(1.0, 44.0, 1.0, output_s=2.0, gather_s=80.0), channels=32.0, units=16.0, columns=64.0, held=32.0,
    buffered=64.0, own_rows=True,
)  # fmt: skip
"""Like GDDR6-AiM: a row of 1024 inputs at a time."""


def test_commands_of_whole_tiles() -> None:
    # 5000 outputs are two groups of 4096, 200 inputs two loads of 128: 4 tiles of 64 products, 8 inputs each
    assert gemv_commands(TILED, 5000.0, 200.0, 2.0, 64.0) == Commands(256.0, 8.0, 32.0, 4.0, 16.0, 2.0)
    one = gemv_commands(TILED, 1024.0, 128.0, 2.0, 64.0)
    assert commands_s(TILED, one) == (64 * 4 + 2 * 29 + 8 * 4 + 15 + 8 * 4) / 0.5
    assert gemv_s(TILED, 1024.0, 128.0, 3.0, 2.0) == 300 + 3 * commands_s(TILED, one), "no reuse over the batch"


def test_commands_of_streamed_rows() -> None:
    # 4096 outputs over 512 units: 8 each; 1100 inputs are 69 columns in two rows, which every output opens anew
    assert gemv_commands(STREAMED, 4096.0, 1100.0, 2.0, 32.0) == Commands(552.0, 16.0, 69.0, 2.0, 16.0, 2.0)
    packed = replace(STREAMED, own_rows=False)
    assert gemv_commands(packed, 4096.0, 1100.0, 2.0, 32.0).rows == 9.0


def test_what_hides_behind_products() -> None:
    found = Commands(100.0, 4.0, 1000.0, 0.0, 0.0, 0.0)
    assert commands_s(STREAMED, found) == 100 + 4 * 44 + 1000
    assert commands_s(replace(STREAMED, overlapped=True), found) == 1000
    assert commands_s(replace(STREAMED, rows_ahead=1.0), found) == 100 + 1000, "64 products hide 44"


def test_attention_a_head_a_channel() -> None:
    array = replace(STREAMED, channels=4.0, own_rows=False)
    once = commands_s(array, gemv_commands(array, 256.0, 128.0, 2.0, 1.0))
    assert attention_s(array, 6.0, 3.0, 256.0, 128.0, 2.0) == 2 * 2 * 3 * once, "two waves, three queries, K and V"
    shared = replace(array, shared=4.0)
    assert attention_s(shared, 6.0, 3.0, 256.0, 128.0, 2.0) == 2 * 2 * once


@given(
    st.sampled_from([TILED, STREAMED, replace(STREAMED, overlapped=True, rows_ahead=3.0, shared=8.0)]),
    st.integers(1, 20000), st.integers(1, 20000), st.integers(1, 64),
)  # fmt: skip
def test_least_time_and_growth(array: Array, outputs: int, inputs: int, vectors: int) -> None:
    n, k, m = float(outputs), float(inputs), float(vectors)
    seconds = gemv_s(array, n, k, m, 2.0)
    assert least_s(array, n * k, m, 2.0) <= seconds
    assert seconds <= gemv_s(array, 2 * n, k, m, 2.0)
    assert seconds <= gemv_s(array, n, 2 * k, m, 2.0)
    assert seconds <= gemv_s(array, n, k, 2 * m, 2.0)
    assert gemv_s(replace(array, channels=2 * array.channels), n, k, m, 2.0) <= seconds


def test_internal_bandwidth() -> None:
    assert TILED.bytes_per_s == pytest.approx(64 * 8 * 32 / 4)
