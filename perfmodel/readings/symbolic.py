"""The sympy reading: the formula itself, for display, limits, derivatives and solving."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import sympy

from perfmodel.numeric import Arithmetic, Number


def _evalf(expression: Any, prec: int) -> Any:
    return expression._evalf(prec)  # noqa: SLF001 - the hook is given bits, and evalf() takes digits


class _Lattice(sympy.Function):
    """The larger or smaller of two numbers, kept as written; ``doit`` gives sympy's own, which sorts and merges."""

    nargs = 2
    exact: Any
    word: str

    @classmethod
    def eval(cls, *_: Any) -> Any:
        """Keep every application as it stands."""
        return None

    def doit(self, **hints: Any) -> Any:
        """Return sympy's Max or Min of the arguments."""
        return self.exact(*(a.doit(**hints) for a in self.args))

    def _eval_evalf(self, prec: int) -> Any:
        return self.exact(*(_evalf(a, prec) for a in self.args))

    def _sympystr(self, printer: Any) -> str:
        return f"{self.word}({', '.join(printer.doprint(a) for a in self.args)})"

    def _latex(self, printer: Any) -> str:
        return rf"\{self.word}\left({', '.join(printer.doprint(a) for a in self.args)}\right)"


class LargerOf(_Lattice):
    """The larger of two numbers."""

    exact = sympy.Max
    word = "max"
    is_real = True


class SmallerOf(_Lattice):
    """The smaller of two numbers."""

    exact = sympy.Min
    word = "min"
    is_real = True


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
        return _evalf(self.doit(), prec)

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
        return _lattice(LargerOf, a, b)

    def minimum(self, a: Number, b: Number) -> Number:
        return _lattice(SmallerOf, a, b)

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
        return BestOf(
            sympy.sympify(f(*indices)), sympy.Tuple(*indices), sympy.Tuple(*(sympy.Tuple(*c) for c in candidates))
        )

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
        return function.exact(a, b)
    larger = _larger(a, b)
    if larger is not None:
        smaller = b if larger is a else a
        return larger if function is LargerOf else smaller
    return function(a, b)


def _larger(a: Any, b: Any) -> Any:
    """Return whichever is larger for all positive symbols, if plain algebra tells, or None."""
    if _big(a) or _big(b):
        return None
    difference = sympy.expand(a - b)
    if difference.is_nonnegative:
        return a
    return b if difference.is_nonpositive else None


_OPAQUE = (LargerOf, SmallerOf, sympy.Piecewise, sympy.ceiling, sympy.floor, sympy.exp, sympy.log, BestOf)
_MOST_NODES = 40


def _big(expression: Any) -> bool:
    """Say whether an expression holds more than a polynomial of a few terms."""
    for count, node in enumerate(sympy.preorder_traversal(expression)):
        if count > _MOST_NODES or isinstance(node, _OPAQUE):
            return True
    return False


def evaluate(expression: Any, values: dict[Any, float]) -> float:
    """Return the number that an expression has with these symbol values.

    Every distinct node is evaluated once: formulas share subexpressions, and a plain substitution would walk each copy.
    """
    return _value(sympy.sympify(expression), _Known(dict(values)))


class _Known:
    """Numbers found so far; inside a choice, those that do not depend on its indices are found outside."""

    def __init__(self, values: dict[Any, Any], outside: _Known | None = None) -> None:
        self.values, self.outside, self.indices = values, outside, frozenset(values) if outside else frozenset[Any]()


@lru_cache(maxsize=200_000)
def _uses(node: Any, indices: frozenset[Any]) -> bool:
    return node in indices or any(_uses(a, indices) for a in node.args)


def _value(node: Any, known: _Known) -> Any:
    while known.outside is not None and not _uses(node, known.indices):
        known = known.outside
    found = known.values.get(node)
    if found is None:
        found = known.values[node] = _computed(node, known)
    return found


def _computed(node: Any, known: _Known) -> Any:
    if isinstance(node, BestOf):
        return _least(node, known)
    if isinstance(node, sympy.Piecewise):
        return _case(node, known)
    if node.is_Boolean or node.is_Relational:
        return float(_holds(node, known))
    if not node.args:
        return float(node)
    return _combined(node, [_value(a, known) for a in node.args])


def _least(node: Any, known: _Known) -> Any:
    rows = (dict(zip(node.indices, map(float, c), strict=True)) for c in node.candidates)
    return min(_value(node.body, _Known(row, known)) for row in rows)


def _case(node: Any, known: _Known) -> Any:
    return next(_value(value, known) for value, condition in node.args if _holds(condition, known))


def _combined(node: Any, parts: Sequence[Any]) -> Any:
    if isinstance(node, sympy.Add):
        return math.fsum(parts)
    if isinstance(node, sympy.Mul):
        return math.prod(parts)
    if isinstance(node, sympy.Pow):
        return parts[0] ** parts[1]
    call = _CALLS.get(type(node))
    return call(*parts) if call else float(node.func(*parts))


def _holds(condition: Any, known: _Known) -> bool:
    if condition in (sympy.true, sympy.false):
        return bool(condition)
    if isinstance(condition, sympy.And):
        return all(_holds(part, known) for part in condition.args)
    if isinstance(condition, sympy.Or):
        return any(_holds(part, known) for part in condition.args)
    if isinstance(condition, sympy.Not):
        return not _holds(condition.args[0], known)
    if isinstance(condition, sympy.ITE):
        first, then, otherwise = condition.args
        return _holds(then if _holds(first, known) else otherwise, known)
    a, b = (_value(side, known) for side in condition.args)
    return bool(_COMPARISONS[condition.rel_op](a, b))


def _whole(function: Callable[[float], int], value: float) -> float:
    """Round, but take what is within an ulp or two of a whole number for it: sympy writes ``a/b`` as ``a*(1/b)``."""
    near = round(value)
    return float(near if abs(value - near) <= 1e-12 * max(1.0, abs(value)) else function(value))


_CALLS: dict[Any, Any] = {
    LargerOf: max, SmallerOf: min, sympy.Max: max, sympy.Min: min,
    sympy.ceiling: lambda a: _whole(math.ceil, a), sympy.floor: lambda a: _whole(math.floor, a),
    sympy.exp: math.exp, sympy.log: math.log,
}  # fmt: skip
_COMPARISONS: dict[str, Any] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
                                "==": operator.eq, "!=": operator.ne}  # fmt: skip


ARITHMETIC = SymbolicArithmetic()
