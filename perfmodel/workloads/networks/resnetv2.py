"""ResNet V2 and BiT: residual networks whose norms stand before the convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.normed import divisible, normalise
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import add_head


@family("resnetv2")
def resnetv2(
    name: str,
    depths: Sequence[int],
    *,
    block: str = "bottleneck",
    channels: Sequence[int] = (256, 512, 1024, 2048),
    width_factor: int = 1,
    stem: Sequence[int] = (64,),
    avg_down: bool = False,
    norm: str = "batch",
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a residual network of norm, activation, convolution, in that order; nothing follows a block's sum.

    ``channels`` are what the stages leave, times ``width_factor``; ``block`` "bottleneck" (a quarter of them inside)
    or "basic". ``stem``: one 7x7 convolution or three 3x3. ``norm``: :func:`.normed.normalise` ("group" in BiT).
    Source: He et al. 2016 (arXiv 1603.05027), figure 4e; BiT (arXiv 1912.11370); timm models/resnetv2.py. Omits:
    the standardisation of BiT's weights, which can be done once.
    """
    b = Builder(name, "resnetv2", (3, image, image))
    x = _stem(b, b.input(), [divisible(width * width_factor) for width in stem], norm)
    for stage, (depth, planes) in enumerate(zip(depths, channels, strict=True)):
        out = divisible(planes * width_factor)
        for index in range(depth):
            stride = 2 if stage and not index else 1
            with b.block(f"stages.{stage}.{index}"):
                ready = normalise(b, x, norm, name="norm1")
                changes = index == 0 and (block == "bottleneck" or stride > 1 or x.channels != out)
                past = _projected(b, ready, out, stride, avg_down) if changes else x
                x = b.add(_branch(b, ready, out, stride, block, norm), past)
    return b.build(add_head(b, normalise(b, x, norm), classes, name="head"))


def _stem(b: Builder, x: Value, widths: Sequence[int], norm: str) -> Value:
    for index, width in enumerate(widths):
        if index:
            x = normalise(b, x, norm, name=f"stem.norm{index}")
        kernel = 7 if len(widths) == 1 else 3
        x = b.conv(x, width, kernel, 1 if index else 2, bias=False, name=f"stem.conv{index + 1}")
    return b.max_pool(x, 3, 2, 1, name="stem.pool")


def _projected(b: Builder, x: Value, channels: int, stride: int, avg_down: bool) -> Value:
    if avg_down and stride > 1:
        x, stride = b.avg_pool(x, 2, stride, ceil=True, name="downsample_pool"), 1
    return b.conv(x, channels, 1, stride, bias=False, name="downsample")


def _branch(b: Builder, x: Value, channels: int, stride: int, block: str, norm: str) -> Value:
    if block == "basic":
        y = b.conv(x, channels, 3, stride, bias=False, name="conv1")
        return b.conv(normalise(b, y, norm, name="norm2"), channels, 3, bias=False, name="conv2")
    inner = divisible(channels / 4)
    y = b.conv(x, inner, bias=False, name="conv1")
    y = b.conv(normalise(b, y, norm, name="norm2"), inner, 3, stride, bias=False, name="conv2")
    return b.conv(normalise(b, y, norm, name="norm3"), channels, bias=False, name="conv3")
