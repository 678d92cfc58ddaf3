"""The sympy reading: the formula itself, for display, limits, derivatives and solving."""

from __future__ import annotations

import inspect
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
    """Return the number that an expression has with these symbol values."""
    return float(sympy.sympify(expression).xreplace({k: sympy.Float(v) for k, v in values.items()}).doit())


ARITHMETIC = SymbolicArithmetic()
register_arithmetic(BestOf, ARITHMETIC)
