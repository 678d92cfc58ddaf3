"""Time of row-wise operators on a GPU: launch, memory passes, and the latency of reducing a row.

Coefficients (``hardware_specs/calibration/elementwise.yaml``; by operator where they differ):

====================== ==========================================================================================
launch_us              start and drain of the first kernel at a clock of 1.8 GHz; it goes with 1/clock
next_kernel_us         the same for each further kernel of an unfused implementation
passes                 bytes really moved over the operator's least bytes
next_kernel_bytes      bytes an element that each further kernel moves
memory_efficiency      share of the datasheet bandwidth of main memory
fabric_bytes_per_clock bytes a clock that one core moves to and from the last-level cache
cache_share            usable share of the last-level cache (of one partition, where it has two)
row_clocks             clocks an element that a core needs to reduce a row (norms, softmax, quantisation)
====================== ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, ceil, maximum, minimum, smooth_maximum
from perfmodel.ops.elementwise import (
    Activation,
    Add,
    AddRmsNorm,
    BatchNorm,
    Copy,
    Embedding,
    GatedActivation,
    GroupNorm,
    LayerNorm,
    Multiply,
    Quantise,
    RmsNorm,
    Rope,
    Scale,
    Softmax,
)
from perfmodel.ops.resample import Resample

Coefficients = Mapping[str, Number]
RowWise = (
    RmsNorm | AddRmsNorm | LayerNorm | GroupNorm | BatchNorm | Activation | GatedActivation | Add | Multiply | Scale
    | Copy | Softmax | Rope | Quantise | Embedding
)  # fmt: skip
ElementWise = RowWise | Resample

REFERENCE_CLOCK_HZ = 1.8e9
LEAST_FABRIC = 1.1
"""What the cores draw from the cache at least, in bandwidths of the main memory (measured ones draw 2.3 and more)."""
_REDUCES_ROWS = (RmsNorm, AddRmsNorm, LayerNorm, GroupNorm, Softmax, Quantise)


def expected_s(op: ElementWise, chip: ChipFacts, c: Coefficients, warm: bool = True, kernels: Number = 1) -> Number:
    """Return the seconds of a row-wise operator over ``rows x cols`` elements, in ``kernels`` kernels.

    ``t = launch + (kernels - 1)*next_kernel + sqrt(flow^2 + row^2)``,
    ``flow = max(bytes that miss the cache / bandwidth, bytes / fabric)`` and, where rows are reduced,
    ``row = ceil(rows/cores)*cols*row_clocks/clock``.

    ``warm``: operands that fit the last-level cache are there already. It holds in a model step too, where the
    operator before has just produced them, except for the table of an embedding. Seconds; SI throughout.
    Source: fitted on measured kernels, see hardware_specs/calibration/elementwise.yaml.
    Omits: strides, gathers of tokens that repeat, fusion with a neighbouring matrix product.
    """
    counts = op.counts()
    moved = counts.total_bytes() * c["passes"]
    if not isinstance(op, Resample):
        moved = moved + (kernels - 1) * c["next_kernel_bytes"] * op.rows * op.cols
    usable = c["cache_share"] * chip.llc_bytes / chip.llc_partitions + 1.0
    cold = moved * minimum(1.0, maximum(0.0, moved / usable - 1.0))
    if isinstance(op, Embedding) and not warm:
        cold = maximum(cold, counts.filter_bytes(role="weight").total_bytes())
    memory = cold / (c["memory_efficiency"] * chip.memory_bandwidth_bytes_per_s)
    flow = maximum(memory, moved / chip.fabric_bytes_per_s(c["fabric_bytes_per_clock"], LEAST_FABRIC))
    if isinstance(op, _REDUCES_ROWS):
        row = ceil(op.rows / chip.core_count) * op.cols * (c["row_clocks"] / chip.clock_hz)
        flow = smooth_maximum(flow, row, 2)
    start = c["launch_us"] + (kernels - 1) * c["next_kernel_us"]
    return start * 1e-6 * (REFERENCE_CLOCK_HZ / chip.clock_hz) + flow
