"""Residual networks: ResNet, Wide ResNet, ResNeXt."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("resnet")
def resnet(
    name: str,
    depths: Sequence[int],
    *,
    block: str = "bottleneck",
    groups: int = 1,
    group_width: int = 64,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a residual network: a 7x7 stem, four stages of ``depths`` blocks, mean and classifier.

    ``block`` is "basic" (two 3x3) or "bottleneck" (1x1, 3x3, 1x1 times four, the stride on the 3x3). ``group_width`` is
    the width of a group at 64 planes. Source: He et al. 2015 (arXiv 1512.03385), table 1; ResNeXt (arXiv 1611.05431);
    Wide ResNet (arXiv 1605.07146); torchvision models/resnet.py.
    """
    b = Builder(name, "resnet", (3, image, image))
    x = b.conv_bn(b.input(), 64, 7, 2, name="conv1")
    x = b.max_pool(x, 3, 2, 1, name="maxpool")
    for stage, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            with b.block(f"layer{stage + 1}.{index}"):
                x = _block(b, x, 64 * 2**stage, stride, block, groups, group_width)
    x = b.global_pool(x, name="avgpool")
    return b.build(b.linear(x, classes, name="fc"))


def _block(b: Builder, x: Value, planes: int, stride: int, kind: str, groups: int, group_width: int) -> Value:
    out = planes * (4 if kind == "bottleneck" else 1)
    if kind == "bottleneck":
        inner = planes * group_width // 64 * groups
        y = b.conv_bn(x, inner, 1, name="conv1")
        y = b.conv_bn(y, inner, 3, stride, groups=groups, name="conv2")
        y = b.conv_bn(y, out, 1, act="", name="conv3")
    else:
        y = b.conv_bn(x, planes, 3, stride, name="conv1")
        y = b.conv_bn(y, out, 3, act="", name="conv2")
    if stride != 1 or x.channels != out:
        x = b.conv_bn(x, out, 1, stride, act="", name="downsample")
    return b.act(b.add(y, x))
