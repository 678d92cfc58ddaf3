"""ONNX's convolutions: plain, transposed, deformable, and of whole numbers."""

from __future__ import annotations

from perfmodel.workloads.importers.graphs.layers import Window, activation, convolution
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor
from perfmodel.workloads.importers.onnx_ops.call import MICROSOFT, Call, Result, lowers
from perfmodel.workloads.importers.onnx_ops.windows import padding


def window(c: Call, x: Tensor, weight: Tensor) -> Window:
    """Return where the windows of a convolution lie."""
    sides = x.rank - 2
    if sides < 1 or weight.rank != x.rank:
        raise Malformed(f"needs an input and weights of 3 to 5 dimensions, not {x.rank} and {weight.rank}")
    kernel = c.sides("kernel_shape", sides, 0)
    if not all(kernel):
        kernel = weight.shape[2:]
    if kernel != weight.shape[2:]:
        raise Malformed(f"attribute 'kernel_shape' is {list(kernel)}, its weights' {list(weight.shape[2:])}")
    stride, dilation = c.sides("strides", sides, 1), c.sides("dilations", sides, 1)
    pads = padding(c, x.shape[2:], kernel, stride, dilation)
    return Window(kernel, stride, pads, dilation, c.int("group", 1))


def _convolved(c: Call, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return convolution(c.write, x, weight, bias, window(c, x, weight))


@lowers("Conv")
def conv(c: Call) -> Result:
    """Lower a convolution."""
    return _convolved(c, c.x, c.need(1), c.get(2))


@lowers("FusedConv", domain=MICROSOFT)
def fused_conv(c: Call) -> Result:
    """Lower a convolution with its activation."""
    y = _convolved(c, c.x, c.need(1), c.get(2))
    kind = c.text("activation")
    return activation(c.write, y, kind.lower()) if kind else y


@lowers("ConvInteger")
def conv_integer(c: Call) -> Result:
    """Lower a convolution of 8-bit numbers into 32 bits."""
    return _convolved(c, c.x, c.need(1), None)


@lowers("QLinearConv")
def quantised_conv(c: Call) -> Result:
    """Lower a convolution of 8-bit numbers: x, its scale and zero, w, its scale and zero, y's, bias."""
    return _convolved(c, c.x, c.need(3), c.get(8))


@lowers("ConvTranspose")
def conv_transpose(c: Call) -> Result:
    """Lower a transposed convolution; a stated output shape decides the padding."""
    x, weight = c.x, c.need(1)
    sides = x.rank - 2
    if sides < 1 or weight.rank != x.rank:
        raise Malformed(f"needs an input and weights of 3 to 5 dimensions, not {x.rank} and {weight.rank}")
    kernel = weight.shape[2:]
    stride, dilation = c.sides("strides", sides, 1), c.sides("dilations", sides, 1)
    extra = tuple(c.ints("output_padding") or (0,) * sides)
    wanted = c.ints("output_shape")
    same = c.text("auto_pad", "NOTSET").startswith("SAME")
    if len(extra) != sides or (wanted and len(wanted) < sides) or min(extra) < 0:
        raise Malformed(f"its output padding or shape is not of {sides} sides")
    if wanted or same:
        target = wanted[-sides:] if wanted else [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
        pads = tuple(
            (n - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 + extra[i] - target[i]
            for i, n in enumerate(x.shape[2:])
        )
    else:
        pads = padding(c, x.shape[2:], kernel, stride, dilation)
    place = Window(kernel, stride, pads, dilation, c.int("group", 1), extra)
    return convolution(c.write, x, weight, c.get(2), place, transposed=True)


@lowers("DeformConv")
def deform_conv(c: Call) -> Result:
    """Lower a deformable convolution: x, weights, offsets, bias, mask."""
    x, weight = c.x, c.need(1)
    masked = c.get(4) is not None
    return convolution(
        c.write, x, weight, c.get(3), window(c, x, weight), deformed=(c.int("offset_group", 1), masked),
        others=(c.need(2), c.get(4)),
    )  # fmt: skip


@lowers("CausalConvWithState")
def causal_conv(c: Call) -> Result:
    """Lower a depthwise convolution of a sequence that sees the past only: (batch, channels, tokens)."""
    x, weight = c.x, c.need(1)
    if x.rank != 3 or weight.rank != 3:
        raise Malformed("needs (batch, channels, tokens) and weights of three dimensions")
    kernel = weight.shape[2]
    place = Window((kernel,), (1,), (kernel - 1,), (1,), x.shape[1] // weight.shape[1])
    y = convolution(c.write, x, weight, c.get(2), place)
    state = c.write.view(x, (*x.shape[:2], kernel - 1))
    return [y, state][: max(c.outputs, 1)]
