"""Networks with early exits: what a sample costs on average, and a batch that runs until its last sample has left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from perfmodel.deployment.timing import TimedNetwork, pass_of, plain_time, timed_network
from perfmodel.errors import InputError
from perfmodel.plan.tensors import KernelGraph, kernel_graph, stored
from perfmodel.serving.network import NetworkSetup
from perfmodel.workloads.network import Network

END = "end"
"""The name of a network's own end among its exits."""


@dataclass(frozen=True)
class ExitPlan:
    """A network on a device whose samples leave with these ``shares`` at its exits, in order, the last at its end.

    ``decision_s`` is what it takes to decide at an exit whether to leave (to read its result on the host, say). Not
    ``lazy``: all that the network lists before an exit has run there, whether or not the exit needs it.
    """

    setup: NetworkSetup
    shares: tuple[float, ...]
    decision_s: float = 0.0
    lazy: bool = True

    def __post_init__(self) -> None:
        if len(self.setup.pipeline.stages) != 1:
            raise InputError("exits are those of a single network")
        names = [e.name for e in self.network.exits]
        if not names:
            raise InputError(f"{self.network.name} has no exits; --exit-at BLOCK=SHARE adds some")
        if len(self.shares) != len(names) + 1:
            raise InputError(f"{self.network.name} leaves at {', '.join(names)} and its end: {len(names) + 1} shares")
        if any(s < 0 for s in self.shares) or abs(sum(self.shares) - 1.0) > 1e-6:
            raise InputError(f"the shares of the exits and the end must add up to 1, not {sum(self.shares):g}")

    @property
    def network(self) -> Network:
        """Return the network."""
        return self.setup.pipeline.stages[0].network

    @cached_property
    def _graph(self) -> KernelGraph:
        chip = self.setup.machine.chip
        peaks = frozenset((*chip.peaks, *chip.sparse_peaks))
        return kernel_graph(self.network, self.setup.schedules[0], self.setup.plan, peaks)

    @cached_property
    def _home(self) -> dict[int, int]:
        return {node: k for k, kernel in enumerate(self._graph.kernels) for node in kernel.nodes}

    def _needed(self, values: Iterable[int]) -> frozenset[int]:
        """Return the kernels that some values need."""
        homes = (self._home.get(stored(self.network, value, self._home)) for value in values)
        waiting = [home for home in homes if home is not None]
        found: set[int] = set()
        while waiting:
            kernel = waiting.pop()
            if kernel not in found:
                found.add(kernel)
                waiting += self._graph.before[kernel]
        return frozenset(found)

    @cached_property
    def depths(self) -> list[tuple[str, frozenset[int]]]:
        """Each exit with the kernels that have run when a sample leaves there, the network's end last.

        Lazy, only what the exit and those before it need has run (MSDNet, arXiv 1703.09844, section 4).
        """
        exits = sorted(self.network.exits, key=lambda e: e.at)
        needed = [(e.name, self._needed([e.at] if self.lazy else range(e.at + 1))) for e in exits]
        needed.append((END, self._needed(self.network.outputs)))
        run = accumulate((kernels for _, kernels in needed), lambda a, b: a | b)
        return [(name, kernels) for (name, _), kernels in zip(needed, run, strict=True)]

    def rows(self, batch: float = 1.0) -> list[dict[str, Any]]:
        """Return one row an exit: the share that leaves there, and what a batch costs that leaves there."""
        timed, last = timed_network(self.setup, batch), len(self.shares) - 1
        return [
            {"exit": name, "share": share, **self._cost(timed, run, batch, decisions=min(index + 1, last))}
            for index, ((name, run), share) in enumerate(zip(self.depths, self.shares, strict=True))
        ]

    def without_exits(self, batch: float = 1.0) -> dict[str, Any]:
        """Return what a batch costs that runs what the network's end needs, and no exit."""
        run = self._needed(self.network.outputs)
        return self._cost(timed_network(self.setup, batch), run, batch, decisions=0)

    def _cost(self, timed: TimedNetwork, run: frozenset[int], batch: float, *, decisions: int) -> dict[str, Any]:
        kernels = [timed.kernels[k] for k in sorted(run)]
        joules = [k.joules for k in kernels if k.joules is not None]
        idle = self.setup.energy_facts.static_w * self.decision_s * decisions if self.setup.energy_facts else 0.0
        matmul = sum(float(k.counts.filter_flops(engine="tensor").total_flops()) for k in kernels)
        return {
            "kernels": len(kernels),
            "macs": matmul / 2.0 / batch,
            "latency_s": plain_time(pass_of(timed, kernels, self.decision_s * decisions)),
            "joules": sum(joules) + (timed.start_joules or 0.0) + idle if timed.joules is not None else None,
        }

    def of_batch(self, batch: int) -> dict[str, Any]:
        """Return what a batch costs that runs together until its last sample has left.

        With the share F(k) of samples that have left by exit k, all n of a batch have with probability ``F(k)^n``
        (samples leave independently of each other): the batch ends there with ``F(k)^n - F(k-1)^n``.
        """
        left = [min(f, 1.0) ** batch for f in accumulate(self.shares)]
        left[-1] = 1.0
        ends = [b - a for a, b in zip([0.0, *left[:-1]], left, strict=True)]
        return {"probabilities": ends, **expected(self.rows(batch), ends)}

    def shrinking(self, batch: int) -> dict[str, Any]:
        """Return what a batch costs from which samples are taken out where they leave, the others going on together.

        Of n samples ``n*(1 - F)`` go on in the mean, and any with probability ``1 - F^n``: the part behind an exit
        costs that times what it costs for the mean number of samples of a batch that goes on. Energy likewise.
        """
        seconds, joules, before = 0.0, 0.0, 0.0
        done: frozenset[int] = frozenset()
        known = True
        for (_, run), share in zip(self.depths, self.shares, strict=True):
            anyone = 1.0 - min(before, 1.0) ** batch
            if anyone > 0.0:
                timed = timed_network(self.setup, max(batch * (1.0 - before) / anyone, 1.0))
                kernels = [timed.kernels[k] for k in run - done]
                starts = timed.start_s if not done else 0.0
                seconds += anyone * (sum(k.expected_s for k in kernels) + starts + self.decision_s * (share < 1.0))
                known = known and timed.joules is not None
                joules += anyone * sum(k.joules or 0.0 for k in kernels)
            done, before = run, before + share
        return {"expected_s": seconds, "samples_per_s": batch / seconds, "joules": joules if known else None}


def expected(rows: Sequence[dict[str, Any]], weights: Sequence[float]) -> dict[str, Any]:
    """Return means over exits: ``sum weight*cost``; bands too, for the exits share their kernels' errors."""
    pairs = list(zip(weights, rows, strict=True))
    times = {
        name: sum(w * row["latency_s"][name] for w, row in pairs) for name in ("expected", "bound", "p10", "p90")
    }  # fmt: skip
    joules = [row["joules"] for row in rows]
    return {
        "latency_s": times,
        "joules": None if None in joules else sum(w * row["joules"] for w, row in pairs),
        "macs": sum(w * row["macs"] for w, row in pairs),
        "kernels": sum(w * row["kernels"] for w, row in pairs),
    }
