"""ONNX's operators that move elements or show them in another shape, and change none."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel.workloads.importers.graphs.layers import copied, transposed
from perfmodel.workloads.importers.graphs.tensors import (
    Malformed,
    Shape,
    Tensor,
    axis_of,
    broadcast,
    checked,
    shape_text,
)
from perfmodel.workloads.importers.onnx_ops.call import Call, Result, lowers


@lowers("Reshape")
def reshape(c: Call) -> Result:
    """Lower a view: -1 is what is left, 0 the input's own size (unless ``allowzero``)."""
    x = c.x
    wanted = c.numbers(1, "shape")
    if wanted is None:
        raise Malformed("says no shape")
    if not c.flag("allowzero"):
        wanted = [x.shape[i] if n == 0 and i < x.rank else n for i, n in enumerate(wanted)]
    return c.write.view(x, _filled(c, x, wanted))


def _filled(c: Call, x: Tensor, wanted: Sequence[int]) -> Shape:
    if list(wanted).count(-1) > 1 or any(n < -1 for n in wanted):
        raise Malformed(f"reshapes to {shape_text(wanted)}")
    before, out = c.before[0] if c.before else None, c.before_out
    grown = before is not None and out is not None and before != x.shape and len(out) == len(wanted)
    if grown and before and out and all(n in (-1, size) for n, size in zip(wanted, out, strict=True)):
        return regrown(before, x.shape, out, c.batch)  # a shape that the batch did not change is written into the graph
    known = prod(n for n in wanted if n != -1)
    left = x.elements // known if known and x.elements % known == 0 else 0
    shape = tuple(left if n == -1 else n for n in wanted)
    if prod(shape) != x.elements:
        raise Malformed(f"reshapes {shape_text(x.shape)} to {shape_text(wanted)}, which has other elements")
    return shape


def regrown(before: Shape, now: Shape, out: Shape, batch: int) -> Shape:
    """Return the shape of a view at another batch, where ``out`` was written into the graph at the file's own.

    The batch stands in a dimension of its own, if there is one where the input has it. Else it joins what begins there,
    heads or windows, or the rows before it, if all that is left is the features.
    """
    places = [i for i, (a, b) in enumerate(zip(before, now, strict=True)) if a != b]
    if len(before) != len(now) or len(places) != 1 or now[places[0]] % before[places[0]]:
        raise Malformed(f"reshapes to {shape_text(out)}, and its batch cannot be found")
    place = places[0]
    outside, factor = prod(before[:place]), now[place] // before[place]
    last = outside * before[place] // batch
    outer = [prod(out[:axis]) for axis in range(len(out))]
    own = [axis for axis, count in enumerate(outer) if out[axis] == batch and outside <= count <= last]
    fitting = [axis for axis, count in enumerate(outer) if count == outside]
    around = [axis for axis, count in enumerate(outer) if count <= outside and count * out[axis] >= outside * batch]
    if not (own or fitting or around):
        raise Malformed(f"reshapes to {shape_text(out)}, which tears the batch apart")
    axis = (own or fitting or around)[0]
    if not own and fitting and axis and axis == len(out) - 1:
        axis -= 1
    return (*out[:axis], out[axis] * factor, *out[axis + 1 :])


@lowers("Flatten")
def flatten(c: Call) -> Result:
    """Lower a view as a matrix."""
    axis = c.int("axis", 1)
    axis = axis + c.x.rank if axis < 0 else axis
    if not 0 <= axis <= c.x.rank:
        raise Malformed(f"flattens at axis {axis} of {c.x.rank} dimensions")
    return c.write.view(c.x, (prod(c.x.shape[:axis]), prod(c.x.shape[axis:])))


