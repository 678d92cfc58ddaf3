"""Where a network can be cut in two, and what crosses each cut: values that the second part reads from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from perfmodel.plan.network import Kernel
from perfmodel.plan.tensors import stored
from perfmodel.workloads.network import Network


@dataclass(frozen=True)
class Crossing:
    """A value that crosses a cut, of one sample: its memory's owner, and the elements that the second part reads."""

    value: int
    elements: int


@dataclass(frozen=True)
class Cut:
    """A cut behind the first ``head`` kernels of one schedule and before all but the first ``tail_from`` of another."""

    head: int
    tail_from: int
    crossing: tuple[Crossing, ...]


def prefixes(network: Network, schedule: Sequence[Kernel]) -> list[int]:
    """Return for each number of kernels the nodes (a bit mask) that these run; folded norms go with their layer."""
    made_by = {node: step for step, kernel in enumerate(schedule) for node in kernel.nodes}
    masks = [0] * len(schedule)
    for index, _, _ in network.running():
        step = made_by.get(stored(network, index, made_by))
        if step is not None:
            masks[step] |= 1 << index
    return list(accumulate(masks, lambda a, b: a | b, initial=0))


def cuts(network: Network, first: Sequence[Kernel], second: Sequence[Kernel]) -> list[Cut]:
    """Return all cuts between kernels, from nothing before the cut to everything.

    ``first`` and ``second`` are the kernels of the two parts' machines in orders in which they can run. Where machines
    fuse differently, only cuts that split no kernel of either are left. All tensors that the second part reads cross,
    those of skip connections too, and inputs of the network if it reads them.
    """
    starts = {mask: index for index, mask in reversed(list(enumerate(prefixes(network, second))))}
    ends = prefixes(network, first)
    return [
        Cut(index, starts[mask], crossing(network, mask))
        for index, mask in enumerate(ends)
        if mask in starts
    ]  # fmt: skip


def crossing(network: Network, done: int) -> tuple[Crossing, ...]:
    """Return what crosses from the nodes of a bit mask to the others; of a tensor only the parts that are read."""
    read: dict[int, dict[int, int]] = {}
    for index, node, _ in network.running():
        if done >> index & 1:
            continue
        for value in node.inputs:
            owner = network.owner(value)
            if owner < 0 or done >> owner & 1:
                read.setdefault(owner, {})[value] = int(network.elements_of(value))
    return tuple(
        Crossing(owner, min(int(network.elements_of(owner)), sum(parts.values())))
        for owner, parts in sorted(read.items(), key=lambda item: item[0])
    )
