"""The order of kernels that needs the least memory at once: a search that proves how good what it finds is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import NamedTuple

from perfmodel.plan.ordering import KernelSets, Timeline, greedy_order, order_in_file, timeline
from perfmodel.plan.tensors import KernelGraph

MOST_STEPS, FEW_STEPS = 60_000, 5_000
"""Kernels that a search tries to run next before it gives up on proving the best order: seconds, and a fraction."""

BEAM = 4
"""Sets of kernels of each size that the search for a good order, which proves nothing, goes on from."""

SLACK = 0.02
"""Share of the peak that a search may give away to leave out orders that differ only in small tensors."""


@dataclass(frozen=True)
class Search:
    """An order that was searched for: no order has a peak below ``at_least_bytes``; it is the best if ``exact``."""

    timeline: Timeline
    at_least_bytes: float
    steps: int

    @property
    def exact(self) -> bool:
        """Return whether the order is proven to need the least."""
        return self.timeline.peak_bytes <= self.at_least_bytes * (1 + 1e-12)


def best_order(graph: KernelGraph, *, in_place: bool = False, most_steps: int = MOST_STEPS) -> Search:
    """Return an order with the least peak, proven if that takes no more than about ``most_steps`` tries.

    What is live depends only on the set of kernels that have run, so the best order is the path through these sets
    whose highest step is the lowest: dynamic programming as in Ahn et al. 2020, "Ordering Chaos" (arXiv 2003.02369).
    Here the set of the lowest peak comes first, so that the peak at which the search ends or gives up bounds all orders
    from below. Two rules leave out what no best order needs. Eager: a kernel that frees at least what it writes, and
    does not pass the peak so far, runs at once. Lazy: one that never frees more than it writes runs just before the
    first that reads its result. If that gives up, kernels that break either rule by little follow it too, which the
    bound from below pays for (:data:`SLACK`). The answer is never worse than the file's order, the greedy one
    (:func:`greedy_order`), and where nothing is proven that of a beam search (:data:`BEAM`).
    """
    orders = (order_in_file(graph), greedy_order(graph, in_place=in_place))
    known = min((timeline(graph, order, in_place=in_place) for order in orders), key=lambda t: t.peak_bytes)
    sets, found = KernelSets(graph, in_place=in_place), Search(known, 0.0, 0)
    for slack in (0.0, SLACK):
        if slack:
            found = replace(found, timeline=_Search(sets, found.timeline, most_steps, slack).beam())
        again = _Search(sets, found.timeline, most_steps, slack).run()
        at_least = max(found.at_least_bytes, again.at_least_bytes)
        found = Search(again.timeline, at_least, found.steps + again.steps)
        if found.exact:
            break
    return found


class _State(NamedTuple):
    """A set of kernels that have run: the peak on the way, which comes first in a heap, and what may run next."""

    peak: float
    left: int
    done: int
    live: float
    ready: tuple[int, ...]


class _Search:
    """A search through sets of kernels, that of the lowest peak first, and of these the one with the fewest left."""

    def __init__(self, sets: KernelSets, known: Timeline, most_steps: int, slack: float) -> None:
        self.sets, self.known, self.most_steps, self.steps = sets, known, most_steps, 0
        least = max((_least(sets, k) for k in range(sets.count)), default=0.0)
        self.least = max(least, sets.at_start())
        self.lazy, self.eager, self.slack = _harmless(sets, slack * self.least)
        self.helpers = {k: _helpers(sets, k, self.lazy) for k in range(sets.count) if k not in self.lazy}
        self.needs = {k: _needs(sets, k, helpers) for k, helpers in self.helpers.items()}
        self.behind = {k: self._behind(k) for k in range(sets.count)}
        self.limit = known.peak_bytes * (1 - 1e-12)
        self.heap: list[_State] = []
        self.best: dict[int, float] = {}
        self.came: dict[int, tuple[int, tuple[int, ...]]] = {}

    def run(self) -> Search:
        self._enter(self._start(), -1, [])
        while self.heap and self.steps < self.most_steps:
            state = heappop(self.heap)
            if not state.left:
                return self._answer(self._timeline(state.done), state.peak)
            if self.best[state.done] < state.peak:
                continue
            for kernel in state.ready:
                following, ran = self._after(state, kernel)
                self._enter(following, state.done, ran)
        # nothing that is left stays below the known order, or it is not known whether anything does
        return self._answer(self.known, self.heap[0].peak if self.heap else self.known.peak_bytes)

    def beam(self) -> Timeline:
        """Return the best order found that goes on from a few sets of each size, or the known one."""
        self._enter(self._start(), -1, [])
        while self.heap:
            most = max(state.left for state in self.heap)
            if not most:
                return self._timeline(min(self.heap).done)
            level = sorted((s for s in self.heap if s.left == most), key=lambda s: (s.peak, s.live))
            self.heap = [s for s in self.heap if s.left != most]
            for state in level[:BEAM]:
                for kernel in state.ready:
                    following, ran = self._after(state, kernel)
                    self._enter(following, state.done, ran)
        return self.known

    def _start(self) -> _State:
        first = tuple(k for k, needed in self.needs.items() if not needed)
        return _State(self.least, len(self.needs), 0, self.sets.at_start(), first)

    def _answer(self, found: Timeline, lowest: float) -> Search:
        return Search(found, min(found.peak_bytes, max(lowest - self.slack, self.least)), self.steps)

    def _run(self, state: _State, kernel: int) -> tuple[float, int, float, list[int]]:
        """Return peak, set and live bytes after a kernel and the lazy ones that it waits for, and what ran."""
        peak, done, live = state.peak, state.done, state.live
        ran = [k for k in (*self.helpers[kernel], kernel) if not done >> k & 1]
        for each in ran:
            during, live = self.sets.step(done, live, each)
            peak, done = max(peak, during), done | 1 << each
        self.steps += 1
        return peak, done, live, ran

    def _after(self, state: _State, kernel: int) -> tuple[_State, list[int]]:
        """Return the state after a kernel and the lazy ones that it waits for, and what ran."""
        peak, done, live, ran = self._run(state, kernel)
        ready = [k for k in state.ready if k != kernel]
        for each in ran:
            for k in self.behind[each]:
                if k not in ready and not done >> k & 1 and self.needs[k] & done == self.needs[k]:
                    ready.append(k)
        return _State(peak, state.left - 1, done, live, tuple(ready)), ran

    def _behind(self, kernel: int) -> tuple[int, ...]:
        """Return the kernels that are not lazy and read a kernel's result, or that of a lazy one behind it."""
        found: dict[int, None] = {}
        waiting = list(self.sets.after[kernel])
        while waiting:
            k = waiting.pop()
            if k in self.lazy:
                waiting += self.sets.after[k]
            else:
                found[k] = None
        return tuple(found)

    def _enter(self, state: _State, before: int, path: list[int]) -> None:
        """Enter a state, and run what may run at once, unless it cannot stay below the best order known."""
        while (kernel := self._at_once(state)) is not None:
            state, ran = self._after(state, kernel)
            path.extend(ran)
        if state.peak < self.best.get(state.done, self.limit):
            self.best[state.done] = state.peak
            self.came[state.done] = (before, tuple(path))
            heappush(self.heap, state)

    def _at_once(self, state: _State) -> int | None:
        """Return a kernel that may run at once (:func:`best_order`)."""
        for kernel in state.ready:
            if kernel in self.eager:
                return kernel
            peak, _, live, _ = self._run(state, kernel)
            if peak <= state.peak and live <= state.live:
                return kernel
        return None

    def _timeline(self, done: int) -> Timeline:
        steps: list[int] = []
        while done != -1:
            done, path = self.came[done]
            steps += reversed(path)
        return timeline(self.sets.graph, tuple(reversed(steps)), in_place=self.sets.in_place)


