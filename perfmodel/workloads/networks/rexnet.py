"""ReXNet: inverted residuals whose channels grow by the same step from block to block."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, depthwise
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family

STRIDES = (1, 2, 2, 2, 1, 2)


@family("rexnet")
def rexnet(
    name: str,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    depths: Sequence[int] = (1, 2, 2, 3, 3, 5),
    first: int = 16,
    last: int = 180,
    divisor: int = 1,
    squeeze: float = 1 / 12,
    expand: float = 6.0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a ReXNet: channels grow from ``first`` by ``last`` in equal steps of ``depths`` blocks, times ``width``.

    ``divisor`` rounds channels, ``squeeze`` is the part that squeeze-and-excitation keeps (from the third stage on),
    ``expand`` the widening of blocks (none in the first stage). Source: Han et al. 2020 (arXiv 2007.00992); timm 1.0
    models/rexnet.py.
    """
    b = Builder(name, "rexnet", (3, image, image))
    counts = [ceil(n * depth) for n in depths]
    total, floor = sum(counts), max(1.0, 1.0 / width)
    x = b.conv_bn(b.input(), divisible(round(32 * floor * width), divisor), 3, 2, act="silu", name="stem")
    index, base = 0, first * floor
    for stage, count in enumerate(counts):
        for place in range(count):
            out = divisible(round(base * width), divisor)
            base += last / total
            with b.block(f"features.{index}"):
                stride = STRIDES[stage] if not place else 1
                x = _block(b, x, out, stride, expand if stage else 1.0, squeeze if stage > 1 else 0.0, divisor)
            index += 1
    x = b.conv_bn(x, divisible(1280 * width, divisor), act="silu", name=f"features.{index}")
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


def _block(b: Builder, x: Value, out: int, stride: int, expand: float, squeeze: float, divisor: int) -> Value:
    mid, y = int(x.channels), x
    if expand != 1.0:
        mid = divisible(round(x.channels * expand), divisor)
        y = b.conv_bn(x, mid, act="silu", name="conv_exp")
    y = depthwise(b, y, 3, stride)
    if squeeze:
        y = _squeeze(b, y, divisible(int(mid * squeeze), divisor))
    y = b.act(y, "relu6", name="act_dw")
    y = conv_norm(b, y, out, bias=False, name="conv_pwl")
    if stride == 1 and x.channels <= out:
        kept, new = b.split(y, (x.channels, out - x.channels))
        return b.concat((b.add(kept, x), new))
    return y


def _squeeze(b: Builder, x: Value, reduced: int) -> Value:
    """Add squeeze-and-excitation with a norm inside."""
    with b.scope("se"):
        y = conv_norm(b, b.global_pool(x, keep=True), reduced, act="relu", name="fc1")
        return b.scale(x, b.act(b.conv(y, x.channels, name="fc2"), "sigmoid", name="gate"))
