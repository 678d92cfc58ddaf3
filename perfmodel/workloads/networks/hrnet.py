"""High-resolution networks: branches of several sizes side by side that exchange their features."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("hrnet")
def hrnet(
    name: str,
    width: int,
    *,
    modules: Sequence[int] = (1, 4, 3),
    blocks: int = 4,
    first_blocks: int = 4,
    first_width: int = 64,
    stem: int = 64,
    head_widths: Sequence[int] = (32, 64, 128, 256),
    head_bias: bool = True,
    image: int | Sequence[int] = 224,
    classes: int = 1000,
) -> Network:
    """Return an HRNet classifier: a stage of bottlenecks, then ``modules`` of two, three and four branches.

    The branches have ``width`` channels, twice, four and eight times as many; each module has ``blocks`` basic blocks
    a branch before the branches are fused. ``first_blocks`` bottlenecks of ``first_width`` come first. Source: Wang et
    al. 2019 (arXiv 1908.07919), section 3 and appendix; timm models/hrnet.py.
    """
    b = Builder(name, "hrnet", (3, *sides(image)))
    branches = add_branches(b, b.input(), width, modules, blocks, first_blocks, first_width, stem)
    x = _head(b, branches, head_widths, head_bias)
    return b.build(b.linear(b.global_pool(x), classes, name="classifier"))


def add_branches(
    b: Builder, x: Value, width: int, modules: Sequence[int], blocks: int = 4, first_blocks: int = 4,
    first_width: int = 64, stem: int = 64, *, fine_only: bool = False,
) -> list[Value]:  # fmt: skip
    """Add stem and stages and return what the branches leave; ``fine_only``: at last the first one alone."""
    with b.block("stem"):
        x = b.conv_bn(b.conv_bn(x, stem, 3, 2, name="conv1"), 64, 3, 2, name="conv2")
    for index in range(first_blocks):
        with b.block(f"layer1.{index}"):
            x = _bottleneck(b, x, first_width)
    branches = [x]
    for stage, count in enumerate(modules):
        widths = [width * 2**i for i in range(stage + 2)]
        branches = _transition(b, branches, widths, f"transition{stage + 1}")
        for module in range(count):
            with b.scope(f"stage{stage + 2}.{module}"):
                branches = [_branch(b, y, blocks, i) for i, y in enumerate(branches)]
                last = stage == len(modules) - 1 and module == count - 1
                branches = _fused(b, branches, 1 if fine_only and last else len(branches))
    return branches


def _transition(b: Builder, branches: list[Value], widths: Sequence[int], name: str) -> list[Value]:
    """Add the layers that give each branch its width, and the new branch from the smallest one."""
    with b.block(name):
        found = [
            y if y.channels == width else b.conv_bn(y, width, 3, name=f"conv{i}")
            for i, (y, width) in enumerate(zip(branches, widths, strict=False))
        ]
        found.append(b.conv_bn(branches[-1], widths[-1], 3, 2, name="new"))
    return found


def _branch(b: Builder, x: Value, blocks: int, number: int) -> Value:
    for index in range(blocks):
        with b.block(f"branch{number}.{index}"):
            y = b.conv_bn(x, x.channels, 3, name="conv1")
            x = b.act(b.add(b.conv_bn(y, x.channels, 3, act="", name="conv2"), x))
    return x


def _fused(b: Builder, branches: list[Value], count: int) -> list[Value]:
    """Add the exchange: each of the first ``count`` branches becomes the sum of all, brought to its size and width."""
    found: list[Value] = []
    for i, target in enumerate(branches[:count]):
        with b.block(f"fuse{i}"):
            y: Value | None = None
            for j, source in enumerate(branches):
                moved = _moved(b, source, target, i - j, f"from{j}")
                y = moved if y is None else b.add(y, moved)
            assert y is not None
            found.append(b.act(y))
    return found


def _moved(b: Builder, x: Value, target: Value, halvings: int, name: str) -> Value:
    for index in range(halvings):
        last = index == halvings - 1
        out = target.channels if last else x.channels
        x = b.conv_bn(x, out, 3, 2, act="" if last else "relu", name=f"{name}.{index}")
    if halvings < 0:
        x = b.conv_bn(x, target.channels, 1, act="", name=name)
        x = b.resize(x, [int(n) for n in target.shape[1:]], "nearest")
    return x


def _head(b: Builder, branches: Sequence[Value], widths: Sequence[int], bias: bool) -> Value:
    """Add the classifier's head: a bottleneck a branch, each halved and added to the next, and a 1x1 to 2048."""
    x: Value | None = None
    for index, (branch, width) in enumerate(zip(branches, widths, strict=True)):
        with b.block(f"head{index}"):
            y = _bottleneck(b, branch, width)
            x = y if x is None else b.add(y, _biased(b, x, 4 * width, 3, 2, bias))
    assert x is not None
    with b.block("final"):
        return _biased(b, x, 2048, 1, 1, bias)


def _biased(b: Builder, x: Value, out: int, kernel: int, stride: int, bias: bool) -> Value:
    return b.act(b.batch_norm(b.conv(x, out, kernel, stride, bias=bias, name="down"), name="down_bn"), name="down_act")


def _bottleneck(b: Builder, x: Value, width: int) -> Value:
    y = b.conv_bn(x, width, 1, name="conv1")
    y = b.conv_bn(y, width, 3, name="conv2")
    y = b.conv_bn(y, 4 * width, 1, act="", name="conv3")
    if x.channels != 4 * width:
        x = b.conv_bn(x, 4 * width, 1, act="", name="downsample")
    return b.act(b.add(y, x))
