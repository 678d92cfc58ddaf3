"""Several engines in one device: which of them runs an operator, or how they share one.

Source: Duplex, MICRO 2024 (arXiv:2409.01141: by operations a byte); NeuPIMs, ASPLOS 2024 (arXiv:2403.00579) and
HeteroLLM (arXiv:2501.14794): parts of one operator on two engines that finish together.
"""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.cost.bounds import Bound
from perfmodel.devices.model import Mix
from perfmodel.numeric import Number, maximum, minimum, total, where
from perfmodel.ops import (
    AttentionDecode,
    AttentionPrefill,
    BatchedMatmul,
    Experts,
    Linear,
    MlaDecode,
    MlaPrefill,
    Operator,
)
from perfmodel.ops.conv import Convolution

_DIVISIBLE = (
    Linear, Experts, Convolution, BatchedMatmul, AttentionDecode, AttentionPrefill, MlaDecode, MlaPrefill,
)  # fmt: skip
"""Operators that are parts of equal kind: columns of a matrix, experts, heads, channels."""


def intensity(op: Operator) -> Number:
    """Return an operator's operations a byte of its operands."""
    counts = op.counts()
    return counts.total_flops() / maximum(counts.total_bytes(), 1e-30)


def together_s(times: Sequence[Number], starts: Sequence[Number]) -> Number:
    """Return when engines finish that start at once and share the work so that they finish together.

    Engine i takes ``a_i + b_i*x`` for a share x of the work: ``T = (1 + sum a_i/b_i)/sum 1/b_i``; rates add.
    """
    slopes = [maximum(t - a, 1e-30) for t, a in zip(times, starts, strict=True)]
    return (1.0 + total(a / b for a, b in zip(starts, slopes, strict=True))) / total(1.0 / b for b in slopes)


def mixed_s(op: Operator, mix: Mix, times: Sequence[Number], starts: Sequence[Number], floor: Number) -> Number:
    """Return the seconds of an operator that each of some engines, in the order of the file, would take ``times``.

    Policy "time": the least. "intensity": the first engine's from ``threshold`` operations a byte on, else the last's.
    "split": together, where that is less and the operator can be divided; not below ``floor``, what the memory takes
    that they share.
    """
    if mix.policy == "intensity":
        return where(intensity(op) >= mix.threshold, times[0], times[-1])
    least = minimum(times[0], *times[1:])
    if mix.policy == "split" and isinstance(op, _DIVISIBLE):
        return minimum(least, maximum(together_s(times, starts), floor))
    return least


def mixed_bound(op: Operator, mix: Mix, bounds: Sequence[Bound], floor: Number) -> Bound:
    """Return the bound on some engines: the chosen one's, or that of all with a part of the work each."""
    chosen = bounds[0]
    for other in bounds[1:]:
        if mix.policy == "intensity":
            first = intensity(op) >= mix.threshold
            chosen = _either(first, bounds[0], bounds[-1])
        else:
            chosen = _either(chosen.time_s <= other.time_s, chosen, other)
    if mix.policy != "split":
        return chosen
    times = [bound.time_s for bound in bounds]
    share = mixed_s(op, mix, times, [0.0] * len(times), floor) / maximum(chosen.time_s, 1e-30)
    return Bound(chosen.compute_s * share, chosen.memory_s * share, chosen.link_s * share)


def _either(condition: Number, a: Bound, b: Bound) -> Bound:
    pairs = ((a.compute_s, b.compute_s), (a.memory_s, b.memory_s), (a.link_s, b.link_s))
    return Bound(*(where(condition, x, y) for x, y in pairs))
