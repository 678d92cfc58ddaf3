"""ResNeSt: bottlenecks whose 3x3 convolution has paths that attention weighs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.normed import divisible
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import Stage, Trunk, add_head, add_stages, add_stem


@family("resnest")
def resnest(
    name: str,
    depths: Sequence[int],
    *,
    radix: int = 2,
    groups: int = 1,
    group_width: int = 64,
    pool_first: bool = False,
    stem: Sequence[int] = (32, 32, 64),
    widths: Sequence[int] = (64, 128, 256, 512),
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a ResNeSt: ``radix`` paths in each of ``groups`` of ``group_width`` channels (at 64 planes).

    Strides are 3x3 means after the split attention, or before it (``pool_first``: the "fast" variants). ``stem``:
    :class:`.residual.Trunk`. Source: Zhang et al. 2020 (arXiv 2004.08955), section 3; timm models/resnest.py.
    """
    b = Builder(name, "resnest", (3, image, image))
    trunk = Trunk(stem, avg_down=True)
    branch = _SplitBottleneck(radix, groups, group_width, pool_first)
    stages = [Stage(depth, planes, 4 * planes, branch) for depth, planes in zip(depths, widths, strict=True)]
    x = add_stages(b, add_stem(b, b.input(), trunk), stages, trunk)[-1]
    return b.build(add_head(b, x, classes))


@dataclass(frozen=True)
class _SplitBottleneck:
    radix: int
    groups: int
    group_width: int
    pool_first: bool

    def __call__(self, b: Builder, x: Value, planes: int, stride: int, index: int) -> Value:
        inner = planes * self.group_width // 64 * self.groups
        y = b.conv_bn(x, inner, name="conv1")
        if stride > 1 and self.pool_first:
            y = b.avg_pool(y, 3, stride, 1, name="avd")
        y = split_attention(b, y, inner, self.radix, self.groups)
        if stride > 1 and not self.pool_first:
            y = b.avg_pool(y, 3, stride, 1, name="avd")
        return b.conv_bn(y, 4 * planes, act="", name="conv3")


def split_attention(b: Builder, x: Value, width: int, radix: int, groups: int) -> Value:
    """Add a 3x3 convolution to ``radix`` copies of ``width`` channels and their sum, weighed channel by channel."""
    reduced = divisible(int(x.channels) * radix / 4, least=32)
    with b.scope("conv2"):
        paths = b.conv_bn(x, width * radix, 3, groups=groups * radix)
        y = _sum(b, paths, width, radix)
        y = b.conv(b.global_pool(y, keep=True), reduced, groups=groups, name="fc1")
        y = b.act(b.batch_norm(y, name="fc1_bn"), name="fc1_act")
        y = b.conv(y, width * radix, groups=groups, name="fc2")
        gate = b.softmax(b.view(y, (width, radix))) if radix > 1 else b.act(y, "sigmoid")
        return _sum(b, b.scale(paths, gate), width, radix)


def _sum(b: Builder, paths: Value, width: int, radix: int) -> Value:
    return reduce(b.add, b.split(paths, (width,) * radix))
