"""Time of operators fused into one kernel: their arithmetic one after the other, and the traffic of the edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, maximum, smooth_maximum, sqrt, total
from perfmodel.ops import AttentionPrefill, BatchedMatmul, Linear, Operator
from perfmodel.ops.conv import Convolution
from perfmodel.ops.fused import Fused

MEMORY_SHARE = 0.85
"""Share of memory bandwidth that a fused kernel's edges reach (assumed: as one element-wise kernel)."""
HEAVY = (Convolution, Linear, BatchedMatmul, AttentionPrefill)
"""Operators whose arithmetic takes time of its own inside a fused kernel; the others ride along."""


def fused_s(op: Fused, chip: ChipFacts, alone: Callable[[Operator], Number]) -> Number:
    """Return the seconds of a fused kernel from what its parts take ``alone``.

    A part that takes t alone and moves f seconds of bytes has ``sqrt(t^2 - f^2)`` of work besides memory. The kernel
    takes the smooth maximum of ``sum work(heavy parts)`` (at least the longest light part's, which holds the launch)
    and ``bytes across its edges/(0.85*bandwidth)``.
    Source: first principles; assumed, not measured.
    """
    parts = op.batched_parts()
    heavy = [_work_s(part, chip, alone) for part in parts if isinstance(part, HEAVY)]
    light = [_work_s(part, chip, alone) for part in parts if not isinstance(part, HEAVY)]
    work = maximum(total(heavy), _largest(light))
    edges = op.counts().total_bytes() / (MEMORY_SHARE * chip.memory_bandwidth_bytes_per_s)
    return smooth_maximum(work, edges, 2)


def _largest(values: Sequence[Number]) -> Number:
    found: Number = 0.0
    for value in values:
        found = maximum(found, value)
    return found


def _work_s(op: Operator, chip: ChipFacts, alone: Callable[[Operator], Number]) -> Number:
    time, flow = alone(op), op.counts().total_bytes() / chip.memory_bandwidth_bytes_per_s
    return sqrt(maximum(time * time - flow * flow, 0.0))
