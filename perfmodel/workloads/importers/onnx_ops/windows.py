"""Where the windows of ONNX's convolutions and pools lie: padding in all its spellings, and sides that result."""

from __future__ import annotations

from perfmodel.workloads.importers.graphs.tensors import Malformed, Shape
from perfmodel.workloads.importers.onnx_ops.call import Call


def padding(c: Call, sizes: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """Return the padding of both ends together, a number a side; SAME keeps ``ceil(n/stride)`` positions."""
    sides = len(sizes)
    auto = c.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
        )
    if auto == "VALID":
        return (0,) * sides
    if auto not in ("NOTSET", ""):
        raise Malformed(f"attribute 'auto_pad' is '{auto[:40]}'")
    pads = c.ints("pads") or [0] * 2 * sides
    if len(pads) != 2 * sides:
        raise Malformed(f"attribute 'pads' has {len(pads)} numbers for {sides} sides")
    if min(pads) < 0:
        raise Malformed(f"attribute 'pads' is {pads}; its numbers must be at least 0")
    return tuple(pads[i] + pads[i + sides] for i in range(sides))


def pool_sides(c: Call, sizes: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """Return the sides that a pool leaves; ``ceil_mode`` counts a last window that begins before the end."""
    pads = padding(c, sizes, kernel, stride, dilation)
    begins = (c.ints("pads") or [0] * 2 * len(sizes))[: len(sizes)]
    found: list[int] = []
    for i, n in enumerate(sizes):
        span = n + pads[i] - dilation[i] * (kernel[i] - 1) - 1
        count = (-(-span // stride[i]) if c.flag("ceil_mode") else span // stride[i]) + 1
        if (
            c.flag("ceil_mode")
            and c.text("auto_pad", "NOTSET") in ("NOTSET", "")
            and (count - 1) * stride[i] >= n + begins[i]
        ):
            count -= 1  # the last window would begin in the padding
        if span < 0 or count < 1:
            raise Malformed(f"leaves nothing: a window of {kernel[i]} over {n} positions; is the input too small?")
        found.append(count)
    return tuple(found)
