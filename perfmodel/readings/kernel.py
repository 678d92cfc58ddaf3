"""The compiled reading: a traced formula becomes the source text of a Python function, for scalars or for arrays.

Equal subexpressions are computed once, what a choice's body does not depend on is hoisted out of its loop, values used
once are written in place, and names are reused as soon as a value is dead, so that temporaries stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.numeric import Number
from perfmodel.readings.trace import Graph, Node

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ARRAY_CALLS = {
    "max": "_np.maximum({0}, {1})", "min": "_np.minimum({0}, {1})", "where": "_where({0}, {1}, {2})",
    "ceil": "_np.ceil({0})", "floor": "_np.floor({0})", "sqrt": "_np.sqrt({0})", "exp": "_np.exp({0})",
    "log": "_np.log({0})",
}  # fmt: skip
_SCALAR_CALLS = {
    "max": "_max({0}, {1})", "min": "_min({0}, {1})", "where": "({1} if {0} else {2})", "ceil": "_ceil({0})",
    "floor": "_floor({0})", "sqrt": "_sqrt({0})", "exp": "_exp({0})", "log": "_log({0})",
}  # fmt: skip
_LONGEST_EXPRESSION = 400


@dataclass(frozen=True)
class Kernel:
    """A compiled formula: call it with its arguments by position; ``source`` is its text."""

    arguments: tuple[str, ...]
    source: str
    function: Callable[..., Any]

    def __call__(self, *values: Number) -> Any:
        return self.function(*values)


def compile_formula(f: Callable[..., Any], arguments: Sequence[str], *, arrays: bool = True) -> Kernel:
    """Trace ``f`` over named arguments and compile it; a tuple of results gives a tuple."""
    graph = Graph()
    results = f(*(graph.input(name) for name in arguments))
    many = isinstance(results, tuple)
    nodes = [graph.lift(r) for r in (results if many else (results,))]
    return compile_nodes(nodes, list(arguments), arrays=arrays, as_tuple=many)


def compile_nodes(
    nodes: Sequence[Node], arguments: Sequence[str], *, arrays: bool = True, as_tuple: bool = True
) -> Kernel:
    """Compile traced nodes to one function of the named arguments."""
    writer = _Writer(nodes, _ARRAY_CALLS if arrays else _SCALAR_CALLS)
    body = writer.write()
    returned = ", ".join(writer.text(n) for n in nodes)
    text = f"({returned}{',' if nodes else ''})" if as_tuple else returned
    lines = [f"def kernel({', '.join(arguments)}):", *body, f"    return {text}", ""]
    source = "\n".join(lines)
    scope = dict(_scope(arrays))
    exec(compile(source, "<perfmodel kernel>", "exec"), scope)  # noqa: S102 - text made above, from our own formulas
    return Kernel(tuple(arguments), source, scope["kernel"])


def _scope(arrays: bool) -> Mapping[str, Any]:
    if arrays:
        import numpy

        from perfmodel.readings.arrays import choose

        return {"_np": numpy, "_where": choose}
    return {
        "_max": lambda a, b: a if a >= b else b, "_min": lambda a, b: a if a <= b else b, "_ceil": math.ceil,
        "_floor": math.floor, "_sqrt": math.sqrt, "_exp": math.exp, "_log": math.log,
    }  # fmt: skip


def reachable(roots: Iterable[Node], stops: Iterable[int] = ()) -> list[Node]:
    """Return every node that the roots need, each after what it needs, not going to the ``stops`` (serials)."""
    seen = set(stops)
    found: list[Node] = []
    stack = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            found.append(node)
        elif node.serial not in seen:
            seen.add(node.serial)
            stack.append((node, True))
            stack.extend((child, False) for child in node.below)
    return found


class _Writer:
    """Writes statements for nodes; a node's *home* is the innermost choice whose index it depends on."""

    def __init__(self, roots: Sequence[Node], calls: Mapping[str, str]) -> None:
        self.roots, self.calls = roots, calls
        self.order = reachable(roots)
        self.bound: dict[int, frozenset[int]] = {}
        self.uses: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.expressions: dict[int, str] = {}
        self.index_owner: dict[int, Node] = {}
        self._analyse()

    def _analyse(self) -> None:
        for node in self.order:
            if node.op == "best_of":
                self.index_owner.update({i.serial: node for i in node.args[1]})
        for node in self.order:
            free: frozenset[int] = frozenset().union(*(self.bound[c.serial] for c in node.below))
            if node.op == "index":
                free = frozenset({self.index_owner[node.serial].serial})
            if node.op == "best_of":
                free = free - {node.serial}
            self.bound[node.serial] = free
            for child in node.below:
                # a value that a loop only reads must not be recomputed on each turn
                crosses = node.op == "best_of" or self.bound[child.serial] != free
                self.uses[child.serial] = self.uses.get(child.serial, 0) + (2 if crosses else 1)
        for root in self.roots:
            self.uses[root.serial] = self.uses.get(root.serial, 0) + 1

    def write(self) -> list[str]:
        lines: list[str] = []
        self._write_level([n for n in self.order if not self.bound[n.serial]], lines, "    ")
        return lines

    def _write_level(self, nodes: list[Node], lines: list[str], indent: str) -> None:
        for node in nodes:
            if node.op == "best_of":
                self._write_choice(node, lines, indent)
            else:
                self._write_value(node, lines, indent)

    def _write_value(self, node: Node, lines: list[str], indent: str) -> None:
        text = self._expression(node)
        simple = node.op in ("const", "input", "index")
        if simple or (self.uses.get(node.serial, 0) <= 1 and len(text) < _LONGEST_EXPRESSION):
            self.expressions[node.serial] = text
            return
        name = f"t{node.serial}"
        lines.append(f"{indent}{name} = {text}")
        self.expressions[node.serial] = name

    def _write_choice(self, node: Node, lines: list[str], indent: str) -> None:
        body, indices, candidates = node.args
        best = f"b{node.serial}"
        inner = [n for n in self.order if node.serial in self.bound[n.serial] and self._home(n) is node]
        lines.append(f"{indent}{best} = None")
        lines.append(f"{indent}for {', '.join(f'i{i.serial}' for i in indices)}, in {_literal(candidates)}:")
        self._write_level(inner, lines, indent + "    ")
        value = self.text(body)
        least = self.calls["min"].format(best, value)
        lines.append(f"{indent}    {best} = {value} if {best} is None else {least}")
        self.expressions[node.serial] = best

    def _home(self, node: Node) -> Node | None:
        owners = [
            o for o in {id(o): o for o in self.index_owner.values()}.values() if o.serial in self.bound[node.serial]
        ]
        return min(owners, key=lambda o: o.serial, default=None)  # an inner choice is recorded before its outer one

    def text(self, node: Node) -> str:
        return self.expressions[node.serial]

    def _expression(self, node: Node) -> str:
        if node.op == "const":
            value = node.args[0]
            text = repr(value) if math.isfinite(value) else f"float('{value}')"
            return f"({text})" if value < 0 else text  # -2.0 ** x would be -(2.0 ** x)
        if node.op == "input":
            return node.args[0]
        if node.op == "index":
            return f"i{node.serial}"
        parts = [self.text(a) for a in node.args]
        if node.op in _INFIX:
            return self._infix(node, parts)
        return self.calls[node.op].format(*parts)

    def _infix(self, node: Node, parts: list[str]) -> str:
        a, b = parts
        if node.op == "pow" and node.args[1].op == "const" and node.args[1].args[0] == 2.0 and a.isidentifier():
            return f"({a} * {a})"
        return f"({a} {_INFIX[node.op]} {b})"


def _literal(candidates: tuple[tuple[float, ...], ...]) -> str:
    return "(" + ", ".join("(" + ", ".join(repr(x) for x in c) + ",)" for c in candidates) + ",)"
