"""Products by look-up tables in SRAM: tables of sums replace multiplications, at any width of weights.

Source: Zhang et al., SAIL, arXiv 2509.25853, 2025 (tables of weights in cache slices, looked up by the bits of inputs);
Wei et al., T-MAC, arXiv 2407.00088, 2024 (tables of inputs, looked up by the bits of weights).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Engine
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, ceil, maximum
from perfmodel.ops import Linear, Operator
from perfmodel.specs.schema import Block, Quantity, Text, Whole

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

_SPREAD = 0.54
"""Nothing was compared with it: half or twice in nine cases of ten."""


@register
@dataclass(frozen=True)
class Lookup(Engine):
    """Look-ups and additions of ``lanes`` columns at a clock; tables of sums of ``group`` numbers.

    ``entry_cycles``: to make one entry of a table, ``lookup_cycles``: to look one up and add it, in each lane.
    ``tables_of_weights``: made once for all vectors of a batch, indexed by the inputs' bits; otherwise made of each
    vector's inputs once for all outputs, indexed by the weights' bits.
    """

    lanes: Number
    clock_hz: Number
    group: Number = 4
    entry_cycles: Number = 1.0
    lookup_cycles: Number = 1.0
    tables_of_weights: bool = True

    NAME = "lookup"
    RULE = Block(
        {"lanes": Whole(), "clock": Quantity("hertz")},
        {
            "group": Whole(),
            "entry_cycles": Whole(),
            "lookup_cycles": Whole(),
            "tables": Text(("weights", "inputs")),
        },
    )
    SAMPLES = (
        {"lanes": 65536, "clock": "1 GHz", "group": 4, "entry_cycles": 12, "lookup_cycles": 16, "tables": "weights"},
        {"lanes": 4096, "clock": "2 GHz", "tables": "inputs"},
    )
    FASTER = ("lanes", "clock_hz")

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        del chip
        settings = {{"clock": "clock_hz"}.get(k, k): v for k, v in values.items() if k != "tables"}
        return cls(**settings, tables_of_weights=values.get("tables", "weights") == "weights")

    @property
    def peak_scale(self) -> Number | None:
        return self.lanes * self.clock_hz

    def runs(self, op: Operator) -> bool:
        return isinstance(op, Linear) and op.format.weight.bits <= 8

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return ``max((entries*c_e + lookups*c_l)/(lanes*clock), weight bytes/bandwidth)``.

        Of m vectors, n outputs, k inputs in groups of g: tables of weights ``entries = n*ceil(k/g)*2^g``, ``lookups =
        m*n*ceil(k/g)*input bits``; tables of inputs ``m*ceil(k/g)*2^g`` and ``m*n*ceil(k/g)*weight bits``. Omits:
        moving weights from the cache's slice to its columns, conversion of results.
        """
        assert isinstance(op, Linear)
        cycles = self._entries(op) * self.entry_cycles + self._lookups(op) * self.lookup_cycles
        return maximum(cycles / (self.lanes * self.clock_hz), _stream_s(op, chip))

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        """Return the look-ups alone, a cycle each, against the weights' way from main memory."""
        assert isinstance(op, Linear)
        lookups = self._lookups(op) / (self.lanes * self.clock_hz)
        return Bound(lookups, _stream_s(op, chip), 0.0)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        return _SPREAD, _SPREAD

    def _groups(self, op: Linear) -> Number:
        return ceil(op.k / self.group)

    def _entries(self, op: Linear) -> Number:
        return self._groups(op) * 2.0**self.group * (op.n if self.tables_of_weights else op.m)

    def _lookups(self, op: Linear) -> Number:
        bits = op.format.activation.bits if self.tables_of_weights else op.format.weight.bits
        return op.m * op.n * self._groups(op) * bits


def _stream_s(op: Linear, chip: ChipFacts) -> Number:
    return op.n * op.k * op.format.weight.bytes_per_element / chip.memory_bandwidth_bytes_per_s