@lowers("Squeeze")
def squeeze(c: Call) -> Result:
    """Lower a view without dimensions of one element."""
    x = c.x
    axes = c.numbers(1, "axes")
    gone = {i for i, n in enumerate(x.shape) if n == 1} if not axes else {axis_of(axis, x.rank) for axis in axes}
    if any(x.shape[i] != 1 for i in gone) and not c.before:
        raise Malformed(f"squeezes {shape_text(x.shape)} along {sorted(gone)}")
    return c.write.view(x, tuple(n for i, n in enumerate(x.shape) if i not in gone or n != 1))


@lowers("Unsqueeze")
def unsqueeze(c: Call) -> Result:
    """Lower a view with further dimensions of one element."""
    axes = c.numbers(1, "axes") or []
    rank = c.x.rank + len(axes)
    places = {axis_of(axis, rank) for axis in axes}
    if len(places) != len(axes):
        raise Malformed(f"unsqueezes along {axes}")
    sizes = iter(c.x.shape)
    return c.write.view(c.x, tuple(1 if i in places else next(sizes) for i in range(rank)))


@lowers("Transpose")
def transpose(c: Call) -> Result:
    """Lower a transposition."""
    order = c.ints("perm") or list(reversed(range(c.x.rank)))
    return transposed(c.write, c.x, order)


@lowers("Concat")
def concat(c: Call) -> Result:
    """Lower a concatenation."""
    return joined(c, c.there(), c.int("axis", 1 if c.opset < 4 else 0))


def joined(c: Call, parts: Sequence[Tensor], axis: int) -> Tensor:
    """Add a concatenation along an axis."""
    if not parts:
        raise Malformed("joins nothing")
    rank = parts[0].rank
    axis = axis_of(axis, rank) if rank else 0
    if any(part.rank != rank for part in parts):
        raise Malformed(f"joins tensors of {', '.join(str(part.rank) for part in parts[:6])} dimensions")
    filled = [part for part in parts if part.elements] or list(parts[:1])
    shape = list(filled[0].shape)
    for place in range(rank):
        sizes = {part.shape[place] for part in filled}
        if place == axis:
            shape[place] = sum(part.shape[place] for part in parts)
        elif len(sizes) > 1 and not (c.before and len(sizes) == 2 and max(sizes) == 2 * min(sizes)):
            raise Malformed(f"joins {' and '.join(shape_text(part.shape) for part in parts[:4])} along {axis}")
        else:
            shape[place] = max(sizes)  # a part written into the graph has the file's own batch
    moving = [part for part in filled if not part.fixed]
    if len(filled) == 1 and moving:
        return c.write.view(moving[0], shape)
    return copied(c.write, parts, shape)


