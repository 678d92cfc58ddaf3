"""Processing in memory: units in the banks, beside bank groups, on the logic die, or in flash.

The formulas are those of :mod:`perfmodel.cost.in_memory`; level, parallelism and timings come from the device's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.energy import Joules
from perfmodel.cost.engines.base import Engine
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.in_memory import Array, Timing, attention_s, gemv_s, least_s
from perfmodel.errors import InputError
from perfmodel.numeric import Number, maximum, total
from perfmodel.ops import AttentionDecode, Experts, Linear, Operator
from perfmodel.specs.schema import Block, Flag, Listing, Quantity, Text, Whole

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

LEVELS = ("bank", "bank-group", "logic-die", "flash", "processor")
"""Where the units are; ``processor``: a small processor beside each bank (UPMEM)."""

_SIMULATED, _ASSUMED = (0.10, 0.26), (0.54, 0.54)
"""Spreads: of levels whose cycle simulators the formulas equal within 5 % (real parts are not measured, and slower),
and of those that nothing was compared with: half or twice in nine cases of ten."""

_SECONDS = ("row", "input", "turnaround", "output", "gather", "mode_switch")
_NAMED = {"mode_switch": "mode_s"}
_DTYPES = ("float32", "float16", "bfloat16", "fp8", "int8", "int4")


@register
@dataclass(frozen=True)
class Pim(Engine):
    """Matrix-vector products where the matrix is stored; weights and caches of ``dtypes`` alone.

    ``j_per_byte``: of a byte from its cell through the unit; without it energy comes from the device's coefficients.
    """

    array: Array
    level: str = "bank"
    dtypes: tuple[str, ...] = ("float16", "bfloat16")
    j_per_byte: Number | None = None

    NAME = "pim"
    RULE = Block(
        {
            "level": Text(LEVELS),
            "channels": Whole(),
            "units": Whole(),
            "mac": Quantity("seconds"),
            "dtypes": Listing(Text(_DTYPES), least=1),
        },
        {
            **{name: Quantity("seconds") for name in _SECONDS},
            "split": Whole(),
            "column": Quantity("bytes"),
            "row_size": Quantity("bytes"),
            "results": Whole(),
            "input_buffer": Quantity("bytes"),
            "order": Text(("outputs-first", "inputs-first")),
            "whole_tiles": Flag(),
            "own_rows": Flag(),
            "overlapped": Flag(),
            "rows_ahead": Whole(0),
            "shared": Whole(),
            "keys": Text(("a-head-a-channel", "spread")),
            "refresh_cycle": Quantity("seconds"),
            "refresh_interval": Quantity("seconds"),
            "energy": Quantity("joules_per_byte"),
        },
    )
    SAMPLES = (
        {
            "level": "bank", "channels": 64, "units": 8, "mac": "4 ns", "row": "29 ns", "input": "4 ns",
            "turnaround": "15 ns", "output": "4 ns", "refresh_cycle": "350 ns", "refresh_interval": "3900 ns",
            "mode_switch": "300 ns", "results": 8, "input_buffer": "256 B", "order": "outputs-first",
            "whole_tiles": True, "dtypes": ["float16", "bfloat16"], "energy": "1 pJ/bit",
        },
        {
            "level": "logic-die", "channels": 32, "units": 2, "mac": "0.4 ns", "row": "40 ns", "rows_ahead": 31,
            "overlapped": True, "shared": 8, "dtypes": ["bfloat16", "float16", "int8", "fp8"],
        },
        {
            "level": "bank", "channels": 32, "units": 16, "mac": "1 ns", "row": "44 ns", "gather": "90 ns",
            "own_rows": True, "keys": "spread", "row_size": "2 KiB", "input_buffer": "2 KiB", "results": 32,
            "dtypes": ["bfloat16"],
        },
    )  # fmt: skip

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        timing = Timing(
            mac_s=values["mac"],
            refresh=_refresh(values, chip),
            **{_NAMED.get(name, f"{name}_s"): values[name] for name in _SECONDS if name in values},
        )
        column = values.get("column", 32.0)
        columns = values.get("row_size", 1024.0) / column
        array = Array(
            timing, values["channels"], values["units"], values.get("split", 1), column, columns,
            values.get("results", 1), values.get("input_buffer", columns * column) / column,
            outputs_first=values.get("order") == "outputs-first", whole_tiles=values.get("whole_tiles", False),
            own_rows=values.get("own_rows", False), overlapped=values.get("overlapped", False),
            rows_ahead=values.get("rows_ahead", 0), shared=values.get("shared", 1),
            spread_keys=values.get("keys") == "spread",
        )  # fmt: skip
        return cls(array, values["level"], tuple(values["dtypes"]), values.get("energy"))

    @property
    def own_memory(self) -> bool:
        return True

    def runs(self, op: Operator) -> bool:
        if isinstance(op, (Linear, Experts)):
            return op.format.weight.dtype in self.dtypes and op.format.compute in self.dtypes
        return isinstance(op, AttentionDecode) and op.cache.dtype in self.dtypes and op.dtype in self.dtypes

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return the seconds of the commands; experts follow one another, their matrices over all channels."""
        if isinstance(op, AttentionDecode):
            heads, queries = op.batch * op.kv_heads, op.heads / op.kv_heads
            return attention_s(self.array, heads, queries, op.visible(), op.head_dim, op.cache.bytes_per_element)
        return total(times * gemv_s(self.array, n, k, m, size) for times, n, k, m, size in _products(op))

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        """Return what the internal bandwidth leaves; the units are made for it, so that they bound no more."""
        if isinstance(op, AttentionDecode):
            elements = 2.0 * op.batch * op.kv_heads * op.visible() * op.head_dim
            return Bound(0.0, least_s(self.array, elements, op.heads / op.kv_heads, op.cache.bytes_per_element), 0.0)
        memory = total(times * least_s(self.array, n * k, m, size) for times, n, k, m, size in _products(op))
        return Bound(0.0, memory, 0.0)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        return _SIMULATED if self.level in ("bank", "bank-group", "logic-die") else _ASSUMED

    def energy(self, op: Operator, chip: ChipFacts, machine: Machine) -> Joules | None:
        """Return the joules of the bytes that pass the units, products included."""
        if self.j_per_byte is None:
            return None
        passed = self.bound(op, chip, machine).memory_s * self.array.bytes_per_s
        return Joules(0.0, passed * self.j_per_byte, 0.0)


def _refresh(values: Mapping[str, Any], chip: ChipFacts) -> Number:
    cycle, interval = values.get("refresh_cycle", 0.0), values.get("refresh_interval", 0.0)
    if not (isinstance(cycle, float) and isinstance(interval, float)):
        return cycle / interval
    if bool(cycle) != bool(interval) or cycle > 0.5 * interval:
        raise InputError(
            f"{chip.name}: refresh_cycle and refresh_interval of a pim engine go together, and a cycle is under half "
            f"of the interval"
        )
    return cycle / interval if interval else 0.0


def _products(op: Operator) -> list[tuple[Number, Number, Number, Number, Number]]:
    """Return (how often, outputs, inputs, vectors, bytes an element) of an operator's products with stored matrices."""
    if isinstance(op, Linear):
        return [(1.0, op.n, op.k, op.m, op.format.weight.bytes_per_element)]
    assert isinstance(op, Experts)
    rows, touched = op.rank_share()
    each = rows / maximum(touched, 1e-9)
    width, size = op.intermediate / op.tp, op.format.weight.bytes_per_element
    return [
        ((op.matrices - 1.0) * touched, width, op.hidden, each, size),
        (touched, op.hidden, width, each, size),
    ]
