"""Orders in which a network's kernels may run, and what is live at each step of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from perfmodel.plan.tensors import KernelGraph, Overwrite


@dataclass(frozen=True)
class Timeline:
    """What is live while each kernel of ``order`` runs, of one sample: ``live_bytes[i]`` belongs to ``order[i]``.

    ``held[i]`` are the tensors that are live then, ``over[i]`` the one that the result is written over (-1: none),
    which is then not counted twice.
    """

    order: tuple[int, ...]
    live_bytes: tuple[float, ...]
    held: tuple[tuple[int, ...], ...]
    over: tuple[int, ...]

    @property
    def peak_bytes(self) -> float:
        """Return the most that is live at once."""
        return max(self.live_bytes, default=0.0)

    @property
    def peak(self) -> int:
        """Return the position in ``order`` at which the most is live."""
        return max(range(len(self.live_bytes)), key=lambda i: self.live_bytes[i], default=0)


class KernelSets:
    """Which tensors are live when a set of kernels has run, sets of kernels being bit masks."""

    def __init__(self, graph: KernelGraph, *, in_place: bool) -> None:
        self.graph, self.in_place = graph, in_place
        self.size = [tensor.size_bytes for tensor in graph.tensors]
        self.read_by = [sum(1 << r for r in tensor.readers) for tensor in graph.tensors]
        self.stays = [tensor.leaves for tensor in graph.tensors]
        self.before = [sum(1 << k for k in each) for each in graph.before]
        self.after: list[list[int]] = [[] for _ in graph.kernels]
        for kernel, each in enumerate(graph.before):
            for earlier in each:
                self.after[earlier].append(kernel)
        self.count = len(graph.kernels)

    def at_start(self) -> float:
        return sum(t.size_bytes for t in self.graph.tensors if t.maker < 0 and (t.readers or t.leaves))

    def dying(self, done: int, kernel: int) -> list[int]:
        """Return the tensors that nobody reads once ``kernel`` has run too."""
        later = ~(done | 1 << kernel)
        return [t for t in self.graph.reads[kernel] if not self.stays[t] and not self.read_by[t] & later]

    def step(self, done: int, live: float, kernel: int) -> tuple[float, float]:
        """Return what is live while ``kernel`` runs after ``done``, and afterwards."""
        graph, ends = self.graph, self.dying(done, kernel)
        during = live + sum(self.size[t] for t in graph.writes[kernel])
        after = during - sum(self.size[t] for t in ends)
        after -= sum(self.size[t] for t in graph.writes[kernel] if not self.read_by[t] and not self.stays[t])
        over = self.overwritten(kernel, ends)
        if over is not None:
            during -= self.size[graph.writes[kernel][0]] - over.spare_bytes
        return during, after

    def overwritten(self, kernel: int, ends: Sequence[int]) -> Overwrite | None:
        """Return what the kernel's result is written over, of the tensors that end with it."""
        found = self.graph.overwrites[kernel] if self.in_place else ()
        return next((over for over in found if over.tensor in ends), None)

    def first(self) -> list[int]:
        return [k for k in range(self.count) if not self.before[k]]

    def freed(self, done: int, kernel: int) -> Iterator[int]:
        """Yield the kernels that may run once ``kernel`` has, too."""
        now = done | 1 << kernel
        return (k for k in self.after[kernel] if self.before[k] & now == self.before[k])


def order_in_file(graph: KernelGraph) -> tuple[int, ...]:
    """Return the kernels as the network lists them, each put off until all that it reads is there."""
    sets = KernelSets(graph, in_place=False)
    ready = sets.first()
    heapify(ready)
    order: list[int] = []
    done = 0
    while ready:
        kernel = heappop(ready)
        for freed in sets.freed(done, kernel):
            heappush(ready, freed)
        done |= 1 << kernel
        order.append(kernel)
    return tuple(order)


def greedy_order(graph: KernelGraph, *, in_place: bool = False) -> tuple[int, ...]:
    """Return the order that at each step runs the kernel after which the least is live."""
    sets = KernelSets(graph, in_place=in_place)
    ready, order = sets.first(), list[int]()
    done, live = 0, sets.at_start()
    while ready:
        steps = {kernel: sets.step(done, live, kernel) for kernel in ready}
        kernel = min(ready, key=lambda k: (steps[k][1], steps[k][0], k))
        ready.remove(kernel)
        ready += sets.freed(done, kernel)
        done, live = done | 1 << kernel, steps[kernel][1]
        order.append(kernel)
    return tuple(order)


def timeline(graph: KernelGraph, order: Sequence[int], *, in_place: bool = False) -> Timeline:
    """Return what is live when the kernels run in an order.

    A tensor is live from the kernel that writes it to the last that reads it, outputs to the end, inputs from the
    start; a kernel's result is live beside what it reads, but for ``in_place`` results (:class:`.tensors.Overwrite`).
    Omits: workspaces, alignment, fragmentation.
    """
    sets = KernelSets(graph, in_place=in_place)
    done, live = 0, sets.at_start()
    alive = {i for i, t in enumerate(graph.tensors) if t.maker < 0 and (t.readers or t.leaves)}
    found: list[float] = []
    held: list[tuple[int, ...]] = []
    over: list[int] = []
    for kernel in order:
        during, after = sets.step(done, live, kernel)
        alive |= set(graph.writes[kernel])
        found.append(during)
        held.append(tuple(sorted(alive)))
        ends = sets.dying(done, kernel)
        written_over = sets.overwritten(kernel, ends)
        over.append(-1 if written_over is None else written_over.tensor)
        alive -= {*ends, *(t for t in graph.writes[kernel] if not sets.read_by[t] and not sets.stays[t])}
        done, live = done | 1 << kernel, after
    return Timeline(tuple(order), tuple(found), tuple(held), tuple(over))


def live_bytes(graph: KernelGraph, order: Sequence[int]) -> tuple[float, ...]:
    """Return what is live while each kernel of the graph (by its index) runs in an order; as :func:`timeline`."""
    sets, found = KernelSets(graph, in_place=False), [0.0] * len(graph.kernels)
    done, live = 0, sets.at_start()
    for kernel in order:
        found[kernel], live = sets.step(done, live, kernel)
        done |= 1 << kernel
    return tuple(found)
