"""Words that cross main memory when an array's fixed streams pass through buffers that are flushed when full."""

from __future__ import annotations

from typing import NamedTuple

from perfmodel.cost.systolic.array import check_dataflow, folds_of
from perfmodel.numeric import Number, floor, maximum, minimum, where


class DramReads(NamedTuple):
    """Words that come from main memory into the two operand buffers."""

    inputs: Number
    weights: Number


def flushed_capacity(buffer_words: Number) -> Number:
    """Return the words that a double buffer keeps before it is flushed: ``50*floor(words/100)``.

    Source: SCALE-Sim's read buffers, half of which prefetches and which count in hundredths of their size.
    """
    return 50.0 * floor(buffer_words / 100.0)


def dram_reads(
    m: Number, n: Number, k: Number, rows: Number, columns: Number, dataflow: str, capacity: tuple[Number, Number],
    distinct_inputs: Number | None = None,
) -> DramReads:  # fmt: skip
    """Return the words that one product reads from main memory through two buffers of ``capacity`` words each.

    A set of W words that is streamed P times costs W if ``W < capacity``, else ``P*W``. Inputs: all of them, for each
    fold of columns (is: once). Weights: ws once, is all of them for each fold of columns, os the K x C strip of each
    fold of columns for each fold of rows. ``distinct_inputs`` is W of a convolution's inputs, whose windows overlap.

    Exact against SCALE-Sim's counts for products. For a convolution whose inputs exceed their buffer it is the least:
    what overlapping windows lose to a flush between them has no closed form, and at most it is ``P*M*K``.
    """
    check_dataflow(dataflow)
    folds = folds_of(m, n, k, rows, columns, dataflow)
    inputs = m * k if distinct_inputs is None else distinct_inputs
    passes = 1.0 if dataflow == "is" else folds.of_columns
    read = inputs * where(inputs < capacity[0], 1.0, passes)
    if dataflow == "ws":
        return DramReads(read, k * n)
    if dataflow == "is":
        return DramReads(read, k * n * where(k * n < capacity[1], 1.0, folds.of_columns))
    return DramReads(read, _strips(n, k, columns, capacity[1], folds.of_rows))


def dram_writes(
    m: Number, n: Number, k: Number, rows: Number, columns: Number, dataflow: str, capacity: Number
) -> tuple[Number, Number]:
    """Return (words written, words read back) of outputs: partial sums leave unless those of a fold's columns fit.

    ``MN`` written where the array (os) or a buffer of M x C words (ws; is: N x C) keeps the sums over all folds of
    K; else ``MN*Fr`` written and ``MN*(Fr-1)`` read back. SCALE-Sim writes ``MN*Fr`` always, and up to a row of the
    array more at the end.
    """
    if dataflow == "os":
        return m * n, 0.0
    folds = folds_of(m, n, k, rows, columns, dataflow)
    strip = folds.streamed * minimum(columns, folds.on_columns)
    passes = where(strip < capacity, 1.0, folds.of_rows)
    return m * n * passes, m * n * (passes - 1.0)


def _strips(n: Number, k: Number, columns: Number, capacity: Number, passes: Number) -> Number:
    """Return the weights read where strips of K x C are streamed ``passes`` times each, one strip after the other.

    A strip that fits is read once, but where the flush falls inside it: its part before the flush is read again.
    That happens at each strip that the buffer has no room for, every ``floor(capacity/strip)`` strips.
    """
    strip, full = k * minimum(columns, n), floor(n / columns)
    last = k * (n - full * columns)
    held = maximum(floor(capacity / strip), 1.0)
    flushes = floor(maximum(full - 1.0, 0.0) / held)
    room = capacity - ((full - 1.0) - flushes * held + 1.0) * strip  # before the last, narrower strip
    again = flushes * (capacity - held * strip)
    again = again + where(full > 0.5, where(last > maximum(room, 0.0), maximum(room, 0.0), 0.0), 0.0)
    fits = k * n + where(passes > 1.0, again, 0.0)
    streamed = passes * full * strip  # strips that never fit leave what came since the last flush
    left = capacity * (floor(streamed / capacity) + 1.0) - streamed
    again = where(passes > 1.0, where(last > left, left, 0.0), 0.0)
    large = streamed + where(last < capacity, last + again, passes * last)
    return where(k * n < capacity, k * n, where(strip < capacity, fits, large))
