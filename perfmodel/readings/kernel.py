"""The compiled reading: a traced formula becomes the source text of a Python function, for scalars or for arrays.

How the statements come about: :mod:`perfmodel.readings.writer`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.numeric import Number
from perfmodel.readings.trace import Graph, Node
from perfmodel.readings.writer import Writer

_ARRAY_CALLS = {
    "max": "_np.maximum({0}, {1})", "min": "_np.minimum({0}, {1})", "where": "_where({0}, {1}, {2})",
    "ceil": "_np.ceil({0})", "floor": "_np.floor({0})", "sqrt": "_np.sqrt({0})", "exp": "_np.exp({0})",
    "log": "_np.log({0})",
}  # fmt: skip
_SCALAR_CALLS = {
    "max": "_max({0}, {1})", "min": "_min({0}, {1})", "where": "({1} if {0} else {2})", "ceil": "_ceil({0})",
    "floor": "_floor({0})", "sqrt": "_sqrt({0})", "exp": "_exp({0})", "log": "_log({0})",
}  # fmt: skip


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
    writer = Writer(nodes, _ARRAY_CALLS if arrays else _SCALAR_CALLS)
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
