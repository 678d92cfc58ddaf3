"""The generic arithmetic: each function gives the same number in every reading."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel import numeric as n
from perfmodel.readings.kernel import compile_formula
from perfmodel.readings.symbolic import evaluate

FORMULAS: dict[str, Callable[..., Any]] = {
    "maximum": n.maximum,
    "maximum of three": lambda x, y: n.maximum(x, 3.0, y),
    "minimum": n.minimum,
    "minimum of three": lambda x, y: n.minimum(x, 3.0, y),
    "where": lambda x, y: n.where(x < y, x * 2.0, y * 3.0),
    "both": lambda x, y: n.where(n.both(x > 1.0, y > 2.0), x, y),
    "ceil": lambda x, y: n.ceil(x / y),
    "floor": lambda x, y: n.floor(x / y),
    "sqrt": lambda x, y: n.sqrt(x) + y,
    "exp": lambda x, y: n.exp(x / (x + y)),
    "log": lambda x, y: n.log(x + y),
    "log2": lambda x, y: n.log2(x * y),
    "smooth_maximum 2": lambda x, y: n.smooth_maximum(x, y, 2),
    "smooth_maximum 3": lambda x, y: n.smooth_maximum(x, y, 3),
    "smooth_maximum 4": lambda x, y: n.smooth_maximum(x, y, 4),
    "total": lambda x, y: n.total([x, y, 1.0]),
    "best_of": lambda x, y: n.best_of([(1.0, 8.0), (2.0, 2.0), (8.0, 1.0)], lambda a, b: a * x + b * y, x, y),
    "powers": lambda x, y: x**2 + 2.0**y - x**0.5,
    "reflected": lambda x, y: 1.0 - x + 3.0 / y - (-x),
}


def numbers(least: float = 0.125) -> st.SearchStrategy[float]:
    # multiples of 1/8 up to 16: quotients that are whole are exactly whole, so ceil and floor have one right answer
    return st.integers(int(least * 8), 128).map(lambda k: k / 8)


_compiled: dict[Any, Any] = {}
_traced: dict[str, Any] = {}


def _kernel(name: str, arrays: bool) -> Any:
    if (name, arrays) not in _compiled:
        _compiled[name, arrays] = compile_formula(FORMULAS[name], ["x", "y"], arrays=arrays)
    return _compiled[name, arrays]


@pytest.mark.parametrize("name", FORMULAS)
@given(x=numbers(), y=numbers())
@settings(max_examples=40, deadline=None)
def test_all_readings_agree(name: str, x: float, y: float) -> None:
    f = FORMULAS[name]
    plain = f(x, y)
    a, b = sympy.symbols("a b", positive=True)
    if name not in _traced:
        _traced[name] = f(a, b)
    readings = {
        "array": f(np.array([x, x]), np.array([y, y]))[1],
        "array and float": np.ravel(f(np.array([x]), y))[0],
        "compiled scalars": _kernel(name, False)(x, y),
        "compiled arrays": _kernel(name, True)(np.array([x]), np.array([y]))[0],
        "symbolic": evaluate(_traced[name], {a: x, b: y}),
    }
    for reading, value in readings.items():
        assert float(value) == pytest.approx(plain, rel=1e-9), reading


def test_floats_by_hand() -> None:
    assert n.maximum(2.0, 3.0) == 3.0
    assert n.minimum(2.0, 3.0, 1.0) == 1.0
    assert n.ceil(2.25) == 3.0
    assert n.floor(-2.25) == -3.0
    assert n.where(2.0 > 1.0, 5.0, 7.0) == 5.0
    assert n.log2(8.0) == pytest.approx(3.0)
    assert n.smooth_maximum(3.0, 4.0, 2) == 5.0  # sqrt(9 + 16)
    assert n.total([]) == 0.0
    # 1*1 + 4*2 = 9; 2*1 + 2*2 = 6; 4*1 + 1*2 = 6: the least is 6
    assert n.best_of([(1, 4), (2, 2), (4, 1)], lambda a, b: a * 1.0 + b * 2.0) == 6.0


@pytest.mark.parametrize("f", [n.ceil, n.floor])
def test_a_rounded_count_is_a_float_as_in_every_other_reading(f: Callable[..., Any]) -> None:
    assert isinstance(f(2.5), float)
    assert isinstance(f(7), float)


@given(numbers(), numbers(), st.sampled_from([2, 3, 4, 8]))
def test_smooth_maximum_lies_between_the_maximum_and_a_known_factor(a: float, b: float, p: int) -> None:
    smooth, largest = n.smooth_maximum(a, b, p), max(a, b)
    assert largest * (1 - 1e-12) <= smooth <= 2 ** (1 / p) * largest * (1 + 1e-12)


def test_a_mixed_call_takes_the_richer_reading() -> None:
    x = sympy.Symbol("x", positive=True)
    assert n.maximum(1.0, x).free_symbols == {x}
    assert isinstance(n.maximum(1.0, np.array([0.0, 2.0])), np.ndarray)
    assert list(n.where(np.array([True, False]), 1.0, 2.0)) == [1.0, 2.0]


def test_numpy_scalars_are_numbers() -> None:
    assert n.maximum(np.float64(2.0), 1.0) == 2.0
    assert n.where(np.bool_(True), 1.0, 2.0) == 1.0


def test_a_stranger_is_refused() -> None:
    with pytest.raises(TypeError, match="not a number that formulas can be read with"):
        n.maximum(Fraction(1, 2), 1.0)


def test_floats_import_neither_numpy_nor_sympy() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from perfmodel import numeric as n; "
        "n.best_of([(1.0,), (2.0,)], lambda a: n.maximum(a, n.sqrt(2.0))); n.where(True, n.ceil(1.5), 0.0); "
        "print([m for m in ('numpy', 'sympy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sqrt_exp_log_are_those_of_math() -> None:
    assert (n.sqrt(2.0), n.exp(1.5), n.log(7.0)) == (math.sqrt(2), math.exp(1.5), math.log(7))
