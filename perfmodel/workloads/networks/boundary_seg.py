"""BGNet: segmentation of hidden objects guided by their edges."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, features
from perfmodel.workloads.networks.mobile_layers import conv_norm
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("bgnet")
def bgnet(
    name: str,
    *,
    backbone: Backbone = "res2net50d",
    widths: Sequence[int] = (64, 128, 256, 256),
    image: int | Sequence[int] = 416,
) -> Network:
    """Return BGNet: edges from a backbone's first and last maps, which gate all maps before they are joined.

    ``widths`` that the four maps are brought to. Source: Sun et al. 2022 (arXiv 2207.00794), section 3;
    thograce/BGNet net/bgnet.py.
    """
    b = Builder(name, "bgnet", (3, *sides(image)))
    maps = features(b, b.input(), backbone, (2, 3, 4, 5))
    with b.block("edge"):
        fine = conv_norm(b, maps[0], 64, act="relu", name="reduce1")
        deep = conv_norm(b, maps[3], 256, act="relu", name="reduce4")
        x = b.concat([_like(b, deep, fine), fine])
        x = b.conv_bn(b.conv_bn(x, 256, 3, name="conv1"), 256, 3, name="conv2")
        edge = b.act(b.conv(x, 1, name="out"), "sigmoid")
    gated: list[Value] = []
    for index, (x, width) in enumerate(zip(maps, widths, strict=True)):
        with b.block(f"gate{index}"):
            y = b.add(b.scale(x, _like(b, edge, x)), x)
            y = b.channel_attention(b.conv_bn(y, x.channels, 3))
            gated.append(conv_norm(b, y, width, act="relu", name="reduce"))
    found, above = [edge], gated[-1]
    for index in (2, 1, 0):
        with b.block(f"context{index}"):
            above = _context(b, gated[index], above)
            found.append(b.conv(above, 1, name="predict"))
    with b.block("upsample"):
        return b.build(*(b.resize(y, sides(image)) for y in found))


def _like(b: Builder, x: Value, target: Value) -> Value:
    return x if x.shape[1:] == target.shape[1:] else b.resize(x, [int(n) for n in target.shape[1:]])


def _context(b: Builder, fine: Value, coarse: Value) -> Value:
    """Add the joining of two maps: four shares of the channels with dilations of 1 to 4 that feed each other."""
    width = int(fine.channels)
    x = conv_norm(b, b.concat([fine, _like(b, coarse, fine)]), width, act="relu", name="conv1")
    parts = b.split(x, (width // 4,) * 4)
    y = b.add(parts[0], parts[1], name="sum0")
    found: list[Value] = []
    for index in range(4):
        y = b.conv_bn(y, width // 4, 3, dilation=index + 1, name=f"dilated{index}")
        found.append(y)
        if index < 3:
            y = b.add(y, parts[index + 1], name=f"sum{index + 1}")
            y = b.add(y, parts[index + 2], name=f"sum{index + 1}b") if index < 2 else y
    return b.conv_bn(b.add(x, conv_norm(b, b.concat(found), width, act="relu", name="mix")), width, 3, name="out")
