"""Memory of a network on a device of its own: weights, and live activations kernel by kernel under a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from perfmodel.errors import InputError, did_you_mean
from perfmodel.formats import find_format, format_names
from perfmodel.plan.arena import arena_bytes
from perfmodel.plan.best_order import MOST_STEPS, Search, best_order
from perfmodel.plan.network import NetworkPlan, kernels, node_format
from perfmodel.plan.ordering import Timeline, order_in_file, timeline
from perfmodel.plan.tensors import KernelGraph, kernel_graph
from perfmodel.workloads.network import Network

SCHEDULES = ("in-order", "in-place", "best", "best-in-place")
"""The file's order of kernels or the best one, results beside their inputs or (in place) over them where that goes."""

ANY_DEVICE = frozenset(find_format(name).compute for name in format_names())
"""Matrix dtypes of a device that has them all, so that each precision is stored as it is called."""


@dataclass(frozen=True)
class MemoryPlan:
    """The memory of a network for ``batch`` samples; all bytes below are those of the whole batch."""

    network: Network
    graph: KernelGraph
    weights_bytes: float
    batch: int
    most_steps: int = MOST_STEPS

    @cached_property
    def in_file(self) -> tuple[int, ...]:
        """The kernels in the order of the file."""
        return order_in_file(self.graph)

    @cached_property
    def searched(self) -> dict[bool, Search]:
        """The best orders, without and with results in place."""
        return {p: best_order(self.graph, in_place=p, most_steps=self.most_steps) for p in (False, True)}

    def timeline(self, schedule: str) -> Timeline:
        """Return what is live under a schedule, of one sample. Errors: :class:`InputError` for an unknown one."""
        if schedule not in SCHEDULES:
            hint = did_you_mean(schedule, SCHEDULES)
            raise InputError(f"unknown schedule '{schedule}'{hint} (one of {', '.join(SCHEDULES)})")
        in_place = schedule.endswith("in-place")
        if schedule.startswith("best"):
            return self.searched[in_place].timeline
        return timeline(self.graph, self.in_file, in_place=in_place)

    def rows(self, schedule: str) -> list[dict[str, Any]]:
        """Return one row a kernel in the schedule's order: what is live while it runs, and what it reads and writes."""
        found, graph = self.timeline(schedule), self.graph
        return [
            {
                "step": step,
                "kernel": graph.kernels[kernel].name,
                "block": graph.kernels[kernel].block,
                "live_bytes": live * self.batch,
                "reads_bytes": self._size(graph.reads[kernel]),
                "writes_bytes": self._size(graph.writes[kernel]),
                "tensors": len(found.held[step]),
                "in_place": found.over[step] >= 0,
            }
            for step, (kernel, live) in enumerate(zip(found.order, found.live_bytes, strict=True))
        ]

    def _size(self, tensors: Sequence[int]) -> float:
        return self.batch * sum(self.graph.tensors[t].size_bytes for t in tensors)

    def at_peak(self, schedule: str) -> list[dict[str, Any]]:
        """Return the tensors that are live at the peak, the largest first."""
        found = self.timeline(schedule)
        if not found.order:
            return []
        step, graph = found.peak, self.graph
        kernel = found.order[step]
        return [
            {
                "tensor": graph.tensors[t].name,
                "shape": [int(n) for n in self.network.shape_of(graph.tensors[t].value)],
                "bytes": graph.tensors[t].size_bytes * self.batch,
                "role": self._role(t, kernel, found.over[step]),
            }
            for t in sorted(found.held[step], key=lambda t: -graph.tensors[t].size_bytes)
        ]

    def _role(self, tensor: int, kernel: int, over: int) -> str:
        if tensor in self.graph.writes[kernel]:
            return "written in place" if over >= 0 else "written"
        if tensor == over:
            return "read and overwritten"
        return "read" if tensor in self.graph.reads[kernel] else "waits"

    def summary(self, schedule: str) -> dict[str, Any]:
        """Return the peak of a schedule, what one block of memory for it must have, and what is proven of the peak."""
        found = self.timeline(schedule)
        search = self.searched[schedule.endswith("in-place")] if schedule.startswith("best") else None
        peak = found.peak_bytes * self.batch
        return {
            "schedule": schedule,
            "peak_bytes": peak,
            "arena_bytes": arena_bytes(self.graph, found) * self.batch,
            "peak_kernel": self.graph.kernels[found.order[found.peak]].name if found.order else None,
            "at_least_bytes": None if search is None else search.at_least_bytes * self.batch,
            "proven_best": None if search is None else search.exact,
            "total_bytes": peak + self.weights_bytes,
        }


def memory_plan(
    network: Network, *, precision: str = "float16", layers: Sequence[tuple[str, str]] = (), fusion: str = "epilogue",
    batch: int = 1, folds_norms: bool = True, peaks: frozenset[str] = ANY_DEVICE,
    most_steps: int = MOST_STEPS,
) -> MemoryPlan:  # fmt: skip
    """Return the memory of a network whose kernels are fused and stored as asked.

    ``peaks`` are the matrix dtypes of the device, where it is known: what has no unit there is kept in 16 bits.
    ``most_steps``: how long to look for the best order (:func:`perfmodel.plan.best_order.best_order`).
    """
    plan = NetworkPlan(precision, tuple(layers), fusion, folds_norms)
    graph = kernel_graph(network, kernels(network, plan, peaks), plan, peaks)
    weights = sum(
        float(node.parameters) * node_format(node.name, plan, peaks).weight.bytes_per_element for node in network.nodes
    )
    return MemoryPlan(network, graph, weights, batch, most_steps)
