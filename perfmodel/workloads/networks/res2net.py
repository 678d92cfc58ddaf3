"""Res2Net: bottlenecks whose 3x3 convolution is a chain of smaller ones, each of which sees what the last one left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import Stage, Trunk, add_head, add_stages, add_stem, bottleneck_width


@family("res2net")
def res2net(
    name: str,
    depths: Sequence[int],
    *,
    scale: int = 4,
    groups: int = 1,
    group_width: int = 26,
    stem: Sequence[int] = (64,),
    avg_down: bool = False,
    widths: Sequence[int] = (64, 128, 256, 512),
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a Res2Net: ``scale`` parts of ``group_width`` channels (at 64 planes, times ``groups``) in a bottleneck.

    ``stem`` and ``avg_down``: :class:`.residual.Trunk`. Source: Gao et al. 2019 (arXiv 1904.01169), section 3;
    timm models/res2net.py.
    """
    b = Builder(name, "res2net", (3, image, image))
    trunk = Trunk(stem, avg_down=avg_down)
    branch = _Chain(scale, groups, group_width)
    stages = [Stage(depth, planes, 4 * planes, branch) for depth, planes in zip(depths, widths, strict=True)]
    x = add_stages(b, add_stem(b, b.input(), trunk), stages, trunk)[-1]
    return b.build(add_head(b, x, classes))


@dataclass(frozen=True)
class _Chain:
    scale: int
    groups: int
    group_width: int

    def __call__(self, b: Builder, x: Value, planes: int, stride: int, index: int) -> Value:
        width = bottleneck_width(planes, self.groups, self.group_width)
        parts = b.split(b.conv_bn(x, width * self.scale, name="conv1"), (width,) * self.scale)
        *chained, last = parts if self.scale > 1 else [*parts, parts[0]]
        left: list[Value] = []
        for number, part in enumerate(chained):
            y = b.add(left[-1], part, name=f"sum{number}") if number and index else part
            left.append(b.conv_bn(y, width, 3, stride, groups=self.groups, name=f"convs.{number}"))
        if self.scale > 1:
            left.append(last if index else b.avg_pool(last, 3, stride, 1))
        return b.conv_bn(b.concat(left), 4 * planes, act="", name="conv3")
