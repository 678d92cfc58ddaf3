"""Cycles of systolic arrays: by a model that moves every word, in the limits, and in every reading."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st

from perfmodel.cost.systolic import DATAFLOWS, cycles, dram_reads, folds_of, sram_words, utilisation
from perfmodel.errors import InputError

small = st.integers(1, 40)


def walked(m: int, n: int, k: int, rows: int, columns: int, dataflow: str) -> int:
    """Walk one fold after the other: the cycle of the last operation of the last cell, counted from zero."""
    on_rows, on_columns, streamed = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[dataflow]
    clock = 0
    for _ in range(0, on_rows, rows):
        for _ in range(0, on_columns, columns):
            if dataflow != "os":
                clock += rows  # a row of the stationary matrix moves in each cycle
            # word t of the stream reaches the cell in row i and column j in cycle t + i + j
            clock += (streamed - 1) + (rows - 1) + (columns - 1) + 1
    return clock - 1


@given(m=small, n=small, k=small, rows=st.integers(1, 12), columns=st.integers(1, 12), d=st.sampled_from(DATAFLOWS))
def test_cycles_are_those_of_a_walk(m: int, n: int, k: int, rows: int, columns: int, d: str) -> None:
    assert cycles(m, n, k, rows, columns, d) == walked(m, n, k, rows, columns, d)


@given(m=small, n=small, k=small, rows=st.integers(1, 12), columns=st.integers(1, 12), d=st.sampled_from(DATAFLOWS))
def test_the_array_is_never_more_than_full(m: int, n: int, k: int, rows: int, columns: int, d: str) -> None:
    shape = (m, n, k, rows, columns)
    plain = cycles(*shape, d)
    overlapped = cycles(*shape, d, double_buffered=True)
    assert 0 < utilisation(*shape, plain + 1) <= 1
    assert 0 < utilisation(*shape, overlapped) <= 1
    assert overlapped <= plain + 1


@given(m=small, n=small, k=small, d=st.sampled_from(DATAFLOWS), arrays=st.integers(1, 9), repeats=st.integers(1, 9))
def test_arrays_share_the_folds(m: int, n: int, k: int, d: str, arrays: int, repeats: int) -> None:
    one = cycles(m, n, k, 8, 8, d, repeats=repeats)
    assert one == repeats * cycles(m, n, k, 8, 8, d)
    several = cycles(m, n, k, 8, 8, d, repeats=repeats, arrays=arrays)
    assert one / arrays - 1 <= several <= one
    assert utilisation(m, n, k, 8, 8, several + 1, repeats=repeats, arrays=arrays) <= 1


def test_a_long_stream_fills_a_double_buffered_array() -> None:
    assert utilisation(10**7, 128, 128, 128, 128, cycles(10**7, 128, 128, 128, 128, "ws", double_buffered=True)) > 0.999
    # folds*max(M, R) of 4*2 folds, and loading, filling and draining once
    assert cycles(1000, 200, 400, 128, 128, "ws", double_buffered=True) == 128 + 8 * 1000 + 254


@pytest.mark.parametrize("d", DATAFLOWS)
def test_readings_agree(d: str) -> None:
    m, n, k, r, c = shape = sympy.symbols("m n k r c", positive=True)
    values = {m: 49, n: 33, k: 129, r: 16, c: 8}
    plain = cycles(*values.values(), d)
    assert cycles(*shape, d).subs(values) == plain
    arrays = [np.array([float(v), 2.0 * v]) for v in values.values()]
    assert cycles(*arrays, d)[0] == plain


def test_sram_words_by_hand() -> None:
    # 3 x 2 folds of 2 x 2: inputs pass once a fold of columns, weights once a fold of rows
    assert tuple(sram_words(6, 4, 5, 2, 2, "os")) == (6 * 5 * 2, 5 * 4 * 3, 6 * 4)
    assert tuple(sram_words(5, 4, 6, 2, 2, "ws")) == (5 * 6 * 2, 6 * 4, 5 * 4 * 3)
    assert tuple(sram_words(4, 5, 6, 2, 2, "is")) == (4 * 6, 6 * 5 * 2, 4 * 5 * 3)


def flushed(m: int, n: int, k: int, rows: int, columns: int, capacity: int) -> int:
    """Walk the weights of an output-stationary product through a set that is emptied when full; count what is read."""
    held: set[tuple[int, int]] = set()
    read = 0
    for left in range(0, n, columns):
        for _ in range(0, m, rows):
            for i in range(k):
                for j in range(left, min(left + columns, n)):
                    if (i, j) in held:
                        continue
                    if len(held) >= capacity:
                        held.clear()
                    held.add((i, j))
                    read += 1
    return read


@given(
    m=st.integers(1, 20), n=st.integers(1, 20), k=st.integers(1, 12), rows=st.integers(1, 8), columns=st.integers(1, 6),
    capacity=st.integers(2, 150),
)  # fmt: skip
def test_weights_through_a_flushed_buffer(m: int, n: int, k: int, rows: int, columns: int, capacity: int) -> None:
    assume(capacity % (k * min(columns, n)))  # a set of just the capacity counts as too large
    assume(capacity not in (k * n, k * (n % columns)))
    found = dram_reads(m, n, k, rows, columns, "os", (1e9, float(capacity))).weights
    assert found == flushed(m, n, k, rows, columns, capacity)


def test_a_wrong_dataflow_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown dataflow 'wss' - did you mean 'ws'"):
        folds_of(1, 1, 1, 1, 1, "wss")
