"""What families of residual networks share: stem, stages of blocks with shortcuts, head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.networks.normed import conv_norm, soften

Branch = Callable[[Builder, Value, int, int, int], Value]
"""A block's residual branch: ``branch(builder, x, planes, stride, index)``, without the sum and what follows it."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one width: how many, the planes they are named by, the channels they leave, and their branch.

    ``stride`` is that of the first one (0: 2, but 1 in the first stage).
    """

    depth: int
    planes: int
    channels: int
    branch: Branch
    stride: int = 0


@dataclass(frozen=True)
class Trunk:
    """What surrounds the blocks.

    ``stem``: one number is a 7x7 convolution of that width, more are 3x3 ones (the first has the stride).
    ``stem_pool``: "max" (3x3, padded), "max-ceil" (3x3, hanging over the edge) or "conv" (a 3x3 convolution).
    ``avg_down``: shortcuts take the mean of 2x2 positions and a 1x1 convolution, else a ``down_kernel`` convolution
    with a stride. ``antialias`` "blur" or "avg" softens before each stride. Sources: He et al. 2018
    (arXiv 1812.01187), figure 2 (deep stem, mean in the shortcut); Zhang 2019 (arXiv 1904.11486).
    """

    stem: Sequence[int] = (64,)
    stem_pool: str = "max"
    avg_down: bool = False
    down_kernel: int = 1
    antialias: str = ""
    norm: str = "batch"
    act: str = "relu"


def add_stem(b: Builder, x: Value, trunk: Trunk) -> Value:
    """Add the stem of a residual network: a quarter of the resolution."""
    if len(trunk.stem) == 1:
        x = conv_norm(b, x, trunk.stem[0], 7, 2, norm=trunk.norm, act=trunk.act, name="conv1")
    else:
        with b.scope("conv1"):
            for index, width in enumerate(trunk.stem):
                x = conv_norm(b, x, width, 3, 1 if index else 2, norm=trunk.norm, act=trunk.act, name=str(index))
    return _stem_pool(b, x, trunk)


def _stem_pool(b: Builder, x: Value, trunk: Trunk) -> Value:
    if trunk.stem_pool == "conv":
        return conv_norm(b, x, int(x.channels), 3, 2, norm=trunk.norm, act=trunk.act, antialias=trunk.antialias,
                         name="maxpool")  # fmt: skip
    if trunk.antialias == "avg":
        return b.avg_pool(x, 2, name="maxpool")
    if trunk.antialias:
        return soften(b, b.max_pool(x, 3, 1, 1, name="maxpool"), trunk.antialias, name="maxpool_aa")
    if trunk.stem_pool == "max-ceil":
        return b.max_pool(x, 3, 2, ceil=True, name="maxpool")
    return b.max_pool(x, 3, 2, 1, name="maxpool")


def add_stages(b: Builder, x: Value, stages: Sequence[Stage], trunk: Trunk) -> list[Value]:
    """Add stages of residual blocks and return what each leaves; all but the first halve, unless they say otherwise."""
    left: list[Value] = []
    for number, stage in enumerate(stages, 1):
        first = stage.stride or (2 if number > 1 else 1)
        for index in range(stage.depth):
            stride = 1 if index else first
            with b.block(f"layer{number}.{index}"):
                changes = stride != 1 or x.channels != stage.channels
                y = stage.branch(b, x, stage.planes, stride, index)
                x = add_shortcut(b, x, stage.channels, stride, trunk) if index == 0 and changes else x
                x = b.act(b.add(y, x), trunk.act)
        left.append(x)
    return left


def add_shortcut(b: Builder, x: Value, channels: int, stride: int, trunk: Trunk) -> Value:
    """Add a projection of a block's input to the channels and the resolution that it leaves."""
    if not trunk.avg_down:
        kernel = trunk.down_kernel if stride > 1 else 1
        return conv_norm(b, x, channels, kernel, stride, (kernel - 1) // 2, norm=trunk.norm, act="", name="downsample")
    if stride > 1:
        x = b.avg_pool(x, 2, stride, ceil=True, name="downsample_pool")
    return conv_norm(b, x, channels, 1, norm=trunk.norm, act="", name="downsample")


def add_head(b: Builder, x: Value, classes: int, *, name: str = "fc") -> Value:
    """Add the mean over positions and the classifier (none for no classes)."""
    y = b.global_pool(x, name="avgpool")
    return b.linear(y, classes, name=name) if classes else y


def bottleneck_width(planes: int, groups: int, group_width: int) -> int:
    """Return the channels inside a bottleneck: ``group_width`` is that of a group at 64 planes."""
    return planes * group_width // 64 * groups
