"""Memory of a network on one device: its weights, and the activations that must be live at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.numeric import Number, maximum
from perfmodel.plan.network import Kernel, NetworkPlan, node_format
from perfmodel.workloads.network import Network


@dataclass(frozen=True)
class Liveness:
    """Bytes of one sample that are live while each kernel runs, and those of the weights.

    ``live_bytes[i]`` belongs to kernel i of the schedule; :attr:`peak` names the largest.
    """

    live_bytes: tuple[Number, ...]
    weights_bytes: Number

    @property
    def peak_bytes(self) -> Number:
        """Return the most that is live at once for one sample."""
        found: Number = 0.0
        for value in self.live_bytes:
            found = maximum(found, value)
        return found

    @property
    def peak(self) -> int:
        """Return the kernel during which the most is live (of plain numbers)."""
        return max(range(len(self.live_bytes)), key=lambda i: self.live_bytes[i], default=0)


def liveness(network: Network, schedule: Sequence[Kernel], plan: NetworkPlan, peaks: frozenset[str]) -> Liveness:
    """Return what is live when the kernels run in the order of ``schedule``.

    A value is live from the kernel that writes it to the last that reads it, outputs to the end; a kernel's own results
    are live beside what it reads (nothing is overwritten in place). What a fused kernel keeps inside takes no memory,
    and a view shares its source's. Elements are as wide as the activations of the node that makes them.

    Source: register allocation's live ranges, applied to tensors. Omits: workspaces, alignment, fragmentation.
    """
    made_by = {node: step for step, kernel in enumerate(schedule) for node in kernel.nodes}
    last: dict[int, int] = {}
    for index, node in enumerate(network.nodes):
        step = made_by.get(index)
        for value in node.inputs:
            owner = _stored(network, value, made_by)
            if step is not None and made_by.get(owner, -1) != step:
                last[owner] = max(last.get(owner, -1), step)
    for value in network.outputs:
        last[_stored(network, value, made_by)] = len(schedule)
    born: dict[int, list[int]] = {}
    for owner in last:
        born.setdefault(made_by.get(owner, 0), []).append(owner)

    live: Number = 0.0
    found: list[Number] = []
    ends: dict[int, list[int]] = {}
    for owner, step in last.items():
        ends.setdefault(step, []).append(owner)
    for step in range(len(schedule)):
        live = live + sum(_bytes(network, owner, plan, peaks) for owner in born.get(step, ()))
        found.append(live)
        live = live - sum(_bytes(network, owner, plan, peaks) for owner in ends.get(step, ()))
    weights = sum(n.parameters * node_format(n.name, plan, peaks).weight.bytes_per_element for n in network.nodes)
    return Liveness(tuple(found), weights)


def _stored(network: Network, value: int, made_by: dict[int, int]) -> int:
    """Return the value whose memory holds ``value``: past views, and norms that are folded into what they follow."""
    while value >= 0 and value not in made_by and network.nodes[value].inputs:
        value = network.nodes[value].inputs[0]
    return value


def _bytes(network: Network, value: int, plan: NetworkPlan, peaks: frozenset[str]) -> Number:
    name = network.nodes[value].name if value >= 0 else ""
    return network.elements_of(value) * node_format(name, plan, peaks).activation.bytes_per_element
