"""Time of gathers from tables on a GPU: random rows, each of whole memory sectors."""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, ceil
from perfmodel.ops import EmbeddingBag

LAUNCH_S = 4e-6
"""One short kernel (assumed: as other short kernels in a graph)."""
SECTOR_BYTES = 32.0
"""The least that a memory access brings: a sector of a GPU's cache line (CUDA C++ programming guide, 5.3.2)."""
MEMORY_SHARE = 0.6
"""Share of memory bandwidth that random rows reach (assumed; DLRM's kernels reach 0.5 to 0.8 on V100 and A100)."""


def expected_s(op: EmbeddingBag, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds: ``launch + look-ups*ceil(row/32 B)*32 B/(0.6*bandwidth)``; not measured."""
    row = ceil(op.width * op.element_bytes / SECTOR_BYTES) * SECTOR_BYTES
    moved = op.batch * op.tables * (op.lookups * (row + 8.0) + op.width * op.element_bytes)
    return LAUNCH_S + moved / (MEMORY_SHARE * chip.memory_bandwidth_bytes_per_s)
