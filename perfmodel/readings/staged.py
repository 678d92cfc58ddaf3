"""A traced formula over the axes of a grid, evaluated in two stages so that nothing is computed twice.

What depends on some of the axes only is evaluated once on those axes; only the rest is evaluated on every point, in
chunks that stay in the cache, with the first stage's results broadcast into it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.readings.kernel import Kernel, children, compile_nodes, reachable
from perfmodel.readings.trace import Graph, Node

CHUNK_POINTS = 32_768
"""Points a chunk: a dozen live arrays of doubles then fit in a core's cache of one to two megabytes."""


@dataclass(frozen=True)
class StagedGrid:
    """A formula compiled for one grid: ``axes`` are the argument names in order, ``shape`` their lengths."""

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    values: tuple[Any, ...]
    reduced: Kernel
    full: Kernel
    boundary_count: int

    def chunks(self, points: int = CHUNK_POINTS) -> Iterator[tuple[tuple[slice, ...], tuple[Any, ...]]]:
        """Yield (where in the grid, the results there), chunk by chunk; each result has the chunk's shape."""
        import numpy as np

        boundary = self.reduced(*self.values)
        arrays = [*self.values, *boundary]
        for where in _blocks(self.shape, points):
            shape = tuple(s.stop - s.start for s in where)
            parts = [_part(a, where) for a in arrays]
            yield where, tuple(np.broadcast_to(r, shape) for r in self.full(*parts))


def stage(f: Callable[..., Sequence[Any]], grid: Mapping[str, Sequence[float]]) -> StagedGrid:
    """Trace ``f`` over the named axes and compile both stages for the grid."""
    import numpy as np

    graph = Graph()
    axes = tuple(grid)
    inputs = [graph.input(name) for name in axes]
    results = [graph.lift(r) for r in f(*inputs)]
    order = reachable(results)
    masks = _axis_masks(order, {n.serial: 1 << i for i, n in enumerate(inputs) if len(grid[axes[i]]) > 1})
    everything = max((masks[n.serial] for n in order), default=0, key=int.bit_count)
    boundary = _boundary(order, results, masks, everything)
    reduced = compile_nodes(boundary, axes)
    replacements = {n.serial: graph.node("input", f"s{i}") for i, n in enumerate(boundary)}
    full = compile_nodes([_rebuilt(graph, r, replacements) for r in results], [*axes, *(f"s{i}" for i in range(len(boundary)))])
    values = [np.asarray(grid[name], dtype=float).reshape([-1 if i == j else 1 for j in range(len(axes))]) for i, name in enumerate(axes)]
    return StagedGrid(axes, tuple(len(grid[n]) for n in axes), tuple(values), reduced, full, len(boundary))


def _axis_masks(order: Sequence[Node], inputs: Mapping[int, int]) -> dict[int, int]:
    masks: dict[int, int] = {}
    for node in order:
        mask = inputs.get(node.serial, 0)
        for child in children(node):
            mask |= masks[child.serial]
        masks[node.serial] = mask
    return masks


def _free_of_indices(order: Sequence[Node]) -> dict[int, bool]:
    bound: dict[int, frozenset[int]] = {}
    for node in order:
        free: frozenset[int] = frozenset().union(*(bound[c.serial] for c in children(node)))
        if node.op == "index":
            free = frozenset({node.serial})
        if node.op == "best_of":
            free = free - {i.serial for i in node.args[1]}
        bound[node.serial] = free
    return {serial: not free for serial, free in bound.items()}


def _boundary(order: Sequence[Node], results: Sequence[Node], masks: Mapping[int, int], everything: int) -> list[Node]:
    """Return the nodes of fewer axes that a node of more axes (or a result) uses, leaving out what is trivial."""
    outside = _free_of_indices(order)

    def stored(node: Node) -> bool:
        return masks[node.serial] != everything and outside[node.serial] and node.op not in ("const", "input")

    found: dict[int, Node] = {}
    for node in order:
        if masks[node.serial] == everything or not outside[node.serial]:
            for child in children(node):
                if stored(child):
                    found[child.serial] = child
    for result in results:
        if stored(result):
            found[result.serial] = result
    return list(found.values())


def _rebuilt(graph: Graph, root: Node, replaced: dict[int, Node]) -> Node:
    """Return the root with the replaced nodes in it, without ever following what they are made of."""
    stack = [root]
    while stack:
        node = stack[-1]
        if node.serial in replaced:
            stack.pop()
            continue
        missing = [c for c in children(node) if c.serial not in replaced]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        args = tuple(replaced[a.serial] if isinstance(a, Node) else a for a in node.args)
        replaced[node.serial] = node if node.op in ("const", "input", "index") else graph.node(node.op, *args)
    return replaced[root.serial]


def _blocks(shape: Sequence[int], points: int) -> Iterator[tuple[slice, ...]]:
    """Cut a grid into blocks of at most ``points`` points: trailing axes whole, leading ones one at a time."""
    sizes = list(shape)
    whole = 1
    for axis in reversed(range(len(sizes))):
        fits = max(1, points // whole)
        sizes[axis] = min(shape[axis], fits)
        whole *= sizes[axis]
    ranges = [range(0, n, size) for n, size in zip(shape, sizes, strict=True)]
    for starts in itertools.product(*ranges):
        yield tuple(slice(s, min(s + size, n)) for s, size, n in zip(starts, sizes, shape, strict=True))


def _part(array: Any, where: tuple[slice, ...]) -> Any:
    shape = getattr(array, "shape", ())
    if not shape:
        return array
    return array[tuple(w if n > 1 else slice(None) for w, n in zip(where, shape, strict=True))]
