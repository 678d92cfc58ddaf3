"""Time of causal convolutions and scans on a GPU: launches, traffic, the products of chunks, the walk along a sequence.

Coefficients (``hardware_specs/calibration/recurrence.yaml``; by operator and rule where they differ):

====================== ==========================================================================================
launch_us              fixed device time of the kernels of one call
passes                 bytes really moved over the operator's least bytes
memory_efficiency      attainable share of the datasheet bandwidth of main memory
compute_efficiency     attainable share of the dense 16-bit matrix peak in a chunk's products
chunk                  tokens of a chunk, whose products among themselves come on top of those with the state
chunk_us               time that a sequence's state takes from chunk to chunk (or token to token in a step)
====================== ==========================================================================================
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu.mla_prefill import sixteen_bit_peak
from perfmodel.numeric import Number, ceil, maximum
from perfmodel.ops.recurrence import CausalConv, ScanDecode, ScanPrefill


def conv_s(op: CausalConv, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of a causal convolution: ``launch + passes*bytes/(efficiency*BW)``."""
    return c["launch_us"] * 1e-6 + _moved_s(op.counts().total_bytes(), chip, c, warm)


def scan_prefill_s(op: ScanPrefill, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of a chunked scan.

    ``t = launch + max(flops/(efficiency*peak), passes*bytes/(efficiency*BW)) + ceil(T/C)*chunk_us``.
    """
    tokens = op.sequences * op.tokens
    within = 2.0 * c["chunk"] * tokens * op.heads * (op.key_dim + op.value_dim)
    products = op.counts().filter_flops(engine="tensor").total_flops() + within
    computing = products / (c["compute_efficiency"] * sixteen_bit_peak(chip, op.dtype))
    moving = _moved_s(op.counts().total_bytes(), chip, c, warm)
    walking = ceil(op.tokens / c["chunk"]) * c["chunk_us"] * 1e-6
    return c["launch_us"] * 1e-6 + maximum(computing, moving) + walking


def scan_decode_s(op: ScanDecode, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of one step of a scan: ``launch + passes*bytes/(efficiency*BW) + T*chunk_us``."""
    moving = _moved_s(op.counts().total_bytes(), chip, c, warm)
    return c["launch_us"] * 1e-6 + moving + op.tokens * c["chunk_us"] * 1e-6


def _moved_s(least_bytes: Number, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    moved = c["passes"] * least_bytes
    cold = maximum(moved - chip.llc_bytes, 0.0) if warm else moved
    return cold / (c["memory_efficiency"] * chip.memory_bandwidth_bytes_per_s)
