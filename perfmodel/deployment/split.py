"""Split computing: the first part of a network on one device, the rest on another, and a link between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from perfmodel.cost.bounds import Bound
from perfmodel.cost.energy import Joules
from perfmodel.deployment.timing import certain, holding, plain_time, times_in_turn, work_joules
from perfmodel.errors import InputError
from perfmodel.formats import find_cache_encoding
from perfmodel.plan.cuts import Crossing, Cut, cuts
from perfmodel.plan.network import Kernel, node_format
from perfmodel.plan.ordering import order_in_file, timeline
from perfmodel.plan.tensors import kernel_graph, stored
from perfmodel.serving.network import NetworkSetup, assembled, sample_energy
from perfmodel.serving.timed import Time, TimedOperator
from perfmodel.units import parse_quantity
from perfmodel.workloads.network import Network


@dataclass(frozen=True)
class Link:
    """What joins two devices: the same both ways, ``joules_per_byte`` those of the first device's end."""

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0
    joules_per_byte: float = 0.0

    def seconds(self, size_bytes: float) -> float:
        """Return ``latency + bytes/bandwidth``; nothing to send takes no time."""
        return self.latency_s + size_bytes / self.bandwidth_bytes_per_s if size_bytes else 0.0


def parse_link(text: str, joules_per_byte: float = 0.0) -> Link:
    """Return the link that ``"100 Mbit/s"`` or ``"100 Mbit/s,5 ms"`` says. Errors: :class:`InputError`."""
    bandwidth, _, latency = (part.strip() for part in text.partition(","))
    return Link(
        parse_quantity(bandwidth, "bytes_per_s"), parse_quantity(latency, "seconds") if latency else 0.0,
        joules_per_byte,
    )  # fmt: skip


class Part:
    """A network on one of the two devices: kernels in an order in which they can run, their times, and what is live.

    A device holds the weights of its own part only, of which its chip keeps what it can. Times of a part are between
    those with all weights on the chip and those of the whole network, by the share that is not kept.
    """

    def __init__(self, setup: NetworkSetup, batch: int) -> None:
        self.setup, self.batch = setup, batch
        self.network: Network = setup.pipeline.stages[0].network
        (schedule,) = setup.schedules
        graph = kernel_graph(self.network, schedule, setup.plan, self._dtypes)
        order = order_in_file(graph)
        self.kernels: tuple[Kernel, ...] = tuple(schedule[k] for k in order)
        kept, whole = (
            each.answer(float(batch)).stages[0].step.operators for each in (holding(setup, 0.0), setup)
        )  # fmt: skip
        self.kept: list[TimedOperator] = [kept[k] for k in order]
        self.whole: list[TimedOperator] = [whole[k] for k in order]
        self.live = [value * batch for value in timeline(graph, order).live_bytes]

    @property
    def _dtypes(self) -> frozenset[str]:
        chip = self.setup.machine.chip
        return frozenset((*chip.peaks, *chip.sparse_peaks))

    def cost(self, first: int, last: int) -> tuple[Time, float | None]:
        """Return time and joules of a batch through kernels ``first`` to ``last`` (excluded) and the engine's start."""
        if first == last:
            return certain(0.0), None if self.setup.energy_facts is None else 0.0
        time = assembled(self._rows(first, last), self.setup.machine).time
        facts = self.setup.energy_facts
        if facts is None:
            return time, None
        work = Joules(sum(self._work[first:last]), 0.0, 0.0)
        limit = self.setup.question.power_limit_w
        return time, float(sample_energy(work, time.expected, 1.0, facts, limit).joules_per_sample)

    def _rows(self, first: int, last: int) -> list[TimedOperator]:
        most = float(self.setup.machine.cold_weights)
        own = holding(self.setup, self.weights_bytes(first, last)).machine.cold_weights
        share = float(own) / most if most else 1.0
        if share >= 1.0:
            return self.whole[first:last]
        return [_between(a, b, share) for a, b in zip(self.kept[first:last], self.whole[first:last], strict=True)]

    @cached_property
    def _work(self) -> list[float]:
        known: dict[int, float] = {}
        return [work_joules(self.setup, row.step.operator, known) for row in self.whole]

    def weights_bytes(self, first: int, last: int) -> float:
        """Return the weights of kernels as they are stored."""
        return sum(self._weights[first:last])

    @cached_property
    def _weights(self) -> list[float]:
        made_by = {node: step for step, kernel in enumerate(self.kernels) for node in kernel.nodes}
        found = [0.0] * len(self.kernels)
        for index, node in enumerate(self.network.nodes):
            if node.parameters:
                width = node_format(node.name, self.setup.plan, self._dtypes).weight.bytes_per_element
                found[made_by.get(stored(self.network, index, made_by), 0)] += float(node.parameters) * width
        return found

    def memory_bytes(self, first: int, last: int) -> float:
        """Return weights and most live activations of kernels; what crosses a cut is live up to it, or from it on."""
        return self.weights_bytes(first, last) + max(self.live[first:last], default=0.0)

    def element_bytes(self, value: int) -> float:
        """Return the width of a value's elements as this device makes it."""
        name = self.network.nodes[value].name if value >= 0 else ""
        return node_format(name, self.setup.plan, self._dtypes).activation.bytes_per_element


