"""Streaming dataflow: the operators of a region run at the same time on parts of the chip, bytes cross at its edges.

Source: Prabhakar et al., SambaNova SN40L, MICRO 2024 (arXiv:2405.07518: decoder layers fused into one region); Abts et
al., ISCA 2020 (Groq's stream processor). The slowest stage of a pipeline sets its pace; how evenly the chip's units can
be dealt out decides how slow that is. Shares of the peaks are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Engine, arithmetic_s, device_bound, main_bytes, matrix_dtypes, parts_of
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, floor, maximum, total
from perfmodel.ops import Collective, Operator
from perfmodel.specs.schema import Block, Quantity, Real, Whole

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine


@register
@dataclass(frozen=True)
class Dataflow(Engine):
    """``units`` that are dealt out to the stages of a region, which stream their data in ``tiles`` pieces.

    ``region_s``: what it takes to start an operator's region, or to enter the next stage of one that is fused further
    than operators tell; ``compute_efficiency``, ``memory_efficiency``: shares of the peaks; ``install_bytes_per_s``:
    the rate at which weights enter the units (None: as fast as memory).
    """

    dtypes: frozenset[str]
    units: Number
    tiles: Number = 32.0
    region_s: Number = 0.0
    compute_efficiency: Number = 0.7
    memory_efficiency: Number = 0.75
    install_bytes_per_s: Number | None = None

    NAME = "dataflow"
    FUSION: ClassVar[str] = "block"
    RULE = Block(
        {"units": Whole()},
        {
            "tiles": Whole(),
            "region": Quantity("seconds"),
            "compute_efficiency": Real(),
            "memory_efficiency": Real(),
            "install": Quantity("bytes_per_s"),
        },
    )
    SAMPLES = ({"units": 1040, "region": "2 us"}, {"units": 16, "tiles": 8, "install": "0.5 TB/s"})
    FASTER = ("compute_efficiency", "memory_efficiency")

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        named = {"region": "region_s", "install": "install_bytes_per_s"}
        settings = {named.get(key, key): value for key, value in values.items()}
        return cls(frozenset((*chip.peaks, *chip.sparse_peaks)), **settings)

    @property
    def start_s(self) -> Number:
        return self.region_s

    def runs(self, op: Operator) -> bool:
        return not isinstance(op, Collective) and matrix_dtypes(op) <= self.dtypes

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return ``region + max(slowest stage*(1 + (stages - 1)/tiles), bytes at the edges/(efficiency*bandwidth))``.

        Each stage has its share of the units, whole ones and at least one: ``max(floor(units*work_i/work), 1)``.
        Edges: weights that do not stay, and the activations that the chip cannot hold.
        """
        peaks = {**chip.sparse_peaks, **chip.peaks}
        work = [arithmetic_s(part, peaks, chip.vector_flops_per_s) for part in parts_of(op)]
        slowest = self.slowest_s(work) * (1.0 + (len(work) - 1.0) / self.tiles)
        edges = main_bytes(op, machine, chip.on_chip_bytes) / chip.memory_bandwidth_bytes_per_s
        busy = maximum(slowest / self.compute_efficiency, edges / self.memory_efficiency)
        if self.install_bytes_per_s is not None:
            weights = total(value for key, value in op.counts().bytes.items() if key.role == "weight")
            busy = maximum(busy, weights / self.install_bytes_per_s)
        return self.region_s + busy

    def slowest_s(self, work: list[Number]) -> Number:
        """Return the seconds of the slowest stage, from what each would take on all units."""
        if len(work) == 1:
            return work[0]
        whole = maximum(total(work), 1e-30)
        slowest: Number = 0.0
        for each in work:
            own = maximum(floor(self.units * each / whole), 1.0)
            slowest = maximum(slowest, each * self.units / own)
        return slowest

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, chip, machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        """Return an error of a half or twice in four of five: of single operators nothing is published."""
        return 0.54, 0.54
