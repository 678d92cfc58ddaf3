"""Memory of a network on one device: its weights, and the activations that must be live at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.numeric import Number, maximum
from perfmodel.plan.network import Kernel, NetworkPlan, node_format
from perfmodel.plan.ordering import live_bytes, order_in_file
from perfmodel.plan.tensors import kernel_graph
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
    """Return what is live when the kernels run in the order of ``schedule``, each put off until its inputs are there.

    See :func:`perfmodel.plan.ordering.timeline`: nothing is overwritten in place, what a fused kernel keeps inside
    takes no memory, a view shares its source's. Elements are as wide as the activations of the node that makes them.

    Source: register allocation's live ranges, applied to tensors. Omits: workspaces, alignment, fragmentation.
    """
    graph = kernel_graph(network, tuple(schedule), plan, peaks)
    live = live_bytes(graph, order_in_file(graph))
    weights = sum(n.parameters * node_format(n.name, plan, peaks).weight.bytes_per_element for n in network.nodes)
    return Liveness(live, weights)