@lowers("Split")
def split(c: Call) -> Result:
    """Lower views of parts along an axis: of stated sizes, or of equal ones."""
    x = c.x
    axis = axis_of(c.int("axis", 0), max(x.rank, 1))
    sizes = c.numbers(1, "split")
    if not sizes:
        count = c.int("num_outputs", c.outputs) or 1
        if count != c.outputs:
            raise Malformed(f"splits into {count} parts and has {c.outputs} results")
        whole = -(-x.shape[axis] // count)
        sizes = [min(whole, x.shape[axis] - i * whole) for i in range(count)]
    if sum(sizes) != x.shape[axis] or min(sizes) < 0 or len(sizes) != c.outputs:
        raise Malformed(f"splits {shape_text(x.shape)} along {axis} into {c.outputs} of {sizes[:8]}")
    return [c.write.view(x, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes]


@lowers("Slice")
def slice_(c: Call) -> Result:
    """Lower a view of a part: starts, ends, axes and steps, which once were attributes."""
    x = c.x
    starts, ends = c.numbers(1, "starts"), c.numbers(2, "ends")
    axes, steps = c.numbers(3, "axes"), c.numbers(4)
    if starts is None or ends is None or len(starts) != len(ends):
        raise Malformed("does not say where its parts begin and end")
    places = [axis_of(axis, x.rank) for axis in (axes or range(len(starts)))]
    steps = steps or [1] * len(starts)
    if not len(places) == len(steps) == len(starts) or 0 in steps:
        raise Malformed(f"says {len(starts)} starts, {len(places)} axes and {len(steps)} steps")
    shape = list(x.shape)
    for start, end, axis, step in zip(starts, ends, places, steps, strict=True):
        shape[axis] = len(range(*slice(start, end, step).indices(x.shape[axis])))
    before, out = c.before[0] if c.before else None, c.before_out
    if before is not None and out is not None and len(before) == len(out) == x.rank:
        for axis, size in enumerate(x.shape):
            if size != before[axis] == out[axis]:
                shape[axis] = size  # the end that is written into the graph is that of the file's own batch
    return c.write.view(x, checked(shape, "its result"))


@lowers("Expand")
def expand(c: Call) -> Result:
    """Lower a repetition along dimensions of one element."""
    wanted = c.numbers(1)
    if wanted is None:
        raise Malformed("says no shape")
    shape = broadcast(c.x.shape, checked(wanted, "its result"))
    return c.write.view(c.x, shape) if prod(shape) == c.x.elements else copied(c.write, (c.x,), shape)


@lowers("Tile")
def tile(c: Call) -> Result:
    """Lower a repetition."""
    x = c.x
    counts = c.numbers(1)
    if counts is not None and c.opset < 6 and len(c.inputs) == 3:
        axis = (c.numbers(2) or [0])[0]
        counts = [counts[0] if i == axis else 1 for i in range(x.rank)]
    if counts is None or len(counts) != x.rank:
        raise Malformed(f"repeats {shape_text(x.shape)} {counts} times")
    shape = checked([n * count for n, count in zip(x.shape, counts, strict=True)], "its result")
    return c.write.view(x, shape) if shape == x.shape else copied(c.write, (x,), shape)


@lowers("Pad")
def pad(c: Call) -> Result:
    """Lower a padding; a negative one cuts."""
    x = c.x
    pads = c.numbers(1, "pads" if c.opset > 1 else "paddings")
    axes = [axis_of(axis, x.rank) for axis in (c.numbers(3) or range(x.rank))]
    if pads is None or len(pads) != 2 * len(axes):
        raise Malformed(f"pads {shape_text(x.shape)} by {pads}")
    shape = list(x.shape)
    for i, axis in enumerate(axes):
        shape[axis] += pads[i] + pads[i + len(axes)]
    return c.write.view(x, shape) if max(pads, default=0) <= 0 else copied(c.write, (x,), shape, "pad")


@lowers("CenterCropPad")
def crop(c: Call) -> Result:
    """Lower a crop or padding around the middle."""
    wanted = c.numbers(1) or []
    axes = [axis_of(axis, c.x.rank) for axis in (c.ints("axes") or range(c.x.rank))]
    if len(axes) != len(wanted):
        raise Malformed(f"crops {len(axes)} axes to {len(wanted)} sizes")
    shape = list(c.x.shape)
    for axis, size in zip(axes, wanted, strict=True):
        shape[axis] = size
    grows = any(a > b for a, b in zip(shape, c.x.shape, strict=True))
    return copied(c.write, (c.x,), shape, "pad") if grows else c.write.view(c.x, shape)


@lowers("DepthToSpace", "SpaceToDepth")
def depth(c: Call) -> Result:
    """Lower a move of elements between channels and positions."""
    x, size = c.x, c.int("blocksize", 1)
    if x.rank != 4 or size < 1:
        raise Malformed(f"moves blocks of {size} of {shape_text(x.shape)}")
    n, channels, height, width = x.shape
    if c.op == "DepthToSpace":
        shape = (n, channels // (size * size), height * size, width * size)
    else:
        shape = (n, channels * size * size, height // size, width // size)
    if prod(shape) != x.elements:
        raise Malformed(f"moves blocks of {size} of {shape_text(x.shape)}, which they do not divide")
    return copied(c.write, (x,), shape)


@lowers("ReverseSequence")
def reverse(c: Call) -> Result:
    """Lower a reversal."""
    return copied(c.write, (c.x,), c.x.shape, "reverse")
