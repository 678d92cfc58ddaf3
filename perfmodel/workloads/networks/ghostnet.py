"""GhostNet v1 to v3 and RepGhostNet: half of the channels are made from the other half by depthwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, depthwise
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family

BRANCHES = 3
"""Parallel convolutions of GhostNetV3's layers while they are not fused."""

GHOST: tuple[tuple[int, int, int, float, int], ...] = (
    (3, 16, 16, 0, 1), (3, 48, 24, 0, 2), (3, 72, 24, 0, 1), (5, 72, 40, 0.25, 2), (5, 120, 40, 0.25, 1),
    (3, 240, 80, 0, 2), (3, 200, 80, 0, 1), (3, 184, 80, 0, 1), (3, 184, 80, 0, 1), (3, 480, 112, 0.25, 1),
    (3, 672, 112, 0.25, 1), (5, 672, 160, 0.25, 2), (5, 960, 160, 0, 1), (5, 960, 160, 0.25, 1), (5, 960, 160, 0, 1),
    (5, 960, 160, 0.25, 1),
)  # fmt: skip
"""Kernel, expanded channels, channels, squeeze and stride of each block (arXiv 1911.11907, table 1)."""


@dataclass(frozen=True)
class _Kind:
    """Which GhostNet: 1 to 3, or 0 for RepGhostNet; whether parallel branches are merged."""

    version: int
    fused: bool


@family("ghostnet")
def ghostnet(
    name: str,
    *,
    version: int = 1,
    width: float = 1.0,
    blocks: Sequence[Sequence[float]] = GHOST,
    head: int = 1280,
    fused: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a GhostNet of a ``version`` (1, 2, 3, or 0 for RepGhostNet), ``width`` scales its channels.

    ``blocks`` are (kernel, expanded channels, channels, squeeze, stride). ``fused`` merges the parallel branches of
    version 3 and of RepGhostNet, as for deployment. Sources: arXiv 1911.11907, 2211.12905, 2404.11202, 2211.06088
    (RepGhost); timm 1.0 models/ghostnet.py, repghost.py.
    """
    b = Builder(name, "ghostnet", (3, image, image))
    kind = _Kind(version, fused)
    x = b.conv_bn(b.input(), divisible(16 * width, 4), 3, 2, name="conv_stem")
    for index, (kernel, wide, channels, ratio, stride) in enumerate(blocks):
        mid, out = divisible(wide * width, 4), divisible(channels * width, 4)
        with b.block(f"blocks.{index}"):
            x = _block(b, x, kind, index, int(kernel), mid, out, ratio, int(stride))
    last = divisible(blocks[-1][1] * width * (1 if version else 2), 4)
    x = b.conv_bn(x, last, name="conv_last")
    x = b.act(b.conv(b.global_pool(x, keep=True), head, name="conv_head"), "relu")
    return b.build(b.linear(b.flatten(x), classes, name="classifier"))


def _block(
    b: Builder, x: Value, kind: _Kind, index: int, kernel: int, mid: int, out: int, ratio: float, stride: int
) -> Value:  # fmt: skip
    y = _ghost(b, x, kind, mid, "relu", gated=index > 1 and kind.version > 1, name="ghost1")
    if stride > 1:
        y = _strided(b, y, kind, kernel, stride)
    if ratio:
        y = b.squeeze_excite(y, divisible(mid * ratio, 4), gate="hard_sigmoid")
    y = _ghost(b, y, kind, out, "", gated=False, name="ghost2")
    if stride != 1 or x.channels != out:
        x = depthwise(b, x, kernel, stride, name="shortcut_dw")
        x = conv_norm(b, x, out, bias=False, name="shortcut_pw")
    return b.add(y, x)


def _strided(b: Builder, x: Value, kind: _Kind, kernel: int, stride: int) -> Value:
    if kind.version != 3:
        return depthwise(b, x, kernel, stride)
    channels = int(x.channels)
    if kind.fused:
        return b.conv(x, channels, kernel, stride, groups=channels, name="conv_dw")
    y = conv_norm(b, x, channels, 1, stride, 0, groups=channels, bias=False, name="dw_scale")
    for branch in range(BRANCHES):
        y = b.add(y, depthwise(b, x, kernel, stride, name=f"dw_conv.{branch}"))
    return y


def _ghost(b: Builder, x: Value, kind: _Kind, out: int, act: str, *, gated: bool, name: str) -> Value:
    """Add a ghost module: a 1x1 convolution and a depthwise one of its result, joined (RepGhost: added)."""
    with b.scope(name):
        if not kind.version:
            return _repghost(b, x, out, act, kind.fused)
        half = -(-out // 2)
        if kind.version == 3:
            first = _primary(b, x, half, act, kind.fused)
            second = _cheap(b, first, act, kind.fused)
        else:
            first = conv_norm(b, x, half, bias=False, act=act, name="primary")
            second = depthwise(b, first, act=act, name="cheap")
        y = b.concat((first, second))
        y = y if y.channels == out else b.view(y, (out, *y.shape[1:]), name="cut")
        return b.multiply(y, _gate(b, x, y)) if gated else y


def _gate(b: Builder, x: Value, y: Value) -> Value:
    """Add attention along rows and columns at half the resolution, which gates the module's result."""
    out = int(y.channels)
    with b.scope("short"):
        z = conv_norm(b, b.avg_pool(x, 2), out, bias=False, name="conv")
        z = depthwise(b, z, (1, 5), name="rows")
        z = b.act(depthwise(b, z, (5, 1), name="columns"), "sigmoid")
        return b.resize(z, [int(n) for n in y.shape[1:]], "nearest")


def _primary(b: Builder, x: Value, half: int, act: str, fused: bool) -> Value:
    if fused:
        y = b.conv(x, half, name="primary")
    else:
        y = conv_norm(b, x, half, bias=False, name="primary.0")
        for branch in range(1, BRANCHES):
            y = b.add(y, conv_norm(b, x, half, bias=False, name=f"primary.{branch}"))
    return b.act(y, act, name="primary_act") if act else y


def _cheap(b: Builder, x: Value, act: str, fused: bool) -> Value:
    channels = int(x.channels)
    if fused:
        y = b.conv(x, channels, 3, groups=channels, name="cheap")
    else:
        y = conv_norm(b, x, channels, groups=channels, bias=False, name="cheap_scale")
        y = b.add(y, b.batch_norm(x, name="cheap_skip"))
        for branch in range(BRANCHES):
            y = b.add(y, depthwise(b, x, name=f"cheap.{branch}"))
    return b.act(y, act, name="cheap_act") if act else y


def _repghost(b: Builder, x: Value, out: int, act: str, fused: bool) -> Value:
    first = conv_norm(b, x, out, bias=False, act=act, name="primary")
    if fused:
        y = b.conv(first, out, 3, groups=out, name="cheap")
    else:
        y = b.add(depthwise(b, first, name="cheap"), b.batch_norm(first, name="fusion"))
    return b.act(y, act) if act else y
