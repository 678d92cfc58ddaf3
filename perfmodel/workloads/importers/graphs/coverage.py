"""How much of an imported graph is counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from perfmodel.workloads.importers.graphs.writer import UNSUPPORTED
from perfmodel.workloads.network import Network


@dataclass(frozen=True)
class Missing:
    """Nodes of one kind that are not counted; ``flops`` is one for each element they write, where that is known."""

    kind: str
    count: int
    reason: str
    flops: float


@dataclass(frozen=True)
class Coverage:
    """Nodes of a network that are counted and not, ``flops`` of a sample that are, and what is missing by kind."""

    supported: int
    unsupported: int
    flops: float
    missing: tuple[Missing, ...]

    @property
    def missing_flops(self) -> float:
        """Return the least flops of what is not counted: one an element written."""
        return sum(kind.flops for kind in self.missing)

    @property
    def share(self) -> float:
        """Return the share of flops that are counted, at best: what is missing may take more than its least."""
        everything = self.flops + self.missing_flops
        return self.flops / everything if everything else 1.0


def coverage(network: Network) -> Coverage:
    """Return how much of a network is counted; all of it for one that was not imported."""
    written: Counter[str] = Counter()
    stand_ins = 0
    for node in network.nodes:
        if node.kind.startswith(UNSUPPORTED):
            stand_ins += 1
            written[node.kind.removeprefix(UNSUPPORTED)] += int(node.elements)
    missing = [Missing(u.kind, u.count, u.reason, float(written.pop(u.kind, 0))) for u in network.unsupported]
    return Coverage(
        len(network.nodes) - stand_ins,
        sum(entry.count for entry in network.unsupported),
        float(network.flops),
        tuple(missing),
    )
