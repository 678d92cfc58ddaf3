"""Several networks for one request: a cascade, a detector and a classifier of its crops, on one device or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from perfmodel.deployment.split import Link
from perfmodel.deployment.timing import certain, holding, plain_time, times_in_turn
from perfmodel.errors import InputError
from perfmodel.plan.network import node_format
from perfmodel.serving.network import GPU_RUNTIME_BYTES, NetworkAnswer, NetworkSetup
from perfmodel.serving.timed import Time


@dataclass(frozen=True)
class Member:
    """One network of a cascade on its device: it runs on ``runs`` samples a request in the mean (0.3, or 5 crops).

    ``place`` names the device that it shares with all of the same place ("": one of the device's name).
    """

    setup: NetworkSetup
    runs: float
    place: str = ""

    @property
    def where(self) -> str:
        """Return the name of the device, which tells several of a kind apart."""
        return self.place or self.setup.device.name

    @property
    def input_bytes(self) -> float:
        """Return the bytes of one sample that comes in, in the precision of the network."""
        network = self.setup.pipeline.stages[0].network
        chip = self.setup.machine.chip
        width = node_format("", self.setup.plan, frozenset((*chip.peaks, *chip.sparse_peaks))).activation
        return sum(float(prod(shape, start=1)) for shape in network.inputs) * width.bytes_per_element


@dataclass(frozen=True)
class Cascade:
    """Networks that serve one request one after the other, ``batch`` requests at a time.

    A network's samples of a batch of requests run together, unless ``one_by_one``. Between networks on different
    devices their samples cross ``link`` (``handover_bytes`` each; None: the next network's input).
    """

    members: tuple[Member, ...]
    batch: int = 1
    link: Link | None = None
    handover_bytes: float | None = None
    one_by_one: bool = False

    def __post_init__(self) -> None:
        if any(not member.runs > 0 for member in self.members):
            raise InputError("each network of a pipeline runs on more than 0 samples a request")
        if self.link is None and len({m.where for m in self.members}) > 1:
            raise InputError('networks on several devices need a --link, such as "1 Gbit/s,1 ms"')

    @cached_property
    def passes(self) -> list[tuple[float, float]]:
        """For each network the samples of one pass, and the mean passes for a batch of requests."""
        found: list[tuple[float, float]] = []
        for member in self.members:
            samples = self.batch * member.runs
            size = 1.0 if self.one_by_one else max(samples, 1.0)
            found.append((size, samples / size))
        return found

    @cached_property
    def answers(self) -> list[NetworkAnswer]:
        """Each network's answer for one pass."""
        held = self._held
        return [
            holding(m.setup, sum(held[m.where].values())).answer(size)
            for m, (size, _) in zip(self.members, self.passes, strict=True)
        ]

    @cached_property
    def _held(self) -> dict[str, dict[str, float]]:
        """The bytes of the weights of the networks that each device holds."""
        found: dict[str, dict[str, float]] = {}
        for m in self.members:
            weights = float(m.setup.answer(1.0).memory.weights_bytes)
            found.setdefault(m.where, {})[m.setup.pipeline.name] = weights
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a network: its passes, times and joules for a batch of requests, and its memory."""
        found: list[dict[str, Any]] = []
        for index, (member, answer) in enumerate(zip(self.members, self.answers, strict=True)):
            size, passes = self.passes[index]
            each, joules = plain_time(answer.latency), answer.joules_per_sample
            sent, link_s = self._handover(index)
            found.append({
                "network": member.setup.pipeline.name, "device": member.where,
                "precision": member.setup.plan.precision, "runs": member.runs, "batch": size, "passes": passes,
                "pass_s": each, "busy_s": each["expected"] * passes, "sent_bytes": sent, "link_s": link_s,
                "joules": None if joules is None else float(joules) * size * passes,
                "weights_bytes": float(answer.memory.weights_bytes),
                "activation_bytes": float(answer.memory.activation_bytes),
            })  # fmt: skip
        return found

    def _handover(self, index: int) -> tuple[float, float]:
        """Return bytes and seconds of what a network gets for a batch of requests over the link."""
        member = self.members[index]
        if index == 0 or self.link is None or member.where == self.members[index - 1].where:
            return 0.0, 0.0
        size, passes = self.passes[index]
        each = member.input_bytes if self.handover_bytes is None else self.handover_bytes
        return each * size * passes, self.link.seconds(each * size) * passes

    def summary(self) -> dict[str, Any]:
        """Return latency, throughput and memory of the whole.

        ``latency_s`` is the mean over requests: ``sum passes*time + link``; ``latency_all_s`` that of a request that
        needs every network. Throughput: each device and the link serve one batch after the other, all of them at once,
        and the busiest decides: ``batch/max(sum of its networks' busy time)``.
        """
        rows = self.rows()
        busy = self._busy(rows)
        slowest = max(busy, key=lambda name: busy[name])
        joules = [row["joules"] for row in rows]
        return {
            "latency_s": plain_time(self._latency(rows, full=False)),
            "latency_all_s": plain_time(self._latency(rows, full=True)),
            "requests_per_s": self.batch / busy[slowest],
            "bottleneck": slowest,
            "busy_s": busy,
            "joules_per_request": None if None in joules else sum(joules) / self.batch,
            "devices": self._memory(rows),
        }

    def _busy(self, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
        found: dict[str, float] = {}
        for row in rows:
            name = row["device"]
            found[name] = found.get(name, 0.0) + row["busy_s"]
        if any(row["link_s"] for row in rows):
            found["link"] = sum(row["link_s"] for row in rows)
        return found

    def _latency(self, rows: Sequence[dict[str, Any]], *, full: bool) -> Time:
        """Return the time of all networks in turn; on one device errors go together within and half between."""
        times: list[Time] = []
        for row, answer in zip(rows, self.answers, strict=True):
            passes = max(row["passes"], 1.0) if full else row["passes"]
            t = answer.latency
            times.append(Time(*(float(v) * passes for v in (t.bound, t.expected, t.p10, t.p90))))
            if row["link_s"]:
                times.append(certain(row["link_s"] * (passes / row["passes"])))
        return times_in_turn(times)

    def _memory(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the memory of each device: weights of all its networks, activations of the largest, the runtime."""
        found: dict[str, dict[str, Any]] = {}
        for member, row in zip(self.members, rows, strict=True):
            name = member.where
            chip = member.setup.machine.chip
            overhead = GPU_RUNTIME_BYTES if member.setup.device.kind == "gpu" else 0.0
            place = found.setdefault(name, {
                "device": name, "capacity_bytes": float(chip.memory_bytes), "weights_bytes": 0.0,
                "activation_bytes": 0.0, "overhead_bytes": overhead, "networks": [],
            })  # fmt: skip
            if row["network"] not in place["networks"]:
                place["weights_bytes"] += row["weights_bytes"]
                place["networks"].append(row["network"])
            place["activation_bytes"] = max(place["activation_bytes"], row["activation_bytes"])
        for place in found.values():
            used = place["weights_bytes"] + place["activation_bytes"] + place["overhead_bytes"]
            place |= {"used_bytes": used, "fits": used <= place["capacity_bytes"]}
        return list(found.values())


def parse_cascade(text: str) -> list[tuple[str, float]]:
    """Return the networks of ``"detector:1,classifier:5"`` with the samples a request that each runs on.

    Errors: :class:`InputError` for anything else.
    """
    from perfmodel.arguments import positive

    found: list[tuple[str, float]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, colon, runs = (piece.strip() for piece in part.rpartition(":"))
        if not colon:
            name, runs = part, "1"
        if not name:
            raise InputError(f"'{part}' is not NETWORK:RUNS, such as mobilenetv2_100:0.3")
        found.append((name, positive(f"runs of {name}", runs)))
    if not found:
        raise InputError("a pipeline has at least one network, such as yolov5s:1,resnet50:3")
    return found
