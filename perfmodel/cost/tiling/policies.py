"""Named policies of a matrix product's traffic: the optimum, one schedule of it, a fixed dataflow, the bound."""

from __future__ import annotations

from perfmodel.cost.systolic import dram_reads, dram_writes, flushed_capacity
from perfmodel.cost.tiling.conv import ConvShape, conv_bound, optimal_conv
from perfmodel.cost.tiling.gemm import gemm_bound, gemm_words, optimal_gemm
from perfmodel.cost.tiling.result import Tiling
from perfmodel.errors import InputError, did_you_mean
from perfmodel.numeric import Number

POLICIES = ("optimal", "divisors", "double-buffered", "formula", "bound", "os", "ws", "is")
"""``optimal`` tiling (``divisors``: only even tiles, ``double-buffered``, ``formula``: without roundings), the least
``bound``, and the fixed streams of an array (os, ws, is)."""


def check_policy(policy: str) -> None:
    """Refuse a word that is no policy; :class:`InputError` with the nearest one."""
    if policy not in POLICIES:
        raise InputError(f"unknown policy '{policy}'{did_you_mean(policy, POLICIES)} (one of {', '.join(POLICIES)})")


def fixed_dataflow_words(
    m: Number, n: Number, k: Number, words: Number, rows: Number, columns: Number, dataflow: str,
    distinct_inputs: Number | None = None,
) -> tuple[Number, Number, Number]:  # fmt: skip
    """Return (input, weight, output) words of a product whose streams an array fixes, with three equal buffers.

    No tile is chosen: see :func:`perfmodel.cost.systolic.dram_reads` and ``dram_writes``. ``words`` is all three. The
    array holds rows x columns words of its own, so that with a small buffer it may move less than the buffer's bound.
    """
    held = flushed_capacity(words / 3.0)
    reads = dram_reads(m, n, k, rows, columns, dataflow, (held, held), distinct_inputs)
    return reads.inputs, reads.weights, sum(dram_writes(m, n, k, rows, columns, dataflow, held))


def gemm_policy_words(
    policy: str, m: int, n: int, k: int, words: int, array: tuple[int, int]
) -> tuple[float, Tiling | None]:
    """Return the words that a policy moves, and its tiling if it has one; errors as for :func:`optimal_gemm`."""
    check_policy(policy)
    if policy in ("optimal", "divisors", "double-buffered"):
        found = optimal_gemm(m, n, k, words, divisors=policy == "divisors", double_buffered=policy == "double-buffered")
        return found.words, found
    numbers = float(m), float(n), float(k), float(words)
    if policy in ("formula", "bound"):
        return (gemm_words if policy == "formula" else gemm_bound)(*numbers), None
    return sum(fixed_dataflow_words(*numbers, float(array[0]), float(array[1]), policy)), None


def conv_policy_words(policy: str, shape: ConvShape, words: int, array: tuple[int, int]) -> tuple[float, Tiling | None]:
    """Return the words that a policy moves for a convolution; the array runs a sample at a time."""
    check_policy(policy)
    if policy in ("optimal", "divisors"):
        found = optimal_conv(shape, words, divisors=policy == "divisors")
        return found.words, found
    read = shape.inputs * shape.patch(shape.height, shape.width)
    if policy == "bound":
        macs = float(shape.batch * shape.results * shape.taps * shape.inputs)
        compulsory = float(shape.batch * (read + shape.results) + shape.weights)
        return conv_bound(macs, compulsory, float(shape.taps), float(shape.stride), float(words)), None
    if policy in ("formula", "double-buffered"):
        raise InputError(
            f"policy '{policy}' is one of products only; a convolution has optimal, divisors, bound, os, ws, is"
        )
    m, n, k = float(shape.height * shape.width), float(shape.outputs), float(shape.taps * shape.inputs)
    moved = fixed_dataflow_words(m, n, k, float(words), float(array[0]), float(array[1]), policy, float(read))
    return shape.batch * sum(moved), None
