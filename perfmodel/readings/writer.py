"""From a traced graph to the text of a function: what all languages share.

Equal subexpressions are computed once, what a choice's body does not depend on is hoisted out of its loop, and values
used once are written in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from perfmodel.readings.trace import Node

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_LONGEST_EXPRESSION = 400


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


class Writer:
    """Writes statements for nodes, here in Python; a language overrides what it says in other words.

    A node's *home* is the innermost choice whose index it depends on. ``calls`` are the templates of all operations
    that are no infix.
    """

    def __init__(self, roots: Sequence[Node], calls: Mapping[str, str]) -> None:
        self.roots, self.calls = roots, calls
        self.order = reachable(roots)
        self.bound: dict[int, frozenset[int]] = {}
        self.uses: dict[int, int] = {}
        self.expressions: dict[int, str] = {}
        self._at_home: dict[int, list[Node]] = {}
        self._analyse()

    def _analyse(self) -> None:
        owners = {i.serial: node.serial for node in self.order if node.op == "best_of" for i in node.args[1]}
        for node in self.order:
            free: frozenset[int] = frozenset().union(*(self.bound[c.serial] for c in node.below))
            if node.op == "index":
                free = frozenset({owners[node.serial]})
            if node.op == "best_of":
                free = free - {node.serial}
            self.bound[node.serial] = free
            # an inner choice is recorded before its outer one
            self._at_home.setdefault(min(free, default=-1), []).append(node)
            for child in node.below:
                # a value that a loop only reads must not be recomputed on each turn
                crosses = node.op == "best_of" or self.bound[child.serial] != free
                self.uses[child.serial] = self.uses.get(child.serial, 0) + (2 if crosses else 1)
        for root in self.roots:
            self.uses[root.serial] = self.uses.get(root.serial, 0) + 1

    def write(self) -> list[str]:
        """Return the statements after which :meth:`text` of every root is an expression."""
        lines: list[str] = []
        self._write_level(self._at_home.get(-1, []), lines, "    ")
        return lines

    def text(self, node: Node) -> str:
        """Return the expression that stands for a node that has been written."""
        return self.expressions[node.serial]

    def name(self, kind: str, node: Node) -> str:
        """Return the name of a value (``t``), a choice's best (``b``) or an index (``i``)."""
        return f"{kind}{node.serial}"

    def constant(self, value: float) -> str:
        """Return a constant as an expression."""
        text = repr(value) if math.isfinite(value) else f"float('{value}')"
        return f"({text})" if value < 0 else text  # -2.0 ** x would be -(2.0 ** x)

    def assignment(self, name: str, text: str) -> str:
        """Return the statement that gives a value its name."""
        return f"{name} = {text}"

    def loop(self, best: str, indices: Sequence[str], candidates: Sequence[tuple[float, ...]]) -> list[str]:
        """Return the statements that open the loop over a choice's candidates."""
        return [f"{best} = None", f"for {', '.join(indices)}, in {_literal(candidates)}:"]

    def keep_least(self, best: str, value: str) -> list[str]:
        """Return the last statements of a loop's body, and those that close the loop."""
        return [f"    {best} = {value} if {best} is None else {self.calls['min'].format(best, value)}"]

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
        name = self.name("t", node)
        lines.append(indent + self.assignment(name, text))
        self.expressions[node.serial] = name

    def _write_choice(self, node: Node, lines: list[str], indent: str) -> None:
        body, indices, candidates = node.args
        best = self.name("b", node)
        lines += [indent + line for line in self.loop(best, [self.name("i", i) for i in indices], candidates)]
        self._write_level(self._at_home.get(node.serial, []), lines, indent + "    ")
        lines += [indent + line for line in self.keep_least(best, self.text(body))]
        self.expressions[node.serial] = best

    def _expression(self, node: Node) -> str:
        if node.op == "const":
            return self.constant(node.args[0])
        if node.op == "input":
            return node.args[0]
        if node.op == "index":
            return self.name("i", node)
        parts = [self.text(a) for a in node.args]
        if node.op in _INFIX:
            return self._infix(node, parts)
        return self.calls[node.op].format(*parts)

    def _infix(self, node: Node, parts: list[str]) -> str:
        a, b = parts
        if node.op == "pow" and node.args[1].op == "const" and node.args[1].args[0] == 2.0 and a.isidentifier():
            return f"({a} * {a})"
        return f"({a} {_INFIX[node.op]} {b})"


def _literal(candidates: Sequence[tuple[float, ...]]) -> str:
    return "(" + ", ".join("(" + ", ".join(repr(x) for x in c) + ",)" for c in candidates) + ",)"
