"""The sympy reading: the formula itself, for display, limits, derivatives and solving."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import sympy

from perfmodel.numeric import Arithmetic, Number, register_arithmetic


class BestOf(sympy.Expr):
    """The least value of a body over constant candidates: ``BestOf(body, (i, j), ((1, 2), (3, 4)))``.

    The body is kept once, with the indices bound, so that a trace over dozens of tiles stays readable;
    ``doit`` expands it to an ordinary minimum.
    """

    is_commutative = True
    is_real = True

    @property
    def body(self) -> Any:
        return self.args[0]

    @property
    def indices(self) -> Any:
        return self.args[1]

    @property
    def candidates(self) -> Any:
        return self.args[2]

    @property
    def free_symbols(self) -> Any:
        return self.body.free_symbols - set(self.indices)

    def doit(self, **hints: Any) -> Any:
        body = self.body.doit(**hints)
        return sympy.Min(*(body.xreplace(dict(zip(self.indices, c, strict=True))).doit() for c in self.candidates))

    def _eval_evalf(self, prec: int) -> Any:
        return self.doit()._eval_evalf(prec)

    def _sympystr(self, printer: Any) -> str:
        names = ", ".join(printer.doprint(i) for i in self.indices)
        return f"min over {len(self.candidates)} ({names}) of [{printer.doprint(self.body)}]"

    def _latex(self, printer: Any) -> str:
        names = ",".join(printer.doprint(i) for i in self.indices)
        return rf"\min_{{{names}}}\left[{printer.doprint(self.body)}\right]"


class SymbolicArithmetic(Arithmetic):
    """Unevaluated maxima, roundings and cases, so that a trace neither hides nor guesses anything."""

    rank = 2

    def maximum(self, a: Number, b: Number) -> Number:
        return _lattice(sympy.Max, a, b)

    def minimum(self, a: Number, b: Number) -> Number:
        return _lattice(sympy.Min, a, b)

    def where(self, condition: Number, if_true: Number, if_false: Number) -> Number:
        truth = sympy.sympify(condition)
        if truth in (sympy.true, sympy.false):
            return if_true if truth else if_false
        return sympy.Piecewise((if_true, truth), (if_false, True), evaluate=False)

    def best_of(
        self, candidates: Sequence[tuple[float, ...]], f: Callable[..., Number], captured: Sequence[Number]
    ) -> Number:
        if len(candidates) == 1:
            return f(*candidates[0])
        names = list(inspect.signature(f).parameters)
        indices = [sympy.Dummy(name, positive=True) for name in names]
        return BestOf(sympy.sympify(f(*indices)), sympy.Tuple(*indices), sympy.Tuple(*(sympy.Tuple(*c) for c in candidates)))

    def unary(self, name: str, a: Number) -> Number:
        function = {"ceil": sympy.ceiling}.get(name) or getattr(sympy, name)
        if a.is_number or name in ("sqrt", "exp", "log"):
            return function(a)
        return function(a, evaluate=False)


def _lattice(function: Any, a: Number, b: Number) -> Any:
    a, b = sympy.sympify(a), sympy.sympify(b)
    if a == b:
        return a
    if a.is_number and b.is_number:
        return function(a, b)
    larger = _larger(a, b)
    if larger is not None:
        smaller = b if larger is a else a
        return larger if function is sympy.Max else smaller
    return function(a, b, evaluate=False)


def _larger(a: Any, b: Any) -> Any:
    """Return whichever is larger for all positive symbols, if plain algebra tells, or None."""
    if a.has(*_OPAQUE) or b.has(*_OPAQUE):
        return None
    difference = sympy.expand(a - b)
    if difference.is_nonnegative:
        return a
    return b if difference.is_nonpositive else None


_OPAQUE = (sympy.Max, sympy.Min, sympy.Piecewise, sympy.ceiling, sympy.floor, BestOf)


def evaluate(expression: Any, values: dict[Any, float]) -> float:
    """Return the number that an expression has with these symbol values, in floats.

    Sympy writes ``a/b`` as ``a*(1/b)``, an ulp off: what is that close to a whole number is whole when rounded.
    """
    return float(_value(sympy.sympify(expression), {k: float(v) for k, v in values.items()}))


def _value(e: Any, known: dict[Any, Any]) -> Any:
    """Return a node's number (a condition: its truth); ``known`` holds the numbers found so far."""
    if e not in known:
        known[e] = _choice(e, known) if isinstance(e, BestOf) else _computed(e, known)
    return known[e]


def _choice(e: BestOf, known: dict[Any, Any]) -> float:
    constant = {k: v for k, v in known.items() if not (getattr(k, "free_symbols", set()) & set(e.indices))}
    rows = ([float(c) for c in candidate] for candidate in e.candidates)
    return min(_value(e.body, constant | dict(zip(e.indices, row, strict=True))) for row in rows)


def _computed(e: Any, known: dict[Any, Any]) -> Any:
    if e.is_number:
        return float(e)
    if isinstance(e, sympy.Piecewise):
        return next(_value(branch, known) for branch, condition in e.args if _value(condition, known))
    return _NUMERIC[next(kind for kind in _NUMERIC if isinstance(e, kind))](*(_value(a, known) for a in e.args))


def _rounded(function: Callable[[float], int]) -> Callable[[float], float]:
    def whole(a: float) -> float:
        near = round(a)
        return float(near if abs(a - near) <= 1e-12 * max(1.0, abs(a)) else function(a))

    return whole


_NUMERIC: dict[Any, Callable[..., Any]] = {
    sympy.Add: lambda *a: math.fsum(a), sympy.Mul: lambda *a: math.prod(a), sympy.Pow: lambda a, b: a**b,
    sympy.Max: max, sympy.Min: min, sympy.exp: math.exp, sympy.log: math.log,
    sympy.ceiling: _rounded(math.ceil), sympy.floor: _rounded(math.floor),
    sympy.StrictLessThan: operator.lt, sympy.LessThan: operator.le,
    sympy.StrictGreaterThan: operator.gt, sympy.GreaterThan: operator.ge,
    sympy.And: lambda *a: all(a), sympy.Or: lambda *a: any(a), sympy.Not: operator.not_,
    sympy.logic.boolalg.BooleanTrue: lambda: True, sympy.logic.boolalg.BooleanFalse: lambda: False,
}  # fmt: skip


ARITHMETIC = SymbolicArithmetic()
register_arithmetic(BestOf, ARITHMETIC)
