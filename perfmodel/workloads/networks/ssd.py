"""Single-shot detectors: boxes from feature maps of a backbone and of a few more layers, without a pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("ssd")
def ssd(
    name: str,
    *,
    backbone: Backbone,
    taps: Sequence[Tap],
    extras: Sequence[Sequence[int | str]],
    anchors: Sequence[int],
    dense: Sequence[int] = (),
    rescaled: bool = False,
    style: str = "plain",
    head_style: str = "",
    head_kernel: int = 3,
    head_stride: int = 1,
    act: str = "relu",
    image: int | Sequence[int] = 300,
    classes: int = 91,
) -> Network:
    """Return an SSD: heads of ``anchors`` boxes a position on ``taps`` of a ``backbone`` and on ``extras``.

    An extra is [width of its 1x1 layer, channels, stride, padding]; ``dense`` are VGG's dense layers as convolutions
    behind the last tap, ``rescaled`` normalises the first feature map. ``style`` of the extras: "plain" (biases),
    "norm" (batch norms) or "separable" (depthwise, batch norms); ``head_style`` of the heads where it is another.

    Source: Liu et al. 2015 (arXiv 1512.02325), figure 2; SSDLite: Sandler et al. 2018 (arXiv 1801.04381), section 6.2;
    torchvision models/detection/ssd.py, ssdlite.py; mlcommons/inference vision/classification_and_detection/python/
    models. Omits: decoding and suppression of boxes.
    """
    b = Builder(name, "ssd", (3, *sides(image)))
    maps = features(b, b.input(), backbone, taps)
    layers = _Layers(style, act)
    last = maps[-1]
    if rescaled:
        positions = int(maps[0].shape[1] * maps[0].shape[2])
        op = ops.RmsNorm(positions, maps[0].channels)
        maps[0] = b.node("rescale", op, (maps[0],), maps[0].shape, maps[0].channels)
    if dense:
        with b.block("dense"):
            last = _dense(b, last, dense)
        maps[-1] = last
    for index, extra in enumerate(extras):
        with b.block(f"extras.{index}"):
            last = layers.further(b, last, extra)
        maps.append(last)
    heads = _Layers(head_style or style, act)
    found: list[Value] = []
    for index, (x, count) in enumerate(zip(maps, anchors, strict=True)):
        with b.block(f"heads.{index}"):
            for what, outputs in (("classes", classes), ("boxes", 4)):
                found.append(heads.head(b, x, count * outputs, head_kernel, head_stride, what))
    return b.build(*found)


def _dense(b: Builder, x: Value, widths: Sequence[int]) -> Value:
    """Add VGG's fifth pooling without its stride, and its dense layers as a dilated 3x3 and a 1x1 convolution."""
    x = b.max_pool(x, 3, 1, 1, name="pool5")
    x = b.act(b.conv(x, widths[0], 3, dilation=6, name="fc6"), name="fc6_act")
    return b.act(b.conv(x, widths[1], name="fc7"), name="fc7_act")


@dataclass(frozen=True)
class _Layers:
    """How extras and heads are made."""

    style: str
    act: str

    def further(self, b: Builder, x: Value, extra: Sequence[int | str]) -> Value:
        """Add a 1x1 layer and one that may have a stride."""
        middle, out, stride = (int(n) for n in extra[:3])
        padding = extra[3] if isinstance(extra[3], str) else int(extra[3])
        if self.style == "plain":
            x = b.act(b.conv(x, middle, name="reduce"), self.act, name="reduce_act")
            return b.act(b.conv(x, out, 3, stride, padding, name="conv"), self.act, name="conv_act")
        x = b.conv_bn(x, middle, act=self.act, name="reduce")
        if self.style == "norm":
            return b.conv_bn(x, out, 3, stride, padding, act=self.act)
        x = b.conv_bn(x, middle, 3, stride, padding, groups=middle, act=self.act, name="depthwise")
        return b.conv_bn(x, out, act=self.act)

    def head(self, b: Builder, x: Value, outputs: int, kernel: int, stride: int, name: str) -> Value:
        """Add a convolution to classes or boxes."""
        if self.style == "separable":
            y = b.conv_bn(x, x.channels, kernel, stride, groups=x.channels, act=self.act, name=f"{name}_depthwise")
            return b.conv(y, outputs, name=name)
        return b.conv(x, outputs, kernel, stride, name=name)
