"""Compiled kernels: the same numbers as the formula, everything once, loops with hoisted bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.numeric import best_of, both, ceil, exp, floor, log, maximum, minimum, sqrt, where
from perfmodel.readings.kernel import compile_formula

TILES = [(1.0, 7.0), (2.0, 3.0), (4.0, 1.0)]


def _nested(x: Any, y: Any) -> Any:
    """A choice in a choice: the inner body uses both indices, a value of the outer one, and a value of neither."""
    shared = sqrt(x + y)

    def outer(a: Any, b: Any) -> Any:
        waves = ceil(x / a)
        return best_of([(1.0,), (2.0,), (5.0,)], lambda c: waves * c + b * y / c + shared, x, y, a) + b

    return best_of(TILES, outer, x, y)


def _used_twice(c: Any) -> Any:
    return c * c + c


FORMULAS: dict[str, Callable[..., Any]] = {
    "constant": lambda x, y: 3.0,
    "argument": lambda x, y: y,
    "shared": lambda x, y: (x + y) * (x + y) + sqrt(x + y),
    "square of a sum": lambda x, y: (x - y) ** 2,
    "cases": lambda x, y: where(both(x > 2.0, y <= 8.0), maximum(x, y), minimum(x, 1.0 / y)),
    "roundings": lambda x, y: ceil(x / 2.0) * 3.0 - floor(y / 4.0),
    "logarithms": lambda x, y: exp(-x / 16.0) + log(y),
    "negative constant to a power": lambda x, y: (-2.0) ** floor(x) + y,
    "minus": lambda x, y: -x - -2.0 * y,
    "comparison as a number": lambda x, y: (x < y) * 2.0 + y,
    "choice": lambda x, y: best_of(TILES, lambda a, b: ceil(x / a) * a + b * y, x, y),
    "choice without its index": lambda x, y: best_of(TILES, lambda a, b: x + y, x, y),
    "choice of the index alone": lambda x, y: best_of(TILES, lambda a, b: a + b, x) * y,
    "choice used twice": lambda x, y: _used_twice(best_of(TILES, lambda a, b: a * x + b * y, x, y)),
    "nested choice": _nested,
    "choice beside a choice": lambda x, y: (
        best_of(TILES, lambda a, b: a * x + b, x) + best_of(TILES, lambda a, b: a * x + b * y, x, y)
    ),
    "inner choice free of the outer index": lambda x, y: best_of(
        TILES, lambda a, b: a * y + best_of(TILES, lambda c, d: c * x + d, x) * b, x, y
    ),
    "choice of a case": lambda x, y: best_of(TILES, lambda a, b: where(x > a, b * x, a * y), x, y),
}
_compiled: dict[Any, Any] = {}


def _kernel(name: str, arrays: bool) -> Any:
    if (name, arrays) not in _compiled:
        _compiled[name, arrays] = compile_formula(FORMULAS[name], ["x", "y"], arrays=arrays)
    return _compiled[name, arrays]


values = st.integers(1, 160).map(lambda k: k / 8)


@pytest.mark.parametrize("name", FORMULAS)
@given(rows=st.lists(st.tuples(values, values), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_kernel_gives_the_formulas_numbers(name: str, rows: list[tuple[float, float]]) -> None:
    plain = [FORMULAS[name](x, y) for x, y in rows]
    assert [_kernel(name, False)(x, y) for x, y in rows] == pytest.approx(plain, rel=1e-12)
    x, y = np.array(rows).T
    assert np.broadcast_to(_kernel(name, True)(x, y), len(rows)) == pytest.approx(plain, rel=1e-12)


def test_arguments_broadcast() -> None:
    kernel = compile_formula(lambda x, y: (x * y + 1.0, x), ["x", "y"])
    grid, first = kernel(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0, 5.0]]))
    assert grid.tolist() == [[4.0, 5.0, 6.0], [7.0, 9.0, 11.0]]
    assert first.shape == (2, 1)


def test_a_tuple_of_results_gives_a_tuple() -> None:
    assert compile_formula(lambda x: (x, 2.0 * x), ["x"], arrays=False)(4.0) == (4.0, 8.0)
    assert compile_formula(lambda x: (x,), ["x"], arrays=False)(4.0) == (4.0,)
    assert compile_formula(lambda x: x, ["x"], arrays=False)(4.0) == 4.0


def test_common_parts_are_computed_once() -> None:
    source = compile_formula(lambda x, y: sqrt(x + y) * sqrt(x + y) + sqrt(x + y), ["x", "y"]).source
    assert source.count("_np.sqrt") == 1
    assert source.count("(x + y)") == 1


def _loops(source: str) -> list[tuple[int, str]]:
    """Return (depth of the loop, text) of each line."""
    return [((len(line) - len(line.lstrip())) // 4, line.strip()) for line in source.splitlines() if line.strip()]


def test_what_does_not_depend_on_a_choice_is_hoisted_out_of_its_loop() -> None:
    source = compile_formula(lambda x, y: best_of(TILES, lambda a, b: a * sqrt(x + y) + b, x, y), ["x", "y"]).source
    depths = [depth for depth, text in _loops(source) if "sqrt" in text]
    assert depths == [1], source


def test_each_value_of_a_nested_choice_lies_in_its_own_loop() -> None:
    lines = _loops(compile_formula(_nested, ["x", "y"]).source)
    at = {word: [depth for depth, text in lines if word in text] for word in ("sqrt", "ceil", "for ")}
    assert at["for "] == [1, 2]
    assert at["sqrt"] == [1], "it depends on no index"
    assert at["ceil"] == [2], "it depends on the outer index alone"


def test_an_inner_choice_without_the_outer_index_is_hoisted() -> None:
    source = compile_formula(FORMULAS["inner choice free of the outer index"], ["x", "y"]).source
    assert [depth for depth, text in _loops(source) if text.startswith("for ")] == [1, 1], source


def test_the_source_is_what_runs() -> None:
    kernel = compile_formula(lambda x: x * 2.0, ["x"], arrays=False)
    assert kernel.source.startswith("def kernel(x):")
    assert kernel.arguments == ("x",)


def test_infinite_constants() -> None:
    assert compile_formula(lambda x: minimum(x, float("inf")), ["x"], arrays=False)(3.0) == 3.0


def test_deep_formulas_do_not_recurse() -> None:
    def deep(x: Any) -> Any:
        for _ in range(5000):
            x = x * 1.0001 + 0.0
        return sqrt(x)

    assert compile_formula(deep, ["x"], arrays=False)(2.0) == pytest.approx((2.0 * 1.0001**5000) ** 0.5)
