"""Where tensors lie in one block of memory: what a planner of offsets needs beyond the bytes that are live."""

from __future__ import annotations

from typing import NamedTuple

from perfmodel.plan.ordering import Timeline
from perfmodel.plan.tensors import KernelGraph


class Buffer(NamedTuple):
    """A stretch of memory that holds one tensor, or several that are written over each other, in these steps."""

    size_bytes: float
    first: int
    last: int
    offset: float = 0.0

    def meets(self, other: Buffer) -> bool:
        """Say whether both are in use in some step."""
        return self.first <= other.last and other.first <= self.last


def buffers(graph: KernelGraph, timeline: Timeline) -> list[Buffer]:
    """Return the buffers of a timeline; a result that is written over a tensor shares its buffer."""
    home: dict[int, int] = {}
    for kernel, over in zip(timeline.order, timeline.over, strict=True):
        for written in graph.writes[kernel]:
            home[written] = home.get(over, over) if over >= 0 else written
    steps: dict[int, list[int]] = {}
    sizes: dict[int, float] = {}
    for step, held in enumerate(timeline.held):
        for tensor in held:
            place = home.get(tensor, tensor)
            steps.setdefault(place, []).append(step)
            sizes[place] = max(sizes.get(place, 0.0), graph.tensors[tensor].size_bytes)
    return [Buffer(sizes[place], found[0], found[-1]) for place, found in steps.items()]


def arena_bytes(graph: KernelGraph, timeline: Timeline) -> float:
    """Return what one block of memory must have that holds all buffers at fixed offsets; at least the peak.

    The largest buffer is placed first, each into the lowest gap between those that are in use at the same time: greedy
    by size, as TensorFlow Lite does. Source: Pisarchyk and Lee 2020 (arXiv 2001.03288), algorithm 3.
    """
    placed: list[Buffer] = []
    for buffer in sorted(buffers(graph, timeline), key=lambda b: (-b.size_bytes, b.first)):
        offset = 0.0
        for other in sorted((b for b in placed if b.meets(buffer)), key=lambda b: b.offset):
            if other.offset - offset >= buffer.size_bytes:
                break
            offset = max(offset, other.offset + other.size_bytes)
        placed.append(buffer._replace(offset=offset))
    return max((b.offset + b.size_bytes for b in placed), default=0.0)