def _between(a: TimedOperator, b: TimedOperator, share: float) -> TimedOperator:
    """Return a kernel's times between two, ``share`` of the way; its memory traffic is linear in the weights' share."""
    memory = a.bound.memory_s + (b.bound.memory_s - a.bound.memory_s) * share
    expected = a.expected_s + (b.expected_s - a.expected_s) * share
    return replace(b, bound=Bound(b.bound.compute_s, memory, b.bound.link_s), expected_s=expected)


@dataclass(frozen=True)
class Split:
    """A network over two devices.

    ``transfer`` is the format of what is sent ("": as it was made), ``input_bytes`` the size of a sample that is sent
    as it came (None: as a tensor), ``replies`` whether results come back to the first device.
    """

    first: NetworkSetup
    second: NetworkSetup
    link: Link
    batch: int = 1
    transfer: str = ""
    input_bytes: float | None = None
    replies: bool = True

    def __post_init__(self) -> None:
        networks = [stage.network for each in (self.first, self.second) for stage in each.pipeline.stages]
        if len(networks) != 2 or networks[0] is not networks[1]:
            raise InputError("a cut is one of a single network, the same on both devices")
        if self.transfer:
            find_cache_encoding(self.transfer)

    @cached_property
    def parts(self) -> tuple[Part, Part]:
        """The network on the first and on the second device."""
        return Part(self.first, self.batch), Part(self.second, self.batch)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a cut, from all on the second device to all on the first."""
        a, b = self.parts
        found = cuts(a.network, a.kernels, b.kernels)
        return [self._row(cut) for cut in found]

    def _row(self, cut: Cut) -> dict[str, Any]:
        a, b = self.parts
        everything = cut.head == len(a.kernels)
        crossing = () if everything else cut.crossing
        sent = sum(self._sent(c) for c in crossing) * self.batch
        back = 0.0 if everything or not self.replies else self._reply_bytes(cut) * self.batch
        (head, work), (tail, remote) = a.cost(0, cut.head), b.cost(cut.tail_from, len(b.kernels))
        up, down = self.link.seconds(sent), self.link.seconds(back)
        time = times_in_turn([head, certain(up), tail, certain(down)])
        slowest = max(float(head.expected), up, float(tail.expected), down)
        last = a.kernels[cut.head - 1] if cut.head else None
        return {
            "cut": cut.head,
            "after": last.name if last else "(input)",
            "block": last.block if last else "",
            "kind": "all remote" if not cut.head else "all local" if everything else "split",
            "tensors": len(crossing),
            "crossing": [self._named(c) for c in crossing],
            "sent_bytes": sent,
            "returned_bytes": back,
            "head_s": plain_time(head),
            "transfer_s": up,
            "tail_s": plain_time(tail),
            "return_s": down,
            "latency_s": plain_time(time),
            "samples_per_s_pipelined": self.batch / slowest if slowest else None,
            **self._energy(work, float(time.expected - head.expected), sent + back),
            "remote_joules": remote,
            "head_memory_bytes": a.memory_bytes(0, cut.head),
            "tail_memory_bytes": b.memory_bytes(cut.tail_from, len(b.kernels)),
        }

    def _sent(self, crossing: Crossing) -> float:
        if crossing.value < 0 and self.input_bytes is not None:
            return self.input_bytes if crossing.value == -1 else 0.0
        return crossing.elements * self._width(self.parts[0], crossing.value)

    def _width(self, part: Part, value: int) -> float:
        return find_cache_encoding(self.transfer).bytes_per_element if self.transfer else part.element_bytes(value)

    def _named(self, crossing: Crossing) -> dict[str, Any]:
        network = self.parts[0].network
        name = network.nodes[crossing.value].name if crossing.value >= 0 else "input"
        shape = [int(n) for n in network.shape_of(crossing.value)]
        return {"tensor": name, "shape": shape, "elements": crossing.elements, "bytes": self._sent(crossing)}

    def _reply_bytes(self, cut: Cut) -> float:
        """Return the bytes of the results of one sample that the second device makes."""
        a, b = self.parts
        there = {node for kernel in b.kernels[cut.tail_from :] for node in kernel.nodes}
        made_by = {node: 0 for kernel in b.kernels for node in kernel.nodes}
        return sum(
            float(b.network.elements_of(value)) * self._width(b, value)
            for value in a.network.outputs
            if stored(b.network, value, made_by) in there
        )

    def _energy(self, work: float | None, waits_s: float, moved: float) -> dict[str, Any]:
        """Return the joules of the first device: its work, its static power while it waits, and its link."""
        facts = self.first.energy_facts
        waiting = None if facts is None else facts.static_w * waits_s
        radio = self.link.joules_per_byte * moved
        return {
            "edge_joules": None if work is None or waiting is None else work + waiting + radio,
            "edge_compute_joules": work,
            "edge_waiting_joules": waiting,
            "edge_link_joules": radio,
        }


def best(rows: Sequence[dict[str, Any]], metric: str) -> dict[str, Any] | None:
    """Return the row with the least of a metric (``latency_s`` by its expected value), None if nobody knows it."""

    def value(row: dict[str, Any]) -> float | None:
        found = row[metric]
        return found["expected"] if isinstance(found, dict) else found

    known = [(v, i) for i, row in enumerate(rows) if (v := value(row)) is not None]
    return rows[min(known)[1]] if known else None
