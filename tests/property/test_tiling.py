"""Tilings against brute force over every tile and loop order, and what must hold of any traffic."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations, product
from math import prod

from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.cost.tiling import ConvShape, conv_bound, gemm_bound, gemm_words, optimal_conv, optimal_gemm
from perfmodel.cost.tiling.result import up


def _loads(order: Iterable[str], trips: dict[str, int], own: str) -> int:
    """Return how often an operand is fetched: once for each turn of the loops that change what is around its tile."""
    order = tuple(order)
    last = max((i for i, name in enumerate(order) if name in own), default=-1)
    return prod(trips[name] for name in order[: last + 1] if name not in own)


def brute_gemm(m: int, n: int, k: int, words: int) -> int | None:
    best: int | None = None
    for tm, tn, tk in product(range(1, m + 1), range(1, n + 1), range(1, k + 1)):
        if tm * tn + tm * tk + tk * tn > words:
            continue
        trips = {"m": up(m, tm), "n": up(n, tn), "k": up(k, tk)}
        for order in permutations([name for name in "mnk" if trips[name] > 1]):
            moved = (
                m * k * _loads(order, trips, "mk") + k * n * _loads(order, trips, "kn")
                + m * n * (2 * _loads(order, trips, "mn") - 1)
            )  # fmt: skip
            best = moved if best is None else min(best, moved)
    return best


def brute_conv(s: ConvShape, words: int) -> int | None:
    """Tiles of rows, columns and both kinds of channels in every order; line buffers; 1x1 kernels as products."""
    found: list[int] = []
    sides = product(range(1, s.height + 1), range(1, s.width + 1), range(1, s.outputs + 1), range(1, s.inputs + 1))
    for ty, tx, tk, tc in sides:
        if s.taps * tc * tk + ty * tx * tk + s.patch(ty, tx) * tc > words:
            continue
        trips = {"y": up(s.height, ty), "x": up(s.width, tx), "k": up(s.outputs, tk), "c": up(s.inputs, tc)}
        found += [
            s.inputs * s.patches(ty, tx) * _loads(order, trips, "yxc") + s.weights * _loads(order, trips, "kc")
            + s.results * (2 * _loads(order, trips, "yxk") - 1)
            for order in permutations([name for name in "yxkc" if trips[name] > 1])
        ]  # fmt: skip
    line = s.kernel_height * s.columns(s.width)
    for tk, tc in product(range(1, s.outputs + 1), range(1, s.inputs + 1)):
        if s.taps * tc * tk + line * tc + tk <= words:
            plane = s.patch(s.height, s.width)
            found.append(
                s.inputs * plane * up(s.outputs, tk) + s.weights + s.results * (2 * up(s.inputs, tc) - 1)
            )  # fmt: skip
    flat = brute_gemm(s.height * s.width, s.outputs, s.inputs, words) if s.taps == 1 else None
    return min([*found, *([flat] if flat else [])], default=None)


small = st.integers(1, 9)


@given(m=small, n=small, k=small, words=st.integers(3, 120))
@settings(max_examples=150, deadline=None)
def test_products_equal_brute_force(m: int, n: int, k: int, words: int) -> None:
    assert optimal_gemm(m, n, k, words).words == brute_gemm(m, n, k, words)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_convolutions_equal_brute_force(data: st.DataObject) -> None:
    side, channels = st.integers(1, 5), st.integers(1, 5)
    kernel = data.draw(st.integers(1, 3))
    shape = ConvShape(
        data.draw(side), data.draw(side), kernel, kernel, data.draw(channels), data.draw(channels),
        stride=data.draw(st.integers(1, 2)),
    )  # fmt: skip
    words = data.draw(st.integers(2 * kernel * kernel + 1, 150))
    assert optimal_conv(shape, words).words == brute_conv(shape, words)


numbers = st.integers(1, 3000)


@given(m=numbers, n=numbers, k=numbers, words=st.integers(8, 1 << 18))
@settings(max_examples=60, deadline=None)
def test_order_of_the_policies(m: int, n: int, k: int, words: int) -> None:
    best = optimal_gemm(m, n, k, words)
    bound = gemm_bound(m, n, k, words)
    assert bound * (1 - 1e-9) <= best.words
    assert best.words <= optimal_gemm(m, n, k, words, divisors=True).words
    assert best.words <= optimal_gemm(m, n, k, words, double_buffered=True).words
    assert best.words >= optimal_gemm(m, n, k, 2 * words).words
    assert best.buffer_words <= words
    compulsory = m * k + k * n + m * n
    assert compulsory * (1 - 1e-9) <= gemm_words(float(m), float(n), float(k), float(words)) <= best.words * (1 + 1e-9)


@given(
    shape=st.builds(
        ConvShape, numbers.map(lambda x: x % 60 + 1), numbers.map(lambda x: x % 60 + 1), st.integers(1, 5),
        st.integers(1, 5), st.integers(1, 80), st.integers(1, 80), st.integers(1, 3), st.integers(1, 4),
    ),
    words=st.integers(64, 1 << 16),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_no_tiling_beats_the_bound_of_convolutions(shape: ConvShape, words: int) -> None:
    found = optimal_conv(shape, words)
    compulsory = shape.batch * (shape.inputs * shape.patch(shape.height, shape.width) + shape.results) + shape.weights
    macs = shape.batch * shape.results * shape.taps * shape.inputs
    assert found.words >= compulsory
    assert found.buffer_words <= words
    assert found.words >= 0.5 * conv_bound(macs, compulsory, shape.taps, shape.stride, words)
