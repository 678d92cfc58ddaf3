"""Cycles, utilisation and buffer accesses of a matrix product on a grid of multiply-accumulate units.

A product of M x K by K x N is cut into folds of the size of the array; which of its three matrices stays in the array
while the others stream through is the dataflow: ``os`` outputs, ``ws`` weights (the K x N matrix), ``is`` inputs.
"""

from __future__ import annotations

from typing import NamedTuple

from perfmodel.errors import InputError, did_you_mean
from perfmodel.numeric import Number, ceil, maximum

DATAFLOWS = ("os", "ws", "is")


class Folds(NamedTuple):
    """How a product covers an array: the extents on its rows and columns, what streams, and the folds of each."""

    on_rows: Number
    on_columns: Number
    streamed: Number
    of_rows: Number
    of_columns: Number

    @property
    def folds(self) -> Number:
        """Return the folds in all."""
        return self.of_rows * self.of_columns


class SramWords(NamedTuple):
    """Words that an array reads from its two operand buffers and writes to its output buffer."""

    input_reads: Number
    weight_reads: Number
    output_writes: Number


def check_dataflow(dataflow: str) -> None:
    """Refuse a word that is no dataflow; :class:`InputError` with the nearest one."""
    if dataflow not in DATAFLOWS:
        raise InputError(
            f"unknown dataflow '{dataflow}'{did_you_mean(dataflow, DATAFLOWS)} "
            "(os: outputs stay in the array, ws: weights, is: inputs)"
        )


def folds_of(m: Number, n: Number, k: Number, rows: Number, columns: Number, dataflow: str) -> Folds:
    """Return the folds of an M x N x K product on an array of ``rows`` x ``columns``.

    ``os``: M on rows, N on columns, K streams; ``ws``: K, N, M; ``is``: K, M, N; folds ``ceil(extent/size)`` a side.
    Source: Samajdar et al., "SCALE-Sim" (arXiv 1811.02883), section III.
    """
    check_dataflow(dataflow)
    on_rows, on_columns, streamed = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[dataflow]
    return Folds(on_rows, on_columns, streamed, ceil(on_rows / rows), ceil(on_columns / columns))


def conv_as_gemm(
    outputs: Number, in_per_group: Number, out_per_group: Number, taps: Number
) -> tuple[Number, Number, Number]:
    """Return (M, N, K) of one group of a convolution: output positions, output channels, taps times input channels.

    A grouped convolution is as many such products as it has groups; a depthwise one has N = 1 and K = taps.
    """
    return outputs, out_per_group, in_per_group * taps


def cycles(
    m: Number,
    n: Number,
    k: Number,
    rows: Number,
    columns: Number,
    dataflow: str,
    *,
    repeats: Number = 1.0,
    arrays: Number = 1.0,
    double_buffered: bool = False,
) -> Number:
    """Return the clock cycles of ``repeats`` equal products on ``arrays`` equal arrays that share the folds.

    One array, one product: ``folds*P - 1``, each fold of ``P = R + C + K - 2`` (os: fill, K steps, drain) or
    ``2R + C + streamed - 2`` (ws, is: R to load what stays, then fill, stream, drain). Several arrays each take
    ``ceil(repeats*folds/arrays)`` folds. With ``double_buffered`` the next fold's operand is loaded (os: the last
    fold's outputs are drained) under the present one: ``R + (folds-1)*max(streamed, R) + streamed + R + C - 2``,
    without the first R for os.

    Source: SCALE-Sim, equations 1 to 4 with the stationary operand's load (its version 3 counts the same cycles: see
    tests/oracle/test_systolic.py). Double buffering: not checked against data. Omits: stalls for memory.
    """
    f = folds_of(m, n, k, rows, columns, dataflow)
    rounds = ceil(repeats * f.folds / arrays)
    loads = 0.0 if dataflow == "os" else rows
    edges = rows + columns - 2.0
    if double_buffered:
        return loads + maximum(rounds - 1.0, 0.0) * maximum(f.streamed, rows) + f.streamed + edges
    # each product ends a cycle before its last fold's drain, and an array runs its share of the products
    return rounds * (loads + edges + f.streamed) - ceil(repeats / arrays)


def utilisation(
    m: Number, n: Number, k: Number, rows: Number, columns: Number, taken: Number, *, repeats: Number = 1.0,
    arrays: Number = 1.0,
) -> Number:  # fmt: skip
    """Return the share of all multiply-accumulates that the arrays could have done in ``taken`` cycles (at least 1)."""
    return repeats * m * n * k / (maximum(taken, 1.0) * rows * columns * arrays)


def mapping_efficiency(folds: Folds, rows: Number, columns: Number) -> Number:
    """Return the share of the array that folds cover: the last fold of each side is narrower."""
    return folds.on_rows * folds.on_columns / (folds.folds * rows * columns)


def sram_words(m: Number, n: Number, k: Number, rows: Number, columns: Number, dataflow: str) -> SramWords:
    """Return the words that one product reads from and writes to the array's buffers.

    ``os``: inputs ``MK*Fc``, weights ``KN*Fr``, outputs ``MN``; ``ws``: ``MK*Fc, KN, MN*Fr``; ``is``: ``MK, KN*Fc,
    MN*Fr``, with Fr and Fc folds of rows and columns. Partial sums are written once for each fold of K.
    Source: SCALE-Sim, whose own count of ``os`` writes is ``folds*(R + C)`` too high: every output is written once.
    """
    f = folds_of(m, n, k, rows, columns, dataflow)
    if dataflow == "os":
        return SramWords(m * k * f.of_columns, k * n * f.of_rows, m * n)
    if dataflow == "ws":
        return SramWords(m * k * f.of_columns, k * n, m * n * f.of_rows)
    return SramWords(m * k, k * n * f.of_columns, m * n * f.of_rows)
