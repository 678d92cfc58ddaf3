"""Roofline over several tiers: arithmetic against the traffic of each memory, all at once.

Source: Williams, Waterman, Patterson, CACM 52(4), 2009 (roofline); Yang, Kurth, Williams, CCPE 32(20), 2020 (a ceiling
for each level of the hierarchy).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import (
    Engine,
    arithmetic_s,
    device_bound,
    main_bytes,
    matrix_dtypes,
    reuse_bytes,
    split_bytes,
)
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.devices.schema import DTYPES
from perfmodel.numeric import Number, maximum
from perfmodel.ops import Collective, Operator
from perfmodel.specs.schema import Block, Quantity, Real, Table

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

_CACHES = ("cache", "last_level_cache", "scratchpad")


@register
@dataclass(frozen=True)
class Roofline(Engine):
    """Datasheet peaks, each at a share that good kernels reach; what the block leaves out is the chip's own.

    ``peaks``: matrix flop/s by dtype; ``vector``: other flop/s; ``bandwidth``: of the main memory; ``issue_s``: start
    of one operator; ``caches``: (capacity in bytes, bandwidth in bytes/s) of the chip's other tiers, smallest first.
    The default shares and the spread (an error of a half or of twice, in four of five) are assumed, not measured.
    """

    dtypes: frozenset[str]
    peaks: Mapping[str, Number] | None = None
    vector: Number | None = None
    bandwidth: Number | None = None
    compute_efficiency: Number = 0.7
    memory_efficiency: Number = 0.8
    issue_s: Number = 0.0
    held_bytes: Number = 0.0
    caches: tuple[tuple[Number, Number], ...] = ()

    NAME = "roofline"
    RULE = Block(
        {},
        {
            "peaks": Table(Quantity("flops_per_s"), DTYPES, least=1),
            "vector": Quantity("flops_per_s"),
            "bandwidth": Quantity("bytes_per_s"),
            "compute_efficiency": Real(),
            "memory_efficiency": Real(),
            "issue": Quantity("seconds"),
        },
    )
    SAMPLES = (
        {},
        {"peaks": {"bfloat16": "100 TFLOP/s"}, "vector": "1 TFLOP/s", "bandwidth": "0.5 TB/s", "issue": "2 us"},
    )
    FASTER = ("compute_efficiency", "memory_efficiency", "held_bytes")

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        settings = {("issue_s" if key == "issue" else key): value for key, value in values.items()}
        caches = sorted((t.capacity_bytes, t.bandwidth_bytes_per_s or 0.0) for t in chip.tiers if t.role in _CACHES)
        return cls(
            frozenset(settings.get("peaks") or (*chip.peaks, *chip.sparse_peaks)),
            **settings, held_bytes=chip.on_chip_bytes, caches=tuple(caches),
        )  # fmt: skip

    @property
    def own_memory(self) -> bool:
        return self.bandwidth is not None

    @property
    def start_s(self) -> Number:
        return self.issue_s

    def runs(self, op: Operator) -> bool:
        return not isinstance(op, Collective) and matrix_dtypes(op) <= self.dtypes

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return ``issue + max(flops/(efficiency*peak), bytes_i/(efficiency*bandwidth_i) of each tier i)``.

        Main memory moves weights, caches and the activations that the chip cannot hold; every tier at least what the
        products draw through it into the next faster one (:func:`reuse_bytes`), a cache also all operands.
        """
        chip = self._seen(chip)
        longest = (
            arithmetic_s(op, {**chip.sparse_peaks, **chip.peaks}, chip.vector_flops_per_s) / self.compute_efficiency
        )
        moved = main_bytes(op, machine, self.held_bytes)
        for i, (capacity, bandwidth) in enumerate(self.caches):
            if bandwidth:
                above = reuse_bytes(op, self.caches[i - 1][0]) if i else 0.0
                longest = maximum(longest, maximum(sum(split_bytes(op, machine)), above) / bandwidth)
            moved = maximum(moved, reuse_bytes(op, capacity)) if i == len(self.caches) - 1 else moved
        return self.issue_s + maximum(longest, moved / (self.memory_efficiency * chip.memory_bandwidth_bytes_per_s))

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, self._seen(chip), machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        return 0.54, 0.54

    def _seen(self, chip: ChipFacts) -> ChipFacts:
        """Return the chip with the numbers that the block states in place of its own."""
        return replace(
            chip,
            peaks=chip.peaks if self.peaks is None else self.peaks,
            vector_flops_per_s=chip.vector_flops_per_s if self.vector is None else self.vector,
            memory_bandwidth_bytes_per_s=(
                chip.memory_bandwidth_bytes_per_s if self.bandwidth is None else self.bandwidth
            ),
        )
