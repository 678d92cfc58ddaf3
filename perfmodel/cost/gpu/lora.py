"""Time of low-rank adapters on a GPU: two launches, and the traffic of thin products."""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, maximum
from perfmodel.ops.lora import LoraPair

LAUNCHES_S = 6e-6
"""Two short kernels, shrink and expand (assumed: as other short kernels in a graph)."""
MEMORY_SHARE = 0.6
"""Share of memory bandwidth that gathers of thin matrices reach (assumed)."""
MATRIX_SHARE = 0.25
"""Share of the matrix peak that products with so short a side reach (assumed)."""


def expected_s(op: LoraPair, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds: ``launches + max(bytes/(0.6*BW), flops/(0.25*peak))``; not measured."""
    counts = op.counts()
    dtype = next((name for name in (op.dtype, "bfloat16", "float16") if name in chip.peaks), op.dtype)
    memory = counts.total_bytes() / (MEMORY_SHARE * chip.memory_bandwidth_bytes_per_s)
    return LAUNCHES_S + maximum(memory, counts.total_flops() / (MATRIX_SHARE * chip.peak_flops_per_s(dtype)))
