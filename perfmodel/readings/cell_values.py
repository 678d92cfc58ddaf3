"""The values that cells of a traced formula have: what a workbook shows before a spreadsheet recalculates it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perfmodel import numeric
from perfmodel.numeric import Number
from perfmodel.readings.trace import Node
from perfmodel.readings.writer import reachable

Environment = tuple[tuple[int, float], ...]
"""The numbers of a choice's candidate: (serial of an index, its value), those of outer choices first."""


def free_indices(order: Iterable[Node], free: dict[int, frozenset[int]]) -> None:
    """Note for each node the indices of choices that it depends on."""
    for node in order:
        found: frozenset[int] = frozenset().union(*(free[c.serial] for c in node.below))
        if node.op == "index":
            found = frozenset({node.serial})
        if node.op == "best_of":
            found = found - {i.serial for i in node.args[1]}
        free[node.serial] = found


class Values:
    """The numbers of a graph (floats, or arrays of all columns), with those of choices' candidates one by one."""

    def __init__(self, roots: Sequence[Node], inputs: Mapping[str, Number]) -> None:
        self._inputs = inputs
        self._known: dict[int | tuple[int, Environment], Number] = {}
        self._free: dict[int, frozenset[int]] = {}
        order = reachable(roots)
        free_indices(order, self._free)
        for node in order:
            if not self._free[node.serial]:
                self._known[node.serial] = self._computed(node, ())

    def of(self, node: Node, environment: Environment = ()) -> Number:
        """Return the value of a node; of one inside a choice, for a candidate."""
        free = self._free[node.serial]
        key = (node.serial, tuple(pair for pair in environment if pair[0] in free)) if free else node.serial
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._computed(node, environment)
        return found

    def _computed(self, node: Node, environment: Environment) -> Number:
        if node.op == "const":
            return node.args[0]
        if node.op == "input":
            return self._inputs[node.args[0]]
        if node.op == "index":
            return dict(environment)[node.serial]
        if node.op == "best_of":
            body, indices, candidates = node.args
            found = [
                self.of(body, (*environment, *((i.serial, v) for i, v in zip(indices, each, strict=True))))
                for each in candidates
            ]
            return numeric.minimum(found[0], *found[1:]) if len(found) > 1 else found[0]
        return _OPERATIONS[node.op](*(self.of(child, environment) for child in node.below))


def _divided(a: Any, b: Any) -> Any:
    # a divisor of zero stands in a branch that is not taken
    return math.nan if isinstance(b, float) and b == 0.0 else a / b


_OPERATIONS: dict[str, Any] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": _divided, "pow": operator.pow,
    "max": numeric.maximum, "min": numeric.minimum, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge, "where": numeric.where, "ceil": numeric.ceil, "floor": numeric.floor, "sqrt": numeric.sqrt,
    "exp": numeric.exp, "log": numeric.log,
}  # fmt: skip
