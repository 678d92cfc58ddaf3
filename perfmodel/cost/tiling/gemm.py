"""Main-memory traffic of a matrix product through a buffer: the optimum, its bound, and a pure formula near it."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel.cost.tiling.result import Tiling, least, tile_sizes, up, widest
from perfmodel.numeric import Number, maximum, minimum, sqrt


def optimal_gemm(
    m: int, n: int, k: int, words: int, *, double_buffered: bool = False, divisors: bool = False
) -> Tiling:
    """Return the tiling of an M x K by K x N product that moves fewest words through a buffer of ``words``.

    Three schedules, each with the dimension that streams cut to 1 (``b`` is 2 if what streams is double buffered):

    - output stationary: ``tm*tn + b*(tm+tn) <= S``, ``Q = MK*ceil(N/tn) + KN*ceil(M/tm) + MN``
    - input stationary: ``tm*tk + b*(tm+tk) <= S``, ``Q = MK + KN*ceil(M/tm) + MN*(2*ceil(K/tk) - 1)``
    - weight stationary: the same with M and N, inputs and weights exchanged

    Equal to brute force over all tiles and loop orders on small products (tests/property/test_tiling.py). With
    ``divisors`` tiles must divide their dimension. Errors: :class:`PlanError` if not one element of each fits.
    Source: Hong and Kung 1981 for the bound; Smith et al., "A Tight I/O Lower Bound for Matrix Multiplication" (arXiv
    1702.02017) for the shape of the optimum.
    """
    held = 2 if double_buffered else 1
    found = [*_output_stationary(m, n, k, words, held, divisors), *_input_stationary(m, n, k, words, held, divisors)]
    for t in _input_stationary(n, m, k, words, held, divisors):  # the transposed product
        tiles = {"n": t.tiles["m"], "k": t.tiles["k"], "m": 1}
        found.append(Tiling("weight-stationary", tiles, t.weight_words, t.input_words, t.output_words, t.buffer_words))
    return least(found, words, f"a {m} x {n} x {k} product")


def _output_stationary(m: int, n: int, k: int, words: int, held: int, divisors: bool) -> Iterator[Tiling]:
    for tm in tile_sizes(m, divisors):
        tn = widest((words - held * tm) // (tm + held), n, divisors)
        if tn >= 1:
            tiles = {"m": tm, "n": tn, "k": 1}
            moved = m * k * up(n, tn), k * n * up(m, tm), m * n
            yield Tiling("output-stationary", tiles, *moved, buffer_words=tm * tn + held * (tm + tn))


def _input_stationary(m: int, n: int, k: int, words: int, held: int, divisors: bool) -> Iterator[Tiling]:
    for tm in tile_sizes(m, divisors):
        tk = widest((words - held * tm) // (tm + held), k, divisors)
        if tk >= 1:
            tiles = {"m": tm, "k": tk, "n": 1}
            moved = m * k, k * n * up(m, tm), m * n * (2 * up(k, tk) - 1)
            yield Tiling("input-stationary", tiles, *moved, buffer_words=tm * tk + held * (tm + tk))


def gemm_bound(m: Number, n: Number, k: Number, words: Number) -> Number:
    """Return the fewest words that any schedule moves: ``max(MK + KN + MN, 2MNK/sqrt(S) - 2S)``.

    Source: Smith et al. (arXiv 1702.02017), theorem 1, and that every operand moves once.
    """
    return maximum(m * k + k * n + m * n, 2.0 * m * n * k / sqrt(words) - 2.0 * words)


def gemm_words(m: Number, n: Number, k: Number, words: Number) -> Number:
    """Return the words that the best of the three schedules moves, with no rounding of tiles: a pure formula.

    Output stationary: square tiles of ``sqrt(S+1) - 1``, or what the shorter side leaves; input and weight stationary:
    twice as long in K, whose partial sums move twice. A tile never exceeds its dimension. On tests/oracle/
    test_tiling.py's products 0.98 of the exact search at the median.
    """
    square = sqrt(words + 1.0) - 1.0
    tm, tn = _pair(m, n, square, square, words)
    outputs = m * k * _parts(n, tn) + k * n * _parts(m, tm) + m * n
    shorter = sqrt(words / 2.0 + 1.0) - 1.0
    tm, tk = _pair(m, k, shorter, 2.0 * shorter, words)
    inputs = m * k + k * n * _parts(m, tm) + m * n * (2.0 * _parts(k, tk) - 1.0)
    tn, tk = _pair(n, k, shorter, 2.0 * shorter, words)
    weights = k * n + m * k * _parts(n, tn) + m * n * (2.0 * _parts(k, tk) - 1.0)
    return minimum(outputs, inputs, weights)


def _pair(a: Number, b: Number, wish_a: Number, wish_b: Number, words: Number) -> tuple[Number, Number]:
    """Return tiles of two dimensions: as wished, or longer where the other is too short to use its share."""
    longer_a = maximum((words - b) / (b + 1.0), wish_a)
    longer_b = maximum((words - a) / (a + 1.0), wish_b)
    return minimum(a, longer_a), minimum(b, longer_b)


def _parts(extent: Number, tile: Number) -> Number:
    return maximum(extent / maximum(tile, 1e-9), 1.0)
