"""ONNX's pools, reductions and interpolations."""

from __future__ import annotations

from math import floor, prod

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import pooled, reduced, resized
from perfmodel.workloads.importers.graphs.tensors import Malformed, NotCounted, Tensor, axis_of, shape_text
from perfmodel.workloads.importers.onnx_ops.call import Call, Result, lowers
from perfmodel.workloads.importers.onnx_ops.windows import pool_sides

_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic"}


@lowers("MaxPool", "AveragePool", "LpPool")
def pool(c: Call) -> Result:
    """Lower a pool over windows; a maximum's places are a view of it."""
    x = c.x
    sides = x.rank - 2
    if sides < 1:
        raise Malformed(f"pools an input of {shape_text(x.shape)}; it needs (batch, channels, sides ...)")
    kernel = c.sides("kernel_shape", sides, 1)
    stride, dilation = c.sides("strides", sides, 1), c.sides("dilations", sides, 1)
    y = pooled(c.write, x, pool_sides(c, x.shape[2:], kernel, stride, dilation), prod(kernel))
    return [y, *(c.write.view(y, y.shape, dtype="int64") for _ in range(1, c.outputs))]


@lowers("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def whole_pool(c: Call) -> Result:
    """Lower a pool over all positions."""
    sides = max(c.x.rank - 2, 0)
    return pooled(c.write, c.x, (1,) * sides, prod(c.x.shape[2:]))


@lowers("MaxUnpool")
def unpool(c: Call) -> Result:
    """Lower the return of maxima to the places that they came from."""
    x = c.x
    sides = x.rank - 2
    wanted = c.numbers(2)
    if wanted is None:
        kernel, stride = c.sides("kernel_shape", sides, 1), c.sides("strides", sides, 1)
        pads = c.ints("pads") or [0] * 2 * sides
        wanted = [
            *x.shape[:2],
            *((n - 1) * stride[i] + kernel[i] - pads[i] - pads[i + sides] for i, n in enumerate(x.shape[2:])),
        ]
    op = ops.Resize(x.shape[0], x.shape[1], prod(x.shape[2:]), prod(wanted[2:]), 1)
    return c.write.node(op, (x, c.get(1)), wanted, kind="unpool")


@lowers(
    "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceSumSquare",
)  # fmt: skip
def reduce(c: Call) -> Result:
    """Lower a mean, sum ... over axes, which are an attribute or an input."""
    axes = c.numbers(1, "axes")
    if not axes:
        if c.flag("noop_with_empty_axes"):
            return c.x
        axes = list(range(c.x.rank))
    return reduced(c.write, c.x, axes, c.flag("keepdims", default=True), c.op.lower())


@lowers("ArgMax", "ArgMin")
def best(c: Call) -> Result:
    """Lower the place of the largest along an axis."""
    return reduced(c.write, c.x, [c.int("axis", 0)], c.flag("keepdims", default=True), c.op.lower(), dtype="int64")


@lowers("TopK")
def top(c: Call) -> Result:
    """Lower the k largest along an axis: one comparison an element at least; their places are a view."""
    x = c.x
    counts = c.numbers(1) if len(c.inputs) > 1 else [c.int("k", 1)]
    axis = axis_of(c.int("axis", -1), max(x.rank, 1))
    k = (counts or [1])[0]
    if not x.rank or not 0 < k <= x.shape[axis]:
        raise Malformed(f"takes the {k} largest of {shape_text(x.shape)}")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    rows = x.elements // x.shape[axis]
    batch = x.shape[0] if axis else 1
    op = ops.Pool(batch, rows // batch, x.shape[axis], k, -(-x.shape[axis] // k))
    y = c.write.node(op, (x,), shape, kind="topk")
    return [y, c.write.view(y, shape, dtype="int64") if not y.fixed else Tensor(shape, dtype="int64")]


@lowers("Resize", "Upsample")
def resize(c: Call) -> Result:
    """Lower an interpolation to sizes, or by scales: inputs x, [region,] scales, sizes; once attributes."""
    x = c.x
    mode = c.text("mode", "nearest").lower()
    if mode not in _MODES:
        raise NotCounted(f"mode '{mode[:20]}' is not known")
    shape = _resized_shape(c)
    if x.rank < 3 or shape[:2] != x.shape[:2]:
        op = ops.Resize(1, 1, x.elements, prod(shape), 1 if mode == "nearest" else 4)
        return c.write.node(op, (x,), shape, kind=_MODES[mode])
    return resized(c.write, x, shape, _MODES[mode])


def _resized_shape(c: Call) -> tuple[int, ...]:
    x = c.x
    axes = [axis_of(axis, x.rank) for axis in c.ints("axes") or range(x.rank)]
    place = 1 if c.op == "Upsample" or c.opset < 11 else 2
    tensor = c.get(place)
    sizes = c.numbers(3) if c.op == "Resize" and c.opset >= 11 else None
    found = list(x.shape)
    if sizes:
        if len(sizes) != len(axes):
            raise Malformed(f"says {len(sizes)} sizes for {len(axes)} dimensions")
        policy = c.text("keep_aspect_ratio_policy", "stretch")
        factors = [size / max(x.shape[axis], 1) for axis, size in zip(axes, sizes, strict=True)]
        for axis, size in zip(axes, sizes, strict=True):
            if policy != "stretch":
                factor = min(factors) if policy == "not_larger" else max(factors)
                size = floor(factor * x.shape[axis] + 0.5)  # noqa: PLW2901
            found[axis] = x.shape[axis] if _held(c, axis, size) else size
        return tuple(found)
    scales = c.floats("scales") if tensor is None else None
    if tensor is not None:
        if tensor.value is None:
            raise NotCounted("its scales depend on the data")
        scales = [float(n) for n in tensor.value.reshape(-1)]
    if not scales:
        raise Malformed("says neither scales nor sizes")
    if len(scales) != len(axes) or not all(0 < scale < 1e6 for scale in scales):
        raise Malformed(f"says scales {scales[:6]} for {len(axes)} dimensions")
    for axis, scale in zip(axes, scales, strict=True):
        found[axis] = floor(x.shape[axis] * scale)
    return tuple(found)


def _held(c: Call, axis: int, size: int) -> bool:
    """Say whether a size written into the graph is the input's own, so that a larger batch has its own too."""
    before = c.before[0] if c.before else None
    return before is not None and axis < len(before) and before[axis] == size


@lowers("GridSample")
def grid_sample(c: Call) -> Result:
    """Lower an interpolation at places that are an input."""
    x, grid = c.x, c.need(1)
    sides = grid.shape[1:-1]
    mode = _MODES.get(c.text("mode", "linear"), "linear")
    taps = {"nearest": 1, "linear": 2 ** len(sides), "cubic": 4 ** len(sides)}[mode]
    op = ops.Resize(x.shape[0], x.shape[1], prod(x.shape[2:]), prod(sides), taps)
    return c.write.node(op, (x, grid), (*x.shape[:2], *sides), kind="grid_sample")


@lowers("RoiAlign", "MaxRoiPool")
def regions(c: Call) -> Result:
    """Lower an interpolation in regions: as many samples a position as are said (4 where the region decides)."""
    x, rois = c.x, c.need(1)
    if c.op == "RoiAlign":
        height, width = c.int("output_height", 1), c.int("output_width", 1)
        samples = max(c.int("sampling_ratio", 0), 0) or 2
    else:
        height, width = (c.ints("pooled_shape") or [1, 1])[:2]
        samples = 1
    if x.rank != 4 or not rois.rank:
        raise Malformed("needs images and regions")
    inputs = prod(x.shape[2:])
    op = ops.Resize(rois.shape[0], x.shape[1], inputs, height * width, 4 * samples * samples)
    return c.write.node(op, (x, rois), (rois.shape[0], x.shape[1], height, width), kind="roi")
