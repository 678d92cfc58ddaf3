"""Systolic arrays: the cycles of fixed dataflows against the words that a buffer cannot keep from main memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import DTYPE_BYTES, Engine, device_bound, main_bytes, matrix_dtypes, parts_of
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.systolic.array import DATAFLOWS, cycles
from perfmodel.cost.systolic.products import Product, products_of
from perfmodel.cost.tiling.gemm import gemm_words
from perfmodel.cost.tiling.policies import fixed_dataflow_words
from perfmodel.numeric import Number, maximum, minimum, sqrt
from perfmodel.ops import BatchedMatmul, Collective, Experts, Linear, Operator
from perfmodel.ops.conv import Convolution
from perfmodel.specs.schema import Block, Flag, Quantity, Real, Text, Whole

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

BEST = "best"
TILINGS = ("optimal", "fixed")
_WEIGHTED = (Linear, BatchedMatmul, Experts)
"""Operators whose operands may be too large for the buffer; attention keeps its scores inside it."""


@register
@dataclass(frozen=True)
class Systolic(Engine):
    """``count`` equal arrays of ``rows`` x ``columns`` multiply-accumulate cells that share every operator's folds.

    ``dataflow`` os, ws, is, or the best of them for each product; ``double_buffered``: the next fold's operand loads
    under the present one. ``sram_bytes`` holds tiles and activations; ``tiling`` says whether products are cut to move
    least (optimal) or stream as the array does, through three buffers of a third each (fixed). Measured arrays may
    carry ``cycle_factor`` and ``issue_s``: ``t = factor*cycles/clock + issue``. A cell does one multiply-accumulate a
    cycle at the dtype whose peak is ``2*rows*columns*count*clock``, and others as fast as their peak says.
    """

    rows: Number
    columns: Number
    clock_hz: Number
    sram_bytes: Number
    dtypes: frozenset[str]
    dataflow: str = "ws"
    count: Number = 1.0
    double_buffered: bool = False
    tiling: str = "optimal"
    memory_efficiency: Number = 0.8
    cycle_factor: Number = 1.0
    issue_s: Number = 0.0

    NAME = "systolic"
    RULE = Block(
        {"rows": Whole(), "columns": Whole()},
        {
            "count": Whole(), "dataflow": Text((*DATAFLOWS, BEST)), "clock": Quantity("hertz"),
            "sram": Quantity("bytes"), "double_buffered": Flag(), "tiling": Text(TILINGS), "memory_efficiency": Real(),
            "cycle_factor": Real(), "issue": Quantity("seconds"),
        },
    )  # fmt: skip
    SAMPLES = (
        {"rows": 128, "columns": 128, "count": 4},
        {"rows": 256, "columns": 256, "dataflow": "best", "double_buffered": True, "sram": "24 MiB"},
        {"rows": 12, "columns": 14, "dataflow": "os", "tiling": "fixed", "sram": "108 KiB", "issue": "1 us"},
    )
    FASTER = ("clock_hz", "memory_efficiency")

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        named = {"clock": "clock_hz", "sram": "sram_bytes", "issue": "issue_s"}
        settings = {"clock_hz": chip.clock_hz, "sram_bytes": chip.on_chip_bytes}
        settings |= {named.get(key, key): value for key, value in values.items()}
        return cls(dtypes=frozenset((*chip.peaks, *chip.sparse_peaks)), **settings)

    @property
    def peak_scale(self) -> Number | None:
        return self._cells_per_s

    def runs(self, op: Operator) -> bool:
        return not isinstance(op, Collective) and matrix_dtypes(op) <= self.dtypes

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return ``issue + max(factor*cycles/clock, vector flops/vector peak, bytes/(efficiency*bandwidth), ports)``.

        Matrix arithmetic of a shape that is no product (scans, latent attention) fills the array. Bytes: those of the
        operator that main memory must supply, and what products move beyond each operand once. Whatever an operator
        reads and writes passes the arrays' ports, a word a row and a column each cycle.
        """
        spent: Number = 0.0
        refetched: Number = 0.0
        for part in parts_of(op):
            counts = part.counts()
            vector = counts.filter_flops(engine="vector").total_flops() / chip.vector_flops_per_s
            spent = spent + maximum(self._matrix_s(part, chip), vector)
            refetched = refetched + self._refetched_bytes(part)
        moved = main_bytes(op, machine, self.sram_bytes) + refetched
        memory = moved / (self.memory_efficiency * chip.memory_bandwidth_bytes_per_s)
        ports = (self.rows + self.columns) * self.count * self.clock_hz
        passed = op.counts().total_bytes() / (_word(op) * ports)
        return self.issue_s + maximum(self.cycle_factor * spent, memory, passed)

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, chip, machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        """Return what was assumed: an error of 0.6 or 1.7 times, for only simulators, not chips, were compared."""
        return 0.42, 0.42

    def _matrix_s(self, op: Operator, chip: ChipFacts) -> Number:
        flops = op.counts().filter_flops(engine="tensor").flops
        if not flops:
            return 0.0
        filled: Number = 0.0
        pace: Number = 0.0
        for key, work in flops.items():
            peak = chip.peak_flops_per_s(key.dtype)
            filled = filled + work / peak
            pace = maximum(pace, self._cells_per_s / peak)  # of several dtypes the slowest sets the pace
        products = products_of(op)
        taken: Number = 0.0
        for product in products:
            taken = taken + self._cycles(product)
        return maximum(taken / self.clock_hz * pace, filled) if products else filled

    @property
    def _cells_per_s(self) -> Number:
        return 2.0 * self.rows * self.columns * self.count * self.clock_hz

    def _cycles(self, p: Product) -> Number:
        found = [
            cycles(
                p.m, p.n, p.k, self.rows, self.columns, dataflow, repeats=p.repeats, arrays=self.count,
                double_buffered=self.double_buffered,
            )
            for dataflow in (DATAFLOWS if self.dataflow == BEST else (self.dataflow,))
        ]  # fmt: skip
        return maximum(found[0] if len(found) == 1 else minimum(found[0], *found[1:]), 0.0)

    def _refetched_bytes(self, op: Operator) -> Number:
        """Return the bytes that the products of an operator move beyond each operand once."""
        word = _word(op)
        words = self.sram_bytes / word
        again: Number = 0.0
        for p in products_of(op) if isinstance(op, (Convolution, *_WEIGHTED)) else ():
            inputs = p.m * p.k if p.inputs is None else p.inputs
            once = inputs + p.k * p.n + p.m * p.n
            again = again + p.repeats * maximum(self._words(p, words, op) - once, 0.0)
        return again * word

    def _words(self, p: Product, words: Number, op: Operator) -> Number:
        if self.tiling == "fixed":
            flow = "ws" if self.dataflow == BEST else self.dataflow
            return sum(fixed_dataflow_words(p.m, p.n, p.k, words, self.rows, self.columns, flow, p.inputs))
        if isinstance(op, Convolution):  # overlapping windows are read from the buffer: the bound of convolutions
            reuse = op.taps / (op.stride[1] * op.stride[2])
            return 2.0 * p.m * p.n * p.k / sqrt(words * maximum(reuse, 1.0))
        return gemm_words(p.m, p.n, p.k, words)


def _word(op: Operator) -> float:
    """Return the bytes of an operand of an operator's matrix arithmetic (2 where it has none)."""
    return max((DTYPE_BYTES.get(dtype.partition("@")[0], 2.0) for dtype in matrix_dtypes(op)), default=2.0)
