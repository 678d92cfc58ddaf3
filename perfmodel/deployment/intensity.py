"""Arithmetic intensity of a network: flops a byte, weighed in several ways, against the ridge of a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.cost.facts import ChipFacts
from perfmodel.deployment.timing import TimedKernel

WEIGHT_SHARE = 0.8
"""What weights count of the bytes in the intensity by operand; activations count the rest."""


def intensities(kernels: Sequence[TimedKernel], chip: ChipFacts) -> dict[str, Any]:
    """Return the arithmetic intensities of some kernels, all in flops a byte.

    With F flops, B bytes and t seconds of kernel i, and I = F/B of it:

    - ``plain = sum F/sum B``, which is the mean of I weighed by bytes: ``sum B*I/sum B``
    - ``by_flops = sum F*I/sum F``: the intensity that a flop sees on average
    - ``by_time = sum t*I/sum t``: the intensity that is at work at a moment
    - ``by_operand = sum F/(2*sum(a*weights + (1-a)*activations))`` with a of 0.8: operands count unequally, for weights
      are used again less often; plain where a is 0.5
    - ``memory_bound_share``: share of the time in kernels with I below the ridge of their own dtype

    Source: roofline, Williams et al. 2009; operands weighed apart, Jha and Mittal 2020 (arXiv 2008.02565), whose share
    of the weights is assumed here. Bytes are those that a kernel must move (fused kernels: across their edges), whether
    or not a cache holds them.
    """
    rows = [_row(kernel) for kernel in kernels]
    flops, moved = sum(r[0] for r in rows), sum(r[1] for r in rows)
    seconds = sum(r[3] for r in rows)
    each = [(f, b, t, f / b) for f, b, _, t in rows if b]
    weights = sum(r[2] for r in rows)
    weighed = 2.0 * (WEIGHT_SHARE * weights + (1.0 - WEIGHT_SHARE) * (moved - weights))
    bound = sum(k.expected_s for k in kernels if memory_bound(k, chip))
    return {
        "plain": _over(flops, moved),
        "by_flops": _over(sum(f * i for f, _, _, i in each), flops),
        "by_time": _over(sum(t * i for _, _, t, i in each), sum(t for _, _, t, _ in each)),
        "by_operand": _over(flops, weighed),
        "memory_bound_share": _over(bound, seconds),
    }


def _row(kernel: TimedKernel) -> tuple[float, float, float, float]:
    """Return flops, bytes, bytes of weights, and seconds of all runs of a kernel."""
    counts, times = kernel.counts, kernel.repeat
    weights = float(counts.filter_bytes(tier="main", role="weight").total_bytes())
    flops, moved = float(counts.total_flops()), float(counts.total_bytes())
    return flops * times, moved * times, weights * times, kernel.expected_s


def _over(a: float, b: float) -> float | None:
    return a / b if b else None


def ridge_flops_per_byte(chip: ChipFacts, dtype: str) -> float:
    """Return the intensity from which on a kernel can reach the peak of its dtype ("" : of the vector units)."""
    known = dtype in chip.peaks or dtype in chip.sparse_peaks
    peak = chip.peak_flops_per_s(dtype) if known else chip.vector_flops_per_s
    return float(peak) / float(chip.memory_bandwidth_bytes_per_s)


def memory_bound(kernel: TimedKernel, chip: ChipFacts) -> bool:
    """Say whether a kernel's bytes take longer than its flops, at the device's peaks.

    Matrix and vector units work at the same time, each at the peak of its dtype.
    """
    counts = kernel.counts
    matrix = vector = 0.0
    for key, flops in counts.flops.items():
        if key.engine == "tensor":
            matrix += float(flops) / float(chip.peak_flops_per_s(key.dtype))
        else:
            vector += float(flops) / float(chip.vector_flops_per_s)
    return float(counts.total_bytes()) / float(chip.memory_bandwidth_bytes_per_s) > max(matrix, vector)