def _least(sets: KernelSets, kernel: int) -> float:
    """Return the least that is live while a kernel runs, in any order."""
    graph = sets.graph
    found = graph.footprint_bytes(kernel)
    if sets.in_place and graph.overwrites[kernel]:
        written = sets.size[graph.writes[kernel][0]]
        found -= max(written - o.spare_bytes for o in graph.overwrites[kernel])
    return found


def _harmless(sets: KernelSets, allowed: float) -> tuple[frozenset[int], frozenset[int], float]:
    """Return the kernels that may wait for their first reader, those that may run at once, and what both may cost.

    A kernel may wait whose result is no smaller than all that it reads: it keeps less alive while it waits. It then
    runs beside what it reads, and its first reader beside its own result, which must be as large. One that runs at once
    keeps its result alive for longer. ``allowed`` bytes may be lost in all.
    """
    found: list[tuple[float, int, bool]] = []
    for kernel in range(sets.count):
        written = sets.graph.writes[kernel]
        own = sum(sets.size[t] for t in written)
        found.append((own, kernel, False))
        if sets.after[kernel] and all(sets.read_by[t] and not sets.stays[t] for t in written):
            read = sum(sets.size[t] for t in sets.graph.reads[kernel])
            theirs = min(sum(sets.size[t] for t in sets.graph.writes[k]) for k in sets.after[kernel])
            found.append((max(read - own, 0.0) + max(read - theirs, 0.0), kernel, True))
    slack = 0.0
    chosen: dict[int, bool] = {}
    for cost, kernel, waits in sorted(found):
        if slack + cost > allowed:
            break
        if kernel not in chosen:
            slack += cost
            chosen[kernel] = waits
    lazy = frozenset(kernel for kernel, waits in chosen.items() if waits)
    return lazy, frozenset(chosen) - lazy, slack


def _helpers(sets: KernelSets, kernel: int, lazy: frozenset[int]) -> tuple[int, ...]:
    """Return the lazy kernels that must run before a kernel, in an order in which they can."""
    found: list[int] = []

    def visit(k: int) -> None:
        for earlier in sorted(sets.graph.before[k]):
            if earlier in lazy and earlier not in found:
                visit(earlier)
                found.append(earlier)

    visit(kernel)
    return tuple(found)


def _needs(sets: KernelSets, kernel: int, helpers: tuple[int, ...]) -> int:
    """Return the set of kernels that must have run before a kernel and its helpers can."""
    needed = 0
    for each in (*helpers, kernel):
        needed |= sets.before[each]
    for helper in helpers:
        needed &= ~(1 << helper)
    return needed
