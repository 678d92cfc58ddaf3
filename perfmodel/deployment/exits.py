"""Networks with early exits: what a sample costs on average, and a batch that runs until its last sample has left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from perfmodel.deployment.timing import TimedKernel, TimedNetwork, plain_time, time_of, timed_network
from perfmodel.errors import InputError
from perfmodel.plan.tensors import kernel_graph
from perfmodel.serving.network import NetworkSetup
from perfmodel.serving.timed import Time
from perfmodel.workloads.network import Network

FINAL = "end"


@dataclass(frozen=True)
class ExitPlan:
    """A network on a device whose samples leave with these ``shares`` at its exits, in order, the last at its end.

    ``decision_s`` is what it takes to decide at an exit whether to leave (reading the result back, say).
    """

    setup: NetworkSetup
    shares: tuple[float, ...]
    decision_s: float = 0.0

    def __post_init__(self) -> None:
        if len(self.setup.pipeline.stages) != 1:
            raise InputError("exits are those of a single network")
        names = [e.name for e in self.network.exits]
        if not names:
            raise InputError(f"{self.network.name} has no exits; --exit-at BLOCK=SHARE adds some")
        if len(self.shares) != len(names) + 1:
            raise InputError(f"{self.network.name} has exits {', '.join(names)} and its end: {len(names) + 1} shares")
        if any(s < 0 for s in self.shares) or abs(sum(self.shares) - 1.0) > 1e-6:
            raise InputError(f"the shares of the exits and the end must add up to 1, not {sum(self.shares):g}")

    @property
    def network(self) -> Network:
        """Return the network."""
        return self.setup.pipeline.stages[0].network

    def depths(self) -> list[tuple[str, frozenset[int]]]:
        """Return each exit's name and the kernels that have run when a sample leaves there, its end the last.

        Only what the exit and those before it need has run: lazy evaluation (MSDNet, arXiv 1703.09844, section 4).
        """
        chip = self.setup.machine.chip
        (schedule,) = self.setup.schedules
        peaks = frozenset((*chip.peaks, *chip.sparse_peaks))
        graph = kernel_graph(self.network, schedule, self.setup.plan, peaks)
        home = {node: k for k, kernel in enumerate(schedule) for node in kernel.nodes}
        places = [(e.name, (e.at,)) for e in sorted(self.network.exits, key=lambda e: e.at)]
        places.append((FINAL, self.network.outputs))
        run: set[int] = set()
        found: list[tuple[str, frozenset[int]]] = []
        for name, values in places:
            waiting = [home[owner] for value in values if (owner := self._owner(value, home)) in home]
            while waiting:
                kernel = waiting.pop()
                if kernel not in run:
                    run.add(kernel)
                    waiting += graph.before[kernel]
            found.append((name, frozenset(run)))
        return found

    def _owner(self, value: int, home: dict[int, int]) -> int:
        while value >= 0 and value not in home and self.network.nodes[value].inputs:
            value = self.network.nodes[value].inputs[0]
        return value

    def rows(self, batch: float = 1.0) -> list[dict[str, Any]]:
        """Return one row an exit: how many leave there, and what a batch that leaves there has cost."""
        timed = timed_network(self.setup, batch)
        return [
            {"exit": name, "share": share, **self._cost(timed, run, passed, batch)}
            for passed, ((name, run), share) in enumerate(zip(self.depths(), self.shares, strict=True))
        ]

    def _cost(self, timed: TimedNetwork, run: frozenset[int], passed: int, batch: float) -> dict[str, Any]:
        kernels = [timed.kernels[k] for k in sorted(run)]
        waited = timed.start_s + self.decision_s * min(passed + 1, len(self.shares) - 1)
        return {
            "kernels": len(kernels),
            "macs": sum(_macs(k) for k in kernels) / batch,
            "parameters": self._parameters(kernels),
            "latency_s": plain_time(_later(time_of(kernels), waited)),
            "joules": _joules(kernels, timed),
        }

    def _parameters(self, kernels: Sequence[TimedKernel]) -> int:
        """Return the parameters of all nodes of some kernels, and of the norms folded into them."""
        nodes = {node for k in kernels for node in k.kernel.nodes}
        folded = {node for s in self.setup.schedules for k in s for node in k.nodes}
        return sum(
            int(node.parameters)
            for index, node in enumerate(self.network.nodes)
            if index in nodes or (index not in folded and self._owner(index, dict.fromkeys(folded, 0)) in nodes)
        )

    def without_exits(self, batch: float = 1.0) -> dict[str, Any]:
        """Return what the network costs without its exits: all that its end needs."""
        bare = ExitPlan.__new__(ExitPlan)
        object.__setattr__(bare, "setup", self.setup)
        raise NotImplementedError

    def expected(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the means over samples that run alone: ``sum share*cost`` of the exits (the rows of a batch of 1)."""
        return weighted(rows, self.shares)

    def of_batch(self, rows: Sequence[dict[str, Any]], batch: int) -> dict[str, Any]:
        """Return the means of a batch that runs together until its last sample has left.

        With the share F of samples that have left by an exit, a batch of n is through there with probability ``F^n``
        (samples are independent): it leaves there with ``F(k)^n - F(k-1)^n``. ``rows`` are those of this batch.
        """
        left = [min(f, 1.0) ** batch for f in accumulate(self.shares)]
        left[-1] = 1.0
        ends = [b - a for a, b in zip([0.0, *left], left, strict=False)]
        found = weighted(rows, ends)
        return {**found, "probabilities": ends, "samples_per_s": batch / found["latency_s"]["expected"]}
