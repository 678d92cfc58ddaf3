"""A traced formula over the axes of a grid, evaluated in two stages so that nothing is computed twice.

What depends on some of the axes only is evaluated once on those axes; only the rest is evaluated on every point, in
chunks that stay in the cache, with the first stage's results broadcast into it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.readings.kernel import Kernel, compile_nodes
from perfmodel.readings.trace import Graph, Node
from perfmodel.readings.writer import reachable

CHUNK_POINTS = 16_384
"""Points a chunk: a dozen live arrays of doubles then fit in a core's cache of one to two megabytes."""


@dataclass(frozen=True)
class StagedGrid:
    """A formula compiled for one grid: ``axes`` are the argument names in order, ``shape`` their lengths.

    ``extents`` gives for each result its length along each axis: 1 where it does not depend on the axis.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    values: tuple[Any, ...]
    reduced: Kernel
    full: Kernel
    boundary_count: int
    extents: tuple[tuple[int, ...], ...]

    def chunks(
        self, points: int = CHUNK_POINTS, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[tuple[slice, ...], tuple[Any, ...]]]:
        """Yield (where in the grid, the results there), chunk by chunk; each result has the chunk's shape.

        ``first`` and ``last`` pick some of :func:`blocks`, so that several processes can share a grid.
        """
        import numpy as np

        boundary = self.reduced(*self.values)
        arrays = [*self.values, *boundary]
        for where in itertools.islice(blocks(self.shape, points), first, last):
            shape = tuple(s.stop - s.start for s in where)
            parts = [_part(a, where) for a in arrays]
            yield where, tuple(np.broadcast_to(r, shape) for r in self.full(*parts))


def stage(f: Callable[..., Sequence[Any]], grid: Mapping[str, Sequence[float]]) -> StagedGrid:
    """Trace ``f`` over the named axes and compile both stages for the grid."""
    import numpy as np

    graph = Graph()
    axes = tuple(grid)
    inputs = [graph.input(name) for name in axes]
    bits = {n.serial: 1 << i for i, n in enumerate(inputs) if len(grid[axes[i]]) > 1}
    results = split_minima(graph, [graph.lift(r) for r in f(*inputs)], bits)
    order = reachable(results)
    masks = _axis_masks(order, bits)
    everything = max((masks[n.serial] for n in order), default=0, key=int.bit_count)
    boundary = _boundary(order, results, masks, everything)
    reduced = compile_nodes(boundary, axes)
    replacements = {n.serial: graph.node("input", f"s{i}") for i, n in enumerate(boundary)}
    full = compile_nodes(_rebuilt(graph, results, replacements), [*axes, *(f"s{i}" for i in range(len(boundary)))])
    values = [
        np.asarray(grid[name], dtype=float).reshape([-1 if i == j else 1 for j in range(len(axes))])
        for i, name in enumerate(axes)
    ]
    shape = tuple(len(grid[name]) for name in axes)
    extents = tuple(tuple(n if masks[r.serial] >> i & 1 else 1 for i, n in enumerate(shape)) for r in results)
    return StagedGrid(axes, shape, tuple(values), reduced, full, len(boundary), extents)


def split_minima(graph: Graph, results: Sequence[Node], bits: Mapping[int, int]) -> list[Node]:
    """Rewrite ``f(min(a, b))`` as ``where(a <= b, f(a), f(b))`` where that leaves f on fewer axes.

    A running batch is the smaller of what is in flight (one axis) and what memory holds (another); so everything that
    depends on it alone is evaluated on each of the two axes instead of on every point.
    """
    order = reachable(results)
    masks = _axis_masks(order, bits)
    for least in order:
        if least.op != "min" or any(masks[a.serial] == masks[least.serial] for a in least.args):
            continue
        chosen = {n.serial: n for n in _only_through(order, results, least)}
        if not chosen:
            continue
        a, b = least.args
        first = graph.node("le", a, b)
        with_a, with_b = {least.serial: a}, {least.serial: b}
        pairs = zip(_rebuilt(graph, chosen.values(), with_a), _rebuilt(graph, chosen.values(), with_b), strict=True)
        swapped = {least.serial: graph.node("where", first, a, b)}
        swapped |= {serial: graph.node("where", first, *pair) for serial, pair in zip(chosen, pairs, strict=True)}
        return split_minima(graph, _rebuilt(graph, results, swapped), bits)
    return list(results)


def _only_through(order: Sequence[Node], results: Sequence[Node], source: Node) -> list[Node]:
    """Return the nodes that depend on ``source`` and constants alone and that anything else (or a result) uses."""
    outside = _free_of_indices(order)
    pure: dict[int, bool] = {source.serial: True}
    depends: dict[int, bool] = {source.serial: True}
    for node in order:
        if node is source:
            continue
        below = node.below
        depends[node.serial] = any(depends[c.serial] for c in below)
        pure[node.serial] = all(pure[c.serial] for c in below) if below else node.op in ("const", "index")

    def worth(node: Node) -> bool:
        return node is not source and depends[node.serial] and pure[node.serial] and outside[node.serial]

    found: dict[int, Node] = {r.serial: r for r in results if worth(r)}
    for node in order:
        if not (pure[node.serial] and outside[node.serial]):
            found |= {c.serial: c for c in node.below if worth(c) and not _cheap(c, source)}
    return list(found.values())


def _cheap(node: Node, source: Node) -> bool:
    """Say whether a node is one step from the source, so that computing it costs no more than choosing it."""
    return all(c is source or c.op == "const" for c in node.below)


def _axis_masks(order: Sequence[Node], inputs: Mapping[int, int]) -> dict[int, int]:
    masks: dict[int, int] = {}
    for node in order:
        mask = inputs.get(node.serial, 0)
        for child in node.below:
            mask |= masks[child.serial]
        masks[node.serial] = mask
    return masks


def _free_of_indices(order: Sequence[Node]) -> dict[int, bool]:
    bound: dict[int, frozenset[int]] = {}
    for node in order:
        free: frozenset[int] = frozenset().union(*(bound[c.serial] for c in node.below))
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
            for child in node.below:
                if stored(child):
                    found[child.serial] = child
    for result in results:
        if stored(result):
            found[result.serial] = result
    return list(found.values())


def _rebuilt(graph: Graph, roots: Iterable[Node], replaced: dict[int, Node]) -> list[Node]:
    """Return the roots with the replaced nodes in them; a choice whose body changes gets indices of its own."""
    roots = list(roots)
    below = reachable(roots, replaced)
    changes: set[int] = set(replaced)
    for node in below:
        if any(c.serial in changes for c in node.below):
            changes.add(node.serial)
    for node in below:
        if node.op == "best_of" and node.serial in changes:
            for index in node.args[1]:
                replaced.setdefault(index.serial, graph.fresh_index(index.args[0]))
                changes.add(index.serial)
    # indices are found only now, so what depends on them is marked in a second pass
    for node in below:
        if node.serial in replaced:
            continue
        if any(c.serial in changes for c in node.below):
            changes.add(node.serial)
            replaced[node.serial] = graph.node(node.op, *(_swapped(a, replaced) for a in node.args))
        else:
            replaced[node.serial] = node
    return [replaced[root.serial] for root in roots]


def _swapped(argument: Any, replaced: Mapping[int, Node]) -> Any:
    if isinstance(argument, Node):
        return replaced[argument.serial]
    if isinstance(argument, tuple) and argument and isinstance(argument[0], Node):
        return tuple(replaced.get(a.serial, a) for a in argument)
    return argument


def blocks(shape: Sequence[int], points: int = CHUNK_POINTS) -> Iterator[tuple[slice, ...]]:
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
