"""Grids in two stages against plain evaluation of every point."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.numeric import best_of, ceil, maximum, sqrt, where
from perfmodel.readings.staged import stage

FORMULAS: dict[str, Callable[..., Sequence[Any]]] = {
    "each on its own axis": lambda x, y, z: [x, y * 2.0, sqrt(z)],
    "pairs": lambda x, y, z: [x + y, y * z, x - z],
    "all": lambda x, y, z: [x * y * z],
    "parts of fewer axes": lambda x, y, z: [sqrt(x) + sqrt(x * y) + sqrt(x * y * z), maximum(x * y, z)],
    "constants": lambda x, y, z: [1.0, 2.0 * x, sqrt(x * 0.0 + 4.0)],
    "choice on one axis": lambda x, y, z: [best_of([(1.0,), (2.0,), (4.0,)], lambda a: ceil(x / a) + a, x) + y * z],
    "choice on all axes": lambda x, y, z: [best_of([(1.0,), (3.0,)], lambda a: a * sqrt(x) + y * z / a, x, y, z)],
    "nested choice": lambda x, y, z: [
        best_of(
            [(1.0,), (3.0,)], lambda a: best_of([(1.0,), (2.0,)], lambda b: a * x / b + b * z, x, z, a) + y / a, x, y, z
        )
    ],
    "cases": lambda x, y, z: [where(x > y, x * z, y - z)],
    "same result twice": lambda x, y, z: [x + y, x + y],
    "two axes of three": lambda x, y, z: [x / y],
    "none": lambda x, y, z: [7.0],
}

axis = st.lists(st.integers(1, 40).map(float), min_size=1, max_size=4)


def _whole(f: Callable[..., Sequence[Any]], grid: dict[str, list[float]], points: int) -> tuple[list[Any], Any]:
    staged = stage(f, grid)
    results = [np.full(staged.shape, np.nan) for _ in f(*(v[0] for v in grid.values()))]
    for where_, values in staged.chunks(points):
        for result, value in zip(results, values, strict=True):
            assert np.isnan(result[where_]).all(), "no point is visited twice"
            result[where_] = value
    return results, staged


@pytest.mark.parametrize("name", FORMULAS)
@given(x=axis, y=axis, z=axis, points=st.sampled_from([1, 2, 3, 5, 7, 32768]))
@settings(max_examples=25, deadline=None)
def test_a_staged_grid_is_the_plain_evaluation(
    name: str, x: list[float], y: list[float], z: list[float], points: int
) -> None:
    f = FORMULAS[name]
    results, staged = _whole(f, {"x": x, "y": y, "z": z}, points)
    assert staged.shape == (len(x), len(y), len(z))
    for index in itertools.product(*(range(n) for n in staged.shape)):
        plain = f(x[index[0]], y[index[1]], z[index[2]])
        assert [r[index] for r in results] == pytest.approx(list(plain), rel=1e-12)


def test_chunks_are_no_larger_than_asked_for() -> None:
    staged = stage(lambda x, y, z: [sqrt(x) + y * z], {"x": range(1, 8), "y": range(1, 6), "z": range(1, 5)})
    sizes = [values[0].size for _, values in staged.chunks(points=20)]
    assert max(sizes) <= 20
    assert sum(sizes) == 7 * 5 * 4


def test_what_depends_on_one_axis_is_evaluated_once_on_it() -> None:
    staged = stage(lambda x, y: [sqrt(x) + y], {"x": range(1, 100), "y": range(1, 100)})
    assert staged.boundary_count == 1
    assert "sqrt" in staged.reduced.source
    assert "sqrt" not in staged.full.source
    assert staged.reduced(*staged.values)[0].shape == (99, 1)


def test_an_axis_of_one_value_counts_as_none() -> None:
    staged = stage(lambda x, y: [sqrt(x * y) + y], {"x": range(1, 100), "y": [3.0]})
    assert staged.boundary_count == 0 or "sqrt" in staged.full.source + staged.reduced.source
    (_, values), *rest = staged.chunks()
    assert not rest
    assert values[0].shape == (99, 1)
    assert values[0][3, 0] == pytest.approx(12**0.5 + 3)


def test_a_point() -> None:
    results, _ = _whole(lambda x, y: [sqrt(x) * y, x], {"x": [4.0], "y": [5.0]}, 1)
    assert [r.item() for r in results] == [10.0, 4.0]
