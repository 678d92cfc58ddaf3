"""The sympy reading: nothing hidden, nothing guessed, and readable."""

from __future__ import annotations

from typing import Any

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.numeric import best_of, both, ceil, floor, maximum, minimum, where
from perfmodel.readings.symbolic import BestOf, evaluate

X, Y = sympy.symbols("x y", positive=True)
TILES = [(1.0, 9.0), (3.0, 1.0)]


def _choice() -> Any:
    return best_of(TILES, lambda a, b: a * X + b, X)


def test_a_choice_keeps_its_body_once_with_bound_indices() -> None:
    choice = _choice()
    assert isinstance(choice, BestOf)
    assert choice.free_symbols == {X}
    assert len(choice.candidates) == 2
    assert (choice + Y).free_symbols == {X, Y}


def test_doit_is_an_ordinary_minimum() -> None:
    assert _choice().doit() == sympy.Min(1.0 * X + 9.0, 3.0 * X + 1.0)
    assert _choice().subs(X, 1).doit() == 4.0  # min(10, 4)
    assert _choice().subs(X, 10).doit() == 19.0  # min(19, 31)


def test_evalf_of_a_choice() -> None:
    assert float(_choice().subs(X, 10).evalf()) == 19.0
    assert float((2 * _choice().subs(X, 1) + 1).evalf()) == 9.0
    assert evaluate(_choice(), {X: 10}) == 19.0


def test_a_choice_prints_as_text_and_as_latex() -> None:
    text, latex = str(_choice()), sympy.latex(_choice())
    assert text.startswith("min over 2 (_a, _b) of [")
    assert "x" in text
    assert latex.startswith(r"\min_{")
    assert latex.count("{") == latex.count("}")
    assert latex.endswith(r"\right]")


def test_a_choice_of_one_is_the_body() -> None:
    assert best_of([(2.0,)], lambda a: a * X, X) == 2.0 * X


def test_a_choice_in_a_choice() -> None:
    nested = best_of([(1.0,), (2.0,)], lambda a: best_of([(3.0,), (5.0,)], lambda b: a * X + b / a + Y, X, Y, a), X, Y)
    # a=1: x + y + 3; a=2: 2x + y + 1.5
    assert nested.free_symbols == {X, Y}
    assert evaluate(nested, {X: 1.0, Y: 10.0}) == 13.5
    assert evaluate(nested, {X: 2.0, Y: 10.0}) == 15.0
    assert nested.subs({X: 1, Y: 10}).doit() == 13.5


def test_a_value_used_in_and_outside_a_choice() -> None:
    waves = ceil(X / 4)
    assert evaluate(waves + best_of(TILES, lambda a, b: a * waves + b, X), {X: 10.0}) == 13.0  # 3 + min(12, 10)


def test_maxima_stay_as_they_are_unless_algebra_tells() -> None:
    assert evaluate(maximum(X, Y), {X: 2.0, Y: 3.0}) == 3.0
    assert maximum(X, Y).free_symbols == {X, Y}
    assert maximum(X, X) == X
    assert maximum(X + Y, X) == X + Y  # symbols are positive
    assert minimum(X + Y, X) == X
    assert maximum(2.0, 3.0) == 3.0


def test_cases() -> None:
    case = where(both(X > 1, Y > 2), X, Y)
    assert evaluate(case, {X: 2.0, Y: 3.0}) == 2.0
    assert evaluate(case, {X: 0.5, Y: 3.0}) == 3.0
    assert where(sympy.true, X, Y) == X
    assert where(sympy.Integer(2) > 1, X, Y) == X


@given(st.integers(1, 400), st.integers(1, 400))
@settings(deadline=None)
def test_a_whole_quotient_is_whole(a: int, b: int) -> None:
    # a/b is written a*(1/b), which may be an ulp off: ceil(49*(1/49)) must be 1
    assert evaluate(floor(X / Y), {X: float(a), Y: float(b)}) == a // b
    assert evaluate(ceil(X / float(b)), {X: float(a * b)}) == a


@pytest.mark.parametrize("value", [3, 2.5])
def test_a_plain_number_evaluates(value: float) -> None:
    assert evaluate(value, {}) == value
