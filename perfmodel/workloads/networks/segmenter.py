"""Segmentation over a dilated backbone: FCN, DeepLab v3 and v3+, LR-ASPP, PSPNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@dataclass(frozen=True)
class Style:
    """What heads are told: the width of their branches, dilations, the decoder's low width, and classes."""

    width: int
    rates: Sequence[int]
    low_width: int
    separable: bool
    classes: int


@family("segmenter")
def segmenter(
    name: str,
    *,
    backbone: Backbone,
    head: str,
    taps: Sequence[Tap],
    width: int = 256,
    rates: Sequence[int] = (12, 24, 36),
    low_width: int = 48,
    separable: bool = False,
    auxiliary: Tap = "",
    upsample: bool = True,
    image: int | Sequence[int] = 520,
    classes: int = 21,
) -> Network:
    """Return a segmentation network: a ``head`` on ``taps`` (from coarse to fine) of a ``backbone``, and upsampling.

    ``head``: "fcn" (a 3x3 layer of a quarter of the channels), "aspp" (dilated branches of ``width`` with ``rates``,
    DeepLab v3), "aspp-decoder" (then joined with a finer map brought to ``low_width``, v3+), "lraspp" (a gate and two
    classifiers) or "pyramid" (poolings to ``rates`` positions a side, PSPNet). ``separable``: depthwise separable 3x3
    layers. ``auxiliary``: a tap with a classifier of its own, which torchvision's networks run in inference as well.

    Source: FCN (arXiv 1411.4038), DeepLab v3 (1706.05587) and v3+ (1802.02611), LR-ASPP (1905.02244, section 6.4),
    PSPNet (1612.01105); torchvision models/segmentation.
    """
    b = Builder(name, "segmenter", (3, *sides(image)))
    extra = [auxiliary] if auxiliary else []
    maps = features(b, b.input(), backbone, [*taps, *extra])
    style = Style(width, rates, low_width, separable, classes)
    with b.block("head"):
        found = [HEADS[head](b, maps[: len(taps)], style)]
    if auxiliary:
        with b.block("auxiliary"):
            found.append(_fcn(b, maps[-1:], style))
    if upsample:
        with b.block("upsample"):
            found = [b.resize(y, sides(image)) for y in found]
    return b.build(*found)


def _fcn(b: Builder, maps: Sequence[Value], style: Style) -> Value:
    y = b.conv_bn(maps[0], int(maps[0].channels) // 4, 3)
    return b.conv(y, style.classes, name="classifier")


def _sides(x: Value) -> list[int]:
    return [int(n) for n in x.shape[1:]]


def _wide(b: Builder, x: Value, channels: int, style: Style, *, dilation: int = 1, name: str) -> Value:
    """Add a 3x3 layer, perhaps as a depthwise and a pointwise one."""
    if style.separable:
        x = b.conv_bn(x, x.channels, 3, groups=x.channels, dilation=dilation, name=f"{name}_depthwise")
        return b.conv_bn(x, channels, name=name)
    return b.conv_bn(x, channels, 3, dilation=dilation, name=name)


def _pyramid(b: Builder, x: Value, style: Style) -> Value:
    """Add atrous spatial pyramid pooling: a 1x1 layer, dilated 3x3 layers, the mean, and a layer of them all."""
    found = [b.conv_bn(x, style.width, name="aspp0")]
    for index, rate in enumerate(style.rates):
        found.append(_wide(b, x, style.width, style, dilation=rate, name=f"aspp{index + 1}"))
    mean = b.conv_bn(b.global_pool(x, keep=True), style.width, name="aspp_pool")
    found.append(b.resize(mean, _sides(x)))
    return b.conv_bn(b.concat(found), style.width, name="project")


def _aspp(b: Builder, maps: Sequence[Value], style: Style) -> Value:
    y = b.conv_bn(_pyramid(b, maps[0], style), style.width, 3)
    return b.conv(y, style.classes, name="classifier")


def _aspp_decoder(b: Builder, maps: Sequence[Value], style: Style) -> Value:
    coarse, fine = maps
    y = b.resize(_pyramid(b, coarse, style), _sides(fine))
    y = b.concat([y, b.conv_bn(fine, style.low_width, name="low")])
    for index in range(2):
        y = _wide(b, y, style.width, style, name=f"decoder{index}")
    return b.conv(y, style.classes, name="classifier")


def _lraspp(b: Builder, maps: Sequence[Value], style: Style) -> Value:
    coarse, fine = maps
    gate = b.conv(b.global_pool(coarse, keep=True), style.width, bias=False, name="scale")
    y = b.scale(b.conv_bn(coarse, style.width, name="cbr"), b.act(gate, "sigmoid", name="gate"))
    y = b.conv(b.resize(y, _sides(fine)), style.classes, name="high_classifier")
    return b.add(b.conv(fine, style.classes, name="low_classifier"), y)


def _pooled(b: Builder, maps: Sequence[Value], style: Style) -> Value:
    x = maps[0]
    found = [x]
    for size in style.rates:
        y = b.conv_bn(b.adaptive_pool(x, size, name=f"pool{size}"), int(x.channels) // len(style.rates),
                      name=f"pyramid{size}")  # fmt: skip
        found.append(b.resize(y, _sides(x)))
    y = b.conv_bn(b.concat(found), style.width, 3)
    return b.conv(y, style.classes, name="classifier")


Head = Callable[[Builder, Sequence[Value], Style], Value]
HEADS: dict[str, Head] = {
    "fcn": _fcn, "aspp": _aspp, "aspp-decoder": _aspp_decoder, "lraspp": _lraspp, "pyramid": _pooled,
}  # fmt: skip
"""The function that adds each kind of head."""
