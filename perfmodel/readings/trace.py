"""The tracing reading: a formula run once on nodes becomes a graph, in which equal subexpressions are one node.

The graph is what compiled kernels (and other text back ends) are written from. It needs neither sympy nor numpy.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from perfmodel.numeric import Arithmetic, Number, register_arithmetic


class Graph:
    """Nodes of one trace, each distinct (operation, arguments) once."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[Any, ...], Node] = {}
        self._serial = itertools.count()

    def node(self, op: str, *args: Any) -> Node:
        key = (op, *(id(a) if isinstance(a, Node) else a for a in args))
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = Node(self, op, args, next(self._serial))
        return found

    def input(self, name: str) -> Node:
        """Return the node of a named argument."""
        return self.node("input", name)

    def fresh_index(self, name: str) -> Node:
        """Return the node of a bound index of a choice, distinct from all others."""
        return self.node("index", name, next(self._serial))

    def lift(self, value: Number) -> Node:
        """Return a node for a constant, or the node itself."""
        return value if isinstance(value, Node) else self.node("const", float(value))


class Node:
    """One traced value. Comparisons give nodes too; asking a node for its truth is an error, so no ``if`` slips by."""

    __slots__ = ("args", "below", "graph", "op", "serial")
    __hash__ = object.__hash__

    def __init__(self, graph: Graph, op: str, args: tuple[Any, ...], serial: int) -> None:
        self.graph, self.op, self.args, self.serial = graph, op, args, serial
        # what the node is computed from (a choice: its body)
        self.below = (args[0],) if op == "best_of" else tuple(a for a in args if isinstance(a, Node))

    def __bool__(self) -> bool:
        raise TypeError("a formula branched on a traced value: use perfmodel.numeric.where instead of if")

    def _with(self, op: str, other: Number) -> Any:
        return binary(self.graph, op, self, self.graph.lift(other))

    def _after(self, op: str, other: Number) -> Any:
        return binary(self.graph, op, self.graph.lift(other), self)

    def __add__(self, other: Number) -> Any:
        return self._with("add", other)

    def __radd__(self, other: Number) -> Any:
        return self._after("add", other)

    def __sub__(self, other: Number) -> Any:
        return self._with("sub", other)

    def __rsub__(self, other: Number) -> Any:
        return self._after("sub", other)

    def __mul__(self, other: Number) -> Any:
        return self._with("mul", other)

    def __rmul__(self, other: Number) -> Any:
        return self._after("mul", other)

    def __truediv__(self, other: Number) -> Any:
        return self._with("div", other)

    def __rtruediv__(self, other: Number) -> Any:
        return self._after("div", other)

    def __pow__(self, other: Number) -> Any:
        return self._with("pow", other)

    def __rpow__(self, other: Number) -> Any:
        return self._after("pow", other)

    def __neg__(self) -> Any:
        return self._after("sub", 0.0)

    def __lt__(self, other: Number) -> Any:
        return self._with("lt", other)

    def __le__(self, other: Number) -> Any:
        return self._with("le", other)

    def __gt__(self, other: Number) -> Any:
        return self._with("gt", other)

    def __ge__(self, other: Number) -> Any:
        return self._with("ge", other)


_FOLD: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "max": max,
    "min": min,
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "gt": lambda a, b: float(a > b),
    "ge": lambda a, b: float(a >= b),
}
_IDENTITY = {("mul", 1.0), ("div", 1.0), ("add", 0.0), ("sub", 0.0), ("pow", 1.0)}


def binary(graph: Graph, op: str, a: Node, b: Node) -> Node:
    """Return the node of a binary operation, folded when both sides are constants or one is neutral."""
    if a.op == "const" and b.op == "const" and not (op == "div" and b.args[0] == 0):
        return graph.lift(_FOLD[op](a.args[0], b.args[0]))
    if b.op == "const" and (op, b.args[0]) in _IDENTITY:
        return a
    if a.op == "const" and op in ("mul", "add") and (op, a.args[0]) in _IDENTITY:
        return b
    if op in ("max", "min") and a is b:
        return a
    return _with_gathered_constants(graph, op, a, b)


def _with_gathered_constants(graph: Graph, op: str, a: Node, b: Node) -> Node:
    """Return the node with constant factors together: ``(x*2)*3`` is ``x*6`` and ``x/4`` is ``x*0.25``.

    A grid pays for every operation on every point, and for a division several times.
    """
    if op == "div" and b.op == "const" and b.args[0]:
        op, b = "mul", graph.lift(1.0 / b.args[0])
    if op == "mul" and a.op == "const":
        a, b = b, a
    if op == "mul" and b.op == "const" and a.op == "mul" and a.args[1].op == "const":
        a, b = a.args[0], graph.lift(a.args[1].args[0] * b.args[0])
    elif op == "mul" and b.op != "const" and a.op == "mul" and a.args[1].op == "const":
        inner = graph.node("mul", a.args[0], b)
        return _with_gathered_constants(graph, "mul", inner, a.args[1])
    elif op == "mul" and a.op != "const" and b.op == "mul" and b.args[1].op == "const":
        inner = _with_gathered_constants(graph, "mul", a, b.args[0])
        return _with_gathered_constants(graph, "mul", inner, b.args[1])
    return graph.node(op, a, b)


class TraceArithmetic(Arithmetic):
    """Operations that record instead of computing."""

    rank = 3

    def maximum(self, a: Number, b: Number) -> Number:
        graph = _graph(a, b)
        return binary(graph, "max", graph.lift(a), graph.lift(b))

    def minimum(self, a: Number, b: Number) -> Number:
        graph = _graph(a, b)
        return binary(graph, "min", graph.lift(a), graph.lift(b))

    def where(self, condition: Number, if_true: Number, if_false: Number) -> Number:
        graph = _graph(condition, if_true, if_false)
        truth = graph.lift(condition)
        if truth.op == "const":
            return if_true if truth.args[0] else if_false
        return graph.node("where", truth, graph.lift(if_true), graph.lift(if_false))

    def best_of(
        self, candidates: Sequence[tuple[float, ...]], f: Callable[..., Number], captured: Sequence[Number]
    ) -> Number:
        if len(candidates) == 1:
            return f(*candidates[0])
        graph = _graph(*captured)
        names = inspect.signature(f).parameters
        indices = tuple(graph.fresh_index(name) for name in names)
        body = graph.lift(f(*indices))
        return graph.node("best_of", body, indices, tuple(tuple(float(x) for x in c) for c in candidates))

    def unary(self, name: str, a: Number) -> Number:
        return a.graph.node(name, a)


def _graph(*values: Number) -> Graph:
    return next(v.graph for v in values if isinstance(v, Node))


ARITHMETIC = TraceArithmetic()
register_arithmetic(Node, ARITHMETIC)
