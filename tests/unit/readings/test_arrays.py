"""The numpy reading: element by element, with broadcasting."""

from __future__ import annotations

import numpy as np

from perfmodel.numeric import best_of, ceil, maximum, minimum, where


def test_maxima_and_cases_are_element_wise() -> None:
    x, y = np.array([1.0, 5.0, 3.0]), np.array([2.0, 4.0, 3.0])
    assert maximum(x, y).tolist() == [2.0, 5.0, 3.0]
    assert minimum(x, y, 2.5).tolist() == [1.0, 2.5, 2.5]
    assert where(x < y, x, 0.0).tolist() == [1.0, 0.0, 0.0]
    assert ceil(x / 2).tolist() == [1.0, 3.0, 2.0]


def test_grids_broadcast() -> None:
    x, y = np.array([[1.0], [4.0]]), np.array([[2.0, 3.0]])
    assert maximum(x, y).tolist() == [[2.0, 3.0], [4.0, 4.0]]


def test_each_point_has_its_own_best_candidate() -> None:
    x = np.array([1.0, 10.0])
    # x + 9 or 3x + 1: 10 or 4 at x = 1, 19 or 31 at x = 10
    assert best_of([(1.0, 9.0), (3.0, 1.0)], lambda a, b: a * x + b, x).tolist() == [4.0, 19.0]
