"""Time of a network's kernels on a neural accelerator (NPU, DSP, CPU): arithmetic against memory traffic, plainly.

Coefficients (``hardware_specs/calibration/accelerator.yaml``):

===================== ===========================================================================================
issue_us              start of one kernel: its descriptor, its first weights
math_efficiency       share of the datasheet peak that convolutions on full arrays reach
product_efficiency    the same of dense layers, attention and other products, whose operands arrays do not hold as well
half_channels         channels of a group at which an array's rows (inputs) or columns (outputs) are half used
depthwise_efficiency  share of the peak that depthwise convolutions reach
vector_efficiency     share of the vector rate (1/16 of the matrix rate, if none is stated) of element-wise work
memory_efficiency     share of the datasheet bandwidth of main memory
===================== ===========================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Z80, Engine, device_bound, static_dtype
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.counts import Counts
from perfmodel.numeric import Number, maximum, minimum, total, where
from perfmodel.ops import Collective, Fused, Linear, Operator
from perfmodel.ops.conv import Convolution
from perfmodel.specs.schema import Block

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

Coefficients = Mapping[str, Number]


@register
@dataclass(frozen=True)
class Accelerator(Engine):
    """A neural accelerator with the coefficients of ``hardware_specs/calibration/accelerator.yaml``."""

    NAME = "accelerator"
    RULE = Block({})
    SAMPLES = ({},)

    def runs(self, op: Operator) -> bool:
        return not isinstance(op, Collective)

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        c = machine.coefficients("accelerator", op.KIND, static_dtype(op))
        return expected_s(op, chip, c, machine.cold_weights)

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, chip, machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        band = machine.band("accelerator", op.KIND, static_dtype(op))
        return -math.log(minimum(band.p10, 1.0)) / Z80, math.log(maximum(band.p90, 1.0)) / Z80


def expected_s(op: Operator, chip: ChipFacts, c: Coefficients, cold_weights: Number = 1.0) -> Number:
    """Return the seconds of a kernel: ``issue + max(sum flops/(efficiency*used*peak), bytes/(efficiency*bandwidth))``.

    ``used = in/(in + half_channels) * out/(out + half_channels)`` of a convolution's or dense layer's channels a group.
    Bytes: the weights that do not stay on the chip from one inference to the next (``cold_weights``, a share), and of
    the activations what the on-chip memory cannot hold, ``1 - on-chip/bytes``.
    Source: roofline (Williams et al. 2009) with arrays that small channels do not fill; fitted on published latencies.
    Omits: layer by layer scheduling, pipelines of layers, layout changes.
    """
    parts = op.batched_parts() if isinstance(op, Fused) else (op,)
    heavy = [part for part in parts if _matrix_flops(part) is not None]
    math = total(_math_s(part, chip, c) for part in heavy)
    if not heavy:
        math = total(part.counts().total_flops() for part in parts) / (c["vector_efficiency"] * chip.vector_flops_per_s)
    memory = traffic(op.counts(), chip, cold_weights) / (c["memory_efficiency"] * chip.memory_bandwidth_bytes_per_s)
    return c["issue_us"] * 1e-6 + maximum(math, memory)


def traffic(counts: Counts, chip: ChipFacts, cold_weights: Number = 1.0) -> Number:
    """Return the bytes that cross main memory: cold weights, and activations beyond the on-chip memory."""
    kept = total(v for k, v in counts.bytes.items() if k.role in ("weight", "kv", "state"))
    moved = counts.total_bytes() - kept
    return kept * cold_weights + moved * maximum(1.0 - chip.on_chip_bytes / maximum(moved, 1.0), 0.0)


def _matrix_flops(op: Operator) -> Number | None:
    found = op.counts().filter_flops(engine="tensor").flops
    return total(found.values()) if found else None


def _math_s(op: Operator, chip: ChipFacts, c: Coefficients) -> Number:
    work: Number = 0.0
    for key, flops in op.counts().filter_flops(engine="tensor").flops.items():
        work = work + flops / chip.peak_flops_per_s(key.dtype)
    half = c["half_channels"]
    if isinstance(op, Convolution):
        used = op.in_per_group / (op.in_per_group + half) * op.out_per_group / (op.out_per_group + half)
        used = where(op.in_per_group > 1, used, c["depthwise_efficiency"] / c["math_efficiency"])
        return work / (c["math_efficiency"] * used)
    if isinstance(op, Linear):
        return work / (c["product_efficiency"] * op.k / (op.k + half) * op.n / (op.n + half))
    return work / c["product_efficiency"]
