"""Convolutional blocks of CoAtNet and MaxViT: inverted bottlenecks with normalised input, ConvNeXt blocks."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value


@dataclass(frozen=True)
class ConvStyle:
    """How a convolutional block is built; ``kind`` is "mbconv" or "convnext".

    ``from_input``: the width inside is four times that of the input, not of the output. ``act_first``: an activation
    follows the first norm. ``bias`` is of the last layer and the shortcut. ``stride``: on the depthwise convolution
    ("dw"), or by "pool" before the first layer. ``pool``: "avg2", "avg3" (a window of 3) or "max3". ``squeeze`` is the
    part of the output's width (of the inner one, if ``from_input``) inside squeeze-and-excitation, which stands before
    the norm if ``squeeze_early``. ``project``: the shortcut of a stride has a layer though the width stays.
    """

    kind: str = "mbconv"
    act: str = "gelu"
    padding: str | None = None
    from_input: bool = False
    act_first: bool = False
    bias: bool = True
    stride: str = "dw"
    pool: str = "avg2"
    squeeze: float = 0.25
    squeeze_early: bool = False
    project: bool = False


def downsample(
    b: Builder, x: Value, channels: int, pool: str, *, padding: str | None = None, bias: bool = True,
    project: bool = False, name: str = "shortcut",
) -> Value:  # fmt: skip
    """Halve the sides by pooling and widen by a 1x1 layer where the width changes."""
    with b.scope(name):
        window = 2 if pool == "avg2" else 3
        x = b.avg_pool(x, window, 2, padding or (0 if window == 2 else 1))
        return b.conv(x, channels, bias=bias, name="expand") if project or x.channels != channels else x


def normed(b: Builder, x: Value, kind: str, act: str = "", *, name: str = "norm") -> Value:
    """Add a norm of each position's channels ("layer") or a batch norm, and an activation if one is named."""
    x = b.batch_norm(x, name=name) if kind == "batch" else b.layer_norm(x, channels_first=True, name=name)
    return b.act(x, act, name=f"{name}_act") if act else x


def conv_block(b: Builder, x: Value, channels: int, stride: int, style: ConvStyle) -> Value:
    """Add one convolutional block."""
    build = _mbconv if style.kind == "mbconv" else _convnext
    with b.scope("conv"):
        return build(b, x, channels, stride, style)


def _mbconv(b: Builder, x: Value, channels: int, stride: int, style: ConvStyle) -> Value:
    """Add norm, 1x1 times four, 3x3 depthwise, squeeze-and-excitation, 1x1 (arXiv 2106.04803, appendix A.1)."""
    inner = int(4 * (x.channels if style.from_input else channels))
    skip = x
    if stride == 2:
        skip = downsample(
            b, x, channels, style.pool, padding=style.padding, bias=style.bias, project=style.project
        )  # fmt: skip
    y = normed(b, x, "batch", style.act if style.act_first else "", name="pre_norm")
    if stride == 2 and style.stride == "pool":
        y, stride = downsample(b, y, int(x.channels), "avg2", padding=style.padding, name="down"), 1
    y = normed(b, b.conv(y, inner, bias=False, name="conv1"), "batch", style.act, name="norm1")
    y = b.conv(y, inner, 3, stride, style.padding, groups=inner, bias=False, name="conv2")
    reduced = int(style.squeeze * (inner if style.from_input else channels))
    if style.squeeze_early:
        y = normed(b, b.squeeze_excite(y, reduced), "batch", style.act, name="norm2")
    else:
        y = b.squeeze_excite(normed(b, y, "batch", style.act, name="norm2"), reduced)
    return b.add(b.conv(y, channels, bias=style.bias, name="conv3"), skip)


def _convnext(b: Builder, x: Value, channels: int, stride: int, style: ConvStyle) -> Value:
    """Add 7x7 depthwise, norm, 1x1 times four, 1x1, a gain a channel (arXiv 2201.03545, section 2.6)."""
    skip = downsample(b, x, channels, "avg2") if stride == 2 else x
    if stride == 2 and style.stride == "pool":
        x, stride = downsample(b, x, int(x.channels), "avg2", name="down"), 1
    y = b.conv(x, channels, 7, stride, groups=x.channels, bias=style.bias, name="conv_dw")
    y = normed(b, y, "layer")
    y = b.act(b.conv(y, 4 * channels, bias=style.bias, name="fc1"), style.act)
    y = b.conv(y, channels, bias=style.bias, name="fc2")
    return b.add(b.scale(y, parameters=channels, name="ls"), skip)
