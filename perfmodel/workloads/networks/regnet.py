"""RegNet X, Y and Z: bottlenecks of groups whose widths follow a line over depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import log

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.normed import conv_norm, divisible, normalise
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import add_head
from perfmodel.workloads.networks.vit_tokens import sides


@family("regnet")
def regnet(
    name: str,
    depth: int,
    w0: int,
    wa: float,
    wm: float,
    group_width: int,
    *,
    bottle_ratio: float = 1.0,
    squeeze: float = 0.0,
    rounding: float = 0.0,
    shortcut: str = "conv",
    preact: bool = False,
    linear_out: bool = False,
    features: int = 0,
    stem: int = 32,
    act: str = "relu",
    norm: str = "batch",
    image: int | Sequence[int] = 224,
    classes: int = 1000,
) -> Network:
    """Return a RegNet: block j of ``depth`` has the width ``w0 + wa*j``, in steps of ``wm``, in multiples of 8.

    Widths are made multiples of ``group_width``: the nearest, or with ``rounding`` 0.9 not below that part of them.
    ``squeeze``: what squeeze-excite leaves of a block's input (Y). ``shortcut``: "conv", "avg" (a mean before it) or
    "none" where widths change. ``bottle_ratio`` and ``linear_out``: wide inside and no activation after a sum (Z).
    ``preact``: norms before convolutions (V). ``features``: of a last 1x1 convolution, if any.

    Source: Radosavovic et al. 2020 (arXiv 2003.13678), section 3.3, equations 2 to 4; RegNetZ: Dollar et al. 2021
    (arXiv 2103.06877); torchvision models/regnet.py (rounding 0.9); timm models/regnet.py.
    """
    b = Builder(name, "regnet", (3, *sides(image)))
    block = _Block(bottle_ratio, squeeze, shortcut, linear_out, act, norm)
    if preact:
        x = b.conv(b.input(), stem, 3, 2, bias=False, name="stem")
    else:
        x = conv_norm(b, b.input(), stem, 3, 2, norm=norm, act=act, name="stem")
    for stage, (width, group, count) in enumerate(_stages(depth, w0, wa, wm, group_width, bottle_ratio, rounding), 1):
        for index in range(count):
            with b.block(f"s{stage}.b{index + 1}"):
                add = block.preactivated if preact else block.plain
                x = add(b, x, width, group, 1 if index else 2)
    if features:
        x = conv_norm(b, x, features, norm=norm, act=act, name="final_conv")
    elif linear_out or preact:
        x = b.act(x, act, name="final_act")
    return b.build(add_head(b, x, classes, name="head"))


def _stages(
    depth: int, w0: int, wa: float, wm: float, group_width: int, ratio: float, rounding: float
) -> list[tuple[int, int, int]]:
    """Return (width, group width, blocks) of each stage."""
    steps = [round(log((w0 + wa * j) / w0) / log(wm)) for j in range(depth)]
    widths = sorted(round(w0 * wm**step / 8) * 8 for step in steps)
    found: list[tuple[int, int, int]] = []
    for width, blocks in groupby(widths):
        inner = int(width * ratio)
        group = min(group_width, inner)
        inner = divisible(inner, group, limit=rounding) if rounding else round(inner / group) * group
        found.append((int(inner / ratio), group, len(list(blocks))))
    return found


@dataclass(frozen=True)
class _Block:
    ratio: float
    squeeze: float
    shortcut: str
    linear_out: bool
    act: str
    norm: str

    def plain(self, b: Builder, x: Value, width: int, group: int, stride: int) -> Value:
        inner = round(width * self.ratio)
        y = conv_norm(b, x, inner, norm=self.norm, act=self.act, name="conv1")
        y = conv_norm(b, y, inner, 3, stride, groups=inner // group, norm=self.norm, act=self.act, name="conv2")
        y = conv_norm(b, self._squeezed(b, y, x), width, norm=self.norm, act="", name="conv3")
        y = self._sum(b, y, x, stride, self.norm)
        return y if self.linear_out else b.act(y, self.act)

    def preactivated(self, b: Builder, x: Value, width: int, group: int, stride: int) -> Value:
        inner = round(width * self.ratio)
        x = normalise(b, x, self.norm, self.act, name="norm1")
        y = normalise(b, b.conv(x, inner, bias=False, name="conv1"), self.norm, self.act, name="norm2")
        y = b.conv(y, inner, 3, stride, groups=inner // group, bias=False, name="conv2")
        y = normalise(b, self._squeezed(b, y, x), self.norm, self.act, name="norm3")
        return self._sum(b, b.conv(y, width, bias=False, name="conv3"), x, stride, "")

    def _squeezed(self, b: Builder, y: Value, x: Value) -> Value:
        return b.squeeze_excite(y, round(x.channels * self.squeeze), act=self.act) if self.squeeze else y

    def _sum(self, b: Builder, y: Value, x: Value, stride: int, norm: str) -> Value:
        if stride == 1 and x.channels == y.channels:
            return b.add(y, x)
        if self.shortcut == "none":
            return y
        if self.shortcut == "avg" and stride > 1:
            x, stride = b.avg_pool(x, 2, stride, ceil=True, name="downsample_pool"), 1
        if norm:
            return b.add(y, conv_norm(b, x, int(y.channels), 1, stride, norm=norm, act="", name="downsample"))
        return b.add(y, b.conv(x, y.channels, 1, stride, bias=False, name="downsample"))
