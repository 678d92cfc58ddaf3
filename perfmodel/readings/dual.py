"""The derivative reading: a formula run once on dual numbers gives its value and its exact gradient.

A dual number carries a value and its derivatives by a few named inputs (forward automatic differentiation). Where a
formula has a kink (a maximum, the least of several tiles), the derivative is that of the side that decides; rounding up
to whole tiles has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from perfmodel.numeric import Arithmetic, Number, register_arithmetic


class Dual:
    """A value with its derivatives, one for each of the inputs of the run."""

    __slots__ = ("slopes", "value")

    def __init__(self, value: float, slopes: tuple[float, ...]) -> None:
        self.value, self.slopes = value, slopes

    def chained(self, value: float, factor: float) -> Dual:
        """Return a function of this number alone, from its value and its derivative."""
        return Dual(value, tuple(factor * slope for slope in self.slopes))

    def _joined(self, other: Number, value: float, mine: float, theirs: float) -> Dual:
        """Return a function of both with its partial derivatives ``mine`` and ``theirs``."""
        if not isinstance(other, Dual):
            return self.chained(value, mine)
        pairs = zip(self.slopes, other.slopes, strict=True)
        return Dual(value, tuple(mine * a + theirs * b for a, b in pairs))

    def __add__(self, other: Number) -> Dual:
        return self._joined(other, self.value + _value(other), 1.0, 1.0)

    __radd__ = __add__

    def __sub__(self, other: Number) -> Dual:
        return self._joined(other, self.value - _value(other), 1.0, -1.0)

    def __rsub__(self, other: float) -> Dual:
        return self.chained(other - self.value, -1.0)

    def __mul__(self, other: Number) -> Dual:
        b = _value(other)
        return self._joined(other, self.value * b, b, self.value)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Dual:
        b = _value(other)
        return self._joined(other, self.value / b, 1.0 / b, -self.value / (b * b))

    def __rtruediv__(self, other: float) -> Dual:
        return self.chained(other / self.value, -other / (self.value * self.value))

    def __pow__(self, other: Number) -> Dual:
        b = _value(other)
        found = self.value**b
        slope = b * self.value ** (b - 1.0) if b else 0.0
        by_exponent = found * math.log(self.value) if isinstance(other, Dual) else 0.0
        return self._joined(other, found, slope, by_exponent)

    def __rpow__(self, other: float) -> Dual:
        found = other**self.value
        return self.chained(found, found * math.log(other))

    def __neg__(self) -> Dual:
        return self.chained(-self.value, -1.0)

    def __lt__(self, other: Number) -> bool:
        return self.value < _value(other)

    def __le__(self, other: Number) -> bool:
        return self.value <= _value(other)

    def __gt__(self, other: Number) -> bool:
        return self.value > _value(other)

    def __ge__(self, other: Number) -> bool:
        return self.value >= _value(other)


class DualArithmetic(Arithmetic):
    """Arithmetic of single dual numbers: a choice follows the side that decides."""

    rank = 2

    def best_of(
        self, candidates: Sequence[tuple[float, ...]], f: Callable[..., Number], captured: Sequence[Number]
    ) -> Number:
        return min((f(*candidate) for candidate in candidates), key=_value)

    def unary(self, name: str, a: Number) -> Number:
        return _UNARY[name](a)


def _step(rounded: Callable[[float], float]) -> Callable[[Dual], Dual]:
    return lambda a: a.chained(float(rounded(a.value)), 0.0)


_UNARY: dict[str, Callable[[Any], Dual]] = {
    "ceil": _step(math.ceil),
    "floor": _step(math.floor),
    "sqrt": lambda a: a**0.5,
    "exp": lambda a: a.chained(math.exp(a.value), math.exp(a.value)),
    "log": lambda a: a.chained(math.log(a.value), 1.0 / a.value),
}


def _value(number: Number) -> float:
    return number.value if isinstance(number, Dual) else float(number)


def gradient(f: Callable[..., Number], at: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Return ``f(**at)`` and its derivative by each argument."""
    names = list(at)
    inputs = {
        name: Dual(float(value), tuple(1.0 if name == other else 0.0 for other in names)) for name, value in at.items()
    }
    found = f(**inputs)
    if not isinstance(found, Dual):
        return float(found), dict.fromkeys(names, 0.0)
    return found.value, dict(zip(names, found.slopes, strict=True))


register_arithmetic(Dual, DualArithmetic())
