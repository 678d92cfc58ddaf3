"""Deep layer aggregation: blocks joined by trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@dataclass(frozen=True)
class _Style:
    """What all blocks and roots of a network share."""

    block: str
    groups: int
    group_width: int
    root_residual: bool

    def middle(self, out: int) -> int:
        """Return the width of a bottleneck's 3x3 convolution."""
        return int(out * self.group_width / 64) * self.groups // 2


@family("dla")
def dla(
    name: str,
    levels: Sequence[int],
    channels: Sequence[int],
    *,
    block: str = "bottleneck",
    groups: int = 1,
    group_width: int = 64,
    root_residual: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a DLA network: two levels of convolutions, then a tree of ``levels`` for each further level.

    ``block`` is "basic", "bottleneck" (half as wide inside) or "res2" (with four parts that feed each other),
    ``group_width`` the width of a group at 64 channels, ``root_residual`` adds the last child to each root. Source:
    Yu et al. 2017 (arXiv 1707.06484), table 1; Gao et al. 2019 (arXiv 1904.01169); timm models/dla.py.
    """
    b = Builder(name, "dla", (3, image, image))
    style = _Style(block, groups, group_width, root_residual)
    x = b.conv_bn(b.input(), channels[0], 7, name="base")
    for level in range(2):
        for index in range(levels[level]):
            x = b.conv_bn(x, channels[level], 3, 2 if level and index == 0 else 1, name=f"level{level}.{index}")
    for level in range(2, len(levels)):
        with b.scope(f"level{level}"):
            below = b.max_pool(x, 2)
            x = _tree(b, x, below, channels[level], levels[level], style, 2, (below,) if level > 2 else ())
    with b.block("classifier"):
        x = b.conv(b.global_pool(x, keep=True), classes, 1, name="fc")
        return b.build(b.flatten(x))


def _tree(
    b: Builder, x: Value, below: Value, out: int, depth: int, style: _Style, stride: int, children: Sequence[Value]
) -> Value:
    """Add a tree: two subtrees, the second one's root joining both and all ``children``; ``below`` is ``x`` halved."""
    if depth > 1:
        with b.scope("tree1"):
            left = _tree(b, x, below, out, depth - 1, style, stride, ())
        with b.scope("tree2"):
            return _tree(b, left, left, out, depth - 1, style, 1, (*children, left))
    if x.channels != out:
        below = b.conv_bn(below, out, 1, act="", name="project")
    block = _BLOCKS[style.block]
    with b.block("tree1"):
        left = block(b, x, below, out, stride, style)
    with b.block("tree2"):
        right = block(b, left, left, out, 1, style)
    with b.block("root"):
        y = b.conv_bn(b.concat((right, left, *children)), out, 1, act="")
        return b.act(b.add(y, right) if style.root_residual else y)


def _basic(b: Builder, x: Value, shortcut: Value, out: int, stride: int, style: _Style) -> Value:
    y = b.conv_bn(x, out, 3, stride, name="conv1")
    return b.act(b.add(b.conv_bn(y, out, 3, act="", name="conv2"), shortcut))


def _bottleneck(b: Builder, x: Value, shortcut: Value, out: int, stride: int, style: _Style) -> Value:
    middle = style.middle(out)
    y = b.conv_bn(x, middle, 1, name="conv1")
    y = b.conv_bn(y, middle, 3, stride, groups=style.groups, name="conv2")
    return b.act(b.add(b.conv_bn(y, out, 1, act="", name="conv3"), shortcut))


def _res2(b: Builder, x: Value, shortcut: Value, out: int, stride: int, style: _Style) -> Value:
    """Add a bottleneck of four parts: each but the last is convolved, after the result before it was added to it."""
    width = style.middle(out)
    *parts, last = b.split(b.conv_bn(x, 4 * width, 1, name="conv1"), (width,) * 4)
    found: list[Value] = []
    for index, part in enumerate(parts):
        y = b.add(found[-1], part) if index and stride == 1 else part
        found.append(b.conv_bn(y, width, 3, stride, groups=style.groups, name=f"conv2.{index}"))
    found.append(b.avg_pool(last, 3, stride, 1) if stride > 1 else last)
    return b.act(b.add(b.conv_bn(b.concat(found), out, 1, act="", name="conv3"), shortcut))


_BLOCKS: dict[str, Callable[[Builder, Value, Value, int, int, _Style], Value]] = {
    "basic": _basic, "bottleneck": _bottleneck, "res2": _res2,
}  # fmt: skip
