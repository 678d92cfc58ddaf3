"""ATen's pools, reductions and interpolations."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.workloads.importers.aten.call import AtenCall, lowers
from perfmodel.workloads.importers.graphs.layers import pooled, reduced, resized
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor, axis_of, shape_text


def _sides(c: AtenCall) -> int:
    """Return how many sides a pool's name says, and check its input."""
    sides = next((n for n in (1, 2, 3) if f"{n}d" in c.op), 2)
    if c.x.rank != sides + 2 or len(c.shape) != sides + 2:
        raise Malformed(f"pools an input of {shape_text(c.x.shape)}; it needs (batch, channels, {sides} sides)")
    return sides


@lowers(
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "mkldnn_max_pool2d", "quantized_max_pool2d",
)  # fmt: skip
def pool(c: AtenCall) -> list[Tensor | None]:
    """Lower a pool over windows; its sides are the record's."""
    sides = _sides(c)
    y = pooled(c.write, c.x, c.shape[2:], prod(c.ints(1, "kernel_size", sides, 1)))
    return [y, *(c.write.view(y, r.shape) if r else None for r in c.results[1:])]


@lowers(
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
)  # fmt: skip
def adaptive(c: AtenCall) -> list[Tensor | None]:
    """Lower a pool over as many windows as give the sides that the record says."""
    _sides(c)
    inputs, outputs = prod(c.x.shape[2:]), prod(c.shape[2:])
    y = pooled(c.write, c.x, c.shape[2:], max(1, inputs // max(outputs, 1)))
    return [y, *(c.write.view(y, r.shape) if r else None for r in c.results[1:])]


@lowers(
    "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "linalg_vector_norm", "logsumexp", "max", "mean",
    "median", "min", "norm", "prod", "std", "std_mean", "sum", "var", "var_mean", "nansum", "nanmean", "aminmax",
)  # fmt: skip
def reduce(c: AtenCall) -> Tensor | list[Tensor | None]:
    """Lower a mean, sum ... over axes; ``max`` and ``min`` of two tensors are made element by element."""
    other = c.arg(1, "other")
    if isinstance(other, Tensor):
        return c.write.node(ops.Multiply(*_rows(c.shape)), (c.x, other), c.shape, kind=c.op)
    place = 2 if c.op in ("linalg_vector_norm", "norm") else 1
    axes = c.arg(place, "dim")
    if isinstance(axes, bool):  # var(x, unbiased)
        axes = None
    values: list[Any] = [axes] if isinstance(axes, int) else list(axes or range(c.x.rank))
    if any(not isinstance(axis, int) for axis in values):
        raise Malformed("says axes that are no whole numbers")
    keep = len(c.shape) == c.x.rank
    y = reduced(c.write, c.x, values, keep, c.op, dtype=c.out.dtype)
    return [y, *(c.write.view(y, r.shape, dtype=r.dtype) if r else None for r in c.results[1:])]


def _rows(shape: tuple[int, ...]) -> tuple[int, int]:
    return prod(shape[:-1]), shape[-1] if shape else 1


@lowers("topk", "sort", "argsort", "kthvalue")
def top(c: AtenCall) -> list[Tensor | None]:
    """Lower the largest along an axis, or an order: one comparison an element at least."""
    x = c.x
    axis = axis_of(c.whole(2 if c.op in ("topk", "kthvalue") else 1, "dim", -1), max(x.rank, 1))
    if not x.elements or not x.rank:
        raise Malformed(f"orders {shape_text(x.shape)}")
    k = c.shape[axis] if len(c.shape) == x.rank else 1
    batch = x.shape[0] if axis else 1
    op = ops.Pool(batch, x.elements // x.shape[axis] // batch, x.shape[axis], k, -(-x.shape[axis] // max(k, 1)))
    y = c.write.node(op, (x,), c.shape, kind=c.op, dtype=c.out.dtype)
    return [y, *(c.write.view(y, r.shape, dtype=r.dtype) if r else None for r in c.results[1:])]


@lowers(
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_linear1d", "upsample_bilinear2d",
    "upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
)  # fmt: skip
def resize(c: AtenCall) -> Tensor:
    """Lower an interpolation to the sides that the record says."""
    mode = "nearest" if "nearest" in c.op else "cubic" if "cubic" in c.op else "linear"
    if len(c.shape) != c.x.rank or c.x.rank < 3:
        raise Malformed(f"resizes {shape_text(c.x.shape)} to {shape_text(c.shape)}")
    return resized(c.write, c.x, c.shape, mode)


@lowers("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid(c: AtenCall) -> Tensor:
    """Lower an interpolation at places that are an input."""
    x, places = c.x, c.need(1, "grid")
    sides = c.shape[2:]
    taps = {0: 2 ** len(sides), 1: 1, 2: 4 ** len(sides)}.get(c.whole(2, "interpolation_mode", 0), 4)
    op = ops.Resize(x.shape[0], x.shape[1], prod(x.shape[2:]), prod(sides), taps)
    return c.write.node(op, (x, places), c.shape, kind="grid_sample")


@lowers("torchvision.roi_align", "torchvision.ps_roi_align")
def regions(c: AtenCall) -> list[Tensor | None]:
    """Lower an interpolation in regions: 4 samples a position unless it says how many."""
    x, rois = c.x, c.need(1, "rois")
    samples = c.whole(5, "sampling_ratio", 0)
    samples = samples if samples > 0 else 2
    op = ops.Resize(max(rois.shape[0], 1), c.shape[1], prod(x.shape[2:]), prod(c.shape[2:]), 4 * samples * samples)
    y = c.write.node(op, (x, rois), c.shape, kind="roi")
    return [y, *(None for _ in c.results[1:])]
