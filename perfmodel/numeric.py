"""Arithmetic that is generic over its number type: float, numpy array, sympy expression, traced node.

A formula uses these functions instead of ``max``, ``math.ceil`` or ``if``, and can then be read in every way
that :mod:`perfmodel.readings` offers. Floats never import numpy or sympy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Number = Any
"""A float, a numpy array, a sympy expression or a traced node (numbers of different kinds may be mixed)."""


class Arithmetic:
    """What a kind of number must offer beyond ``+ - * / **`` and comparisons; of two kinds the higher rank decides."""

    rank = 0

    def maximum(self, a: Number, b: Number) -> Number:
        return a if a >= b else b

    def minimum(self, a: Number, b: Number) -> Number:
        return a if a <= b else b

    def where(self, condition: Number, if_true: Number, if_false: Number) -> Number:
        return if_true if condition else if_false

    def best_of(
        self, candidates: Sequence[tuple[float, ...]], f: Callable[..., Number], captured: Sequence[Number]
    ) -> Number:
        return min(f(*candidate) for candidate in candidates)

    def unary(self, name: str, a: Number) -> Number:
        return _FLOAT_UNARY[name](a)


_FLOAT_UNARY: dict[str, Callable[[float], float]] = {
    # float() of the result, so that a count of 2**70 stays a float as in every other reading
    "ceil": lambda a: float(math.ceil(a)),
    "floor": lambda a: float(math.floor(a)),
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
}

_FLOAT = Arithmetic()
_BY_PACKAGE: dict[str, str] = {
    "numpy": "perfmodel.readings.arrays",
    "sympy": "perfmodel.readings.symbolic",
}
_loaded: dict[type, Arithmetic] = {float: _FLOAT, int: _FLOAT, bool: _FLOAT}
_pairs: dict[tuple[type, type], Arithmetic] = {}


def register_arithmetic(number_type: type, arithmetic: Arithmetic) -> None:
    """Teach the generic functions a further kind of number."""
    _loaded[number_type] = arithmetic
    _pairs.clear()


def _arithmetic(*values: Number) -> Arithmetic:
    found: Arithmetic = _FLOAT
    for value in values:
        other = _loaded.get(type(value)) or _discover(type(value))
        # a traced node or an expression absorbs arrays and floats; an array absorbs floats
        if other.rank > found.rank:
            found = other
    return found


def _of_one(a: Number) -> Arithmetic:
    """Return the arithmetic of a number."""
    return _loaded.get(type(a)) or _discover(type(a))


def _of_two(a: Number, b: Number) -> Arithmetic:
    """Return the arithmetic of two numbers, looked up once for each pair of types."""
    kinds = type(a), type(b)
    found = _pairs.get(kinds)
    if found is None:
        found = _pairs[kinds] = _arithmetic(a, b)
    return found


def _discover(kind: type) -> Arithmetic:
    packages = (base.__module__.partition(".")[0] for base in kind.__mro__)
    module = next((_BY_PACKAGE[name] for name in packages if name in _BY_PACKAGE), None)
    if module is None:
        if issubclass(kind, (int, float)):
            _loaded[kind] = _FLOAT
            return _FLOAT
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not a number that formulas can be read with")
    from importlib import import_module

    arithmetic: Arithmetic = import_module(module).ARITHMETIC
    _loaded[kind] = arithmetic
    return arithmetic


def maximum(a: Number, b: Number, *more: Number) -> Number:
    """Return the largest argument, element by element."""
    if type(a) is float and type(b) is float and not more:
        return a if a >= b else b
    result = _of_two(a, b).maximum(a, b)
    return maximum(result, *more) if more else result


def minimum(a: Number, b: Number, *more: Number) -> Number:
    """Return the smallest argument, element by element."""
    if type(a) is float and type(b) is float and not more:
        return a if a <= b else b
    result = _of_two(a, b).minimum(a, b)
    return minimum(result, *more) if more else result


def where(condition: Number, if_true: Number, if_false: Number) -> Number:
    """Return ``if_true`` where the condition holds, else ``if_false``; both are evaluated, so neither may fail."""
    return _arithmetic(condition, if_true, if_false).where(condition, if_true, if_false)


def both(a: Number, b: Number) -> Number:
    """Return a condition that holds where both conditions hold (``and`` would branch)."""
    return where(a, where(b, 1.0, 0.0), 0.0) > 0.5


def ceil(a: Number) -> Number:
    """Round up to a whole number."""
    return _of_one(a).unary("ceil", a)


def floor(a: Number) -> Number:
    """Round down to a whole number."""
    return _of_one(a).unary("floor", a)


def sqrt(a: Number) -> Number:
    """Square root."""
    return _of_one(a).unary("sqrt", a)


def exp(a: Number) -> Number:
    """Exponential."""
    return _of_one(a).unary("exp", a)


def log(a: Number) -> Number:
    """Natural logarithm."""
    return _of_one(a).unary("log", a)


def log2(a: Number) -> Number:
    """Binary logarithm."""
    return log(a) * (1 / math.log(2))


def smooth_maximum(a: Number, b: Number, p: float) -> Number:
    """Return ``(a^p + b^p)^(1/p)`` for ``a, b >= 0``: at least the maximum, at most ``2^(1/p)`` times it."""
    if isinstance(b, (int, float)) and b == 0:
        return a
    if p == 2:
        return sqrt(a * a + b * b)
    if p == 4:
        return sqrt(sqrt((a * a) ** 2 + (b * b) ** 2))
    return (a**p + b**p) ** (1 / p)


def best_of(candidates: Iterable[tuple[float, ...]], f: Callable[..., Number], *captured: Number) -> Number:
    """Return the least ``f(*candidate)`` over constant candidates (tiles, splits, algorithms).

    ``captured`` names the numbers that ``f`` closes over: only they tell which reading is under way.
    An array reading loops with an accumulator, a symbolic one keeps the body once with the candidates as a
    bound index, a compiled kernel renders a loop.
    """
    choices = tuple(candidates)
    return _arithmetic(*captured).best_of(choices, f, captured)


def sorted_numbers(values: Sequence[Number]) -> list[Number]:
    """Return a few numbers in ascending order, by a network of minima and maxima."""
    found = list(values)
    for last in range(len(found) - 1, 0, -1):
        for i in range(last):
            found[i], found[i + 1] = minimum(found[i], found[i + 1]), maximum(found[i], found[i + 1])
    return found


def total(values: Iterable[Number]) -> Number:
    """Return the sum; an empty one is zero."""
    result: Number = 0.0
    for value in values:
        result = result + value
    return result
