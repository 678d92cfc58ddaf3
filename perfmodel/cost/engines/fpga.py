"""A field-programmable gate array: DSP slices at a clock, and memory in many narrow channels.

Source: first principles; slices, their packing of narrow products and channels from the vendor's datasheets (Xilinx
WP486: two 8-bit products a DSP48E2). Shares of the peaks are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Engine, arithmetic_s, device_bound, main_bytes, matrix_dtypes, reuse_bytes
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.devices.schema import DTYPES
from perfmodel.numeric import Number, ceil, maximum
from perfmodel.ops import Collective, Linear, Operator
from perfmodel.specs.schema import Block, Quantity, Real, Table, Whole

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine


@register
@dataclass(frozen=True)
class Fpga(Engine):
    """``dsps`` slices at ``clock_hz`` that do ``products`` multiply-adds a cycle by dtype (under 1: several make one).

    ``channels`` of memory share a matrix row by row. ``used``: share of the slices that a design that closes timing
    keeps busy; ``streamed``: share of a channel's rate that long bursts reach; ``vector_lanes``: element-wise
    operations a cycle of all logic.
    """

    dsps: Number
    clock_hz: Number
    products: Mapping[str, Number]
    channels: Number
    used: Number = 0.6
    streamed: Number = 0.85
    vector_lanes: Number = 1024.0
    issue_s: Number = 0.0

    NAME = "fpga"
    RULE = Block(
        {
            "dsps": Whole(), "clock": Quantity("hertz"), "products": Table(Real(), DTYPES, least=1),
            "channels": Whole(),
        },
        {"used": Real(), "streamed": Real(), "vector_lanes": Whole(), "issue": Quantity("seconds")},
    )  # fmt: skip
    SAMPLES = (
        {
            "dsps": 9024, "clock": "300 MHz", "products": {"int8": 2, "float16": 0.5, "float32": 0.2}, "channels": 32,
            "issue": "1 us",
        },
    )  # fmt: skip
    FASTER = ("dsps", "clock_hz", "used", "streamed")

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        del chip
        named = {"clock": "clock_hz", "issue": "issue_s"}
        return cls(**{named.get(key, key): value for key, value in values.items()})

    @property
    def peak_scale(self) -> Number | None:
        return self.dsps * self.clock_hz

    @property
    def start_s(self) -> Number:
        return self.issue_s

    def runs(self, op: Operator) -> bool:
        return not isinstance(op, Collective) and matrix_dtypes(op) <= frozenset(self.products)

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return ``issue + max(flops/(used*peak), bytes/(streamed*bandwidth)*imbalance)``.

        ``imbalance = ceil(n/channels)*channels/n`` of a matrix of n outputs. Bytes: weights, the activations beyond
        the on-chip memory, and what products re-read through it.
        """
        seen = self._seen(chip)
        math = arithmetic_s(op, seen.peaks, seen.vector_flops_per_s) / self.used
        moved = main_bytes(op, machine, chip.on_chip_bytes)
        moved = maximum(moved, reuse_bytes(op, maximum(chip.on_chip_bytes, 1024.0)))
        uneven = ceil(op.n / self.channels) * self.channels / op.n if isinstance(op, Linear) else 1.0
        return self.issue_s + maximum(math, moved * uneven / (self.streamed * chip.memory_bandwidth_bytes_per_s))

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, self._seen(chip), machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        """Return an error of a half or twice in four of five: designs differ that much, and none was measured."""
        return 0.54, 0.54

    def _seen(self, chip: ChipFacts) -> ChipFacts:
        """Return the chip with the peaks of its slices."""
        rate = 2.0 * self.dsps * self.clock_hz
        peaks = {dtype: rate * each for dtype, each in self.products.items()}
        return replace(chip, peaks=peaks, sparse_peaks={}, vector_flops_per_s=self.vector_lanes * self.clock_hz)
