"""ShuffleNets: grouped or halved bottlenecks and a shuffle of channels."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("shufflenet")
def shufflenet(
    name: str,
    widths: Sequence[int],
    *,
    groups: int = 3,
    first_groups: int = 1,
    depths: Sequence[int] = (4, 8, 4),
    bottleneck: float = 0.25,
    stem: int = 24,
    stem_bias: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a ShuffleNet (version 1): stages of ``widths`` whose 1x1 convolutions are in ``groups``.

    A block's middle has ``bottleneck`` times its width, and never more than it adds; the very first 1x1 convolution is
    in ``first_groups``. A stage's first block halves the image and joins its result to the mean of what it got.
    Source: Zhang et al. 2017 (arXiv 1707.01083), table 1 and figure 2; Caffe2's network in the ONNX zoo.
    """
    b = Builder(name, "shufflenet", (3, image, image))
    with b.block("stem"):
        x = b.conv(b.input(), stem, 3, 2, bias=stem_bias, name="conv1")
        x = b.act(b.batch_norm(x, name="conv1_bn"), name="conv1_act")
        x = b.max_pool(x, 3, 2, 1)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for index in range(depth):
            first = first_groups if stage == index == 0 else groups
            with b.block(f"stage{stage + 2}.{index}"):
                x = _grouped(b, x, width, groups, first, 2 if index == 0 else 1, bottleneck)
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _grouped(b: Builder, x: Value, width: int, groups: int, first: int, stride: int, bottleneck: float) -> Value:
    added = width - int(x.channels) if stride == 2 else width
    middle = min(int(width * bottleneck), added)
    y = b.conv_bn(x, middle, 1, groups=first, name="conv1")
    y = b.copy(y, name="shuffle")
    y = b.conv_bn(y, middle, 3, stride, groups=middle, act="", name="conv2")
    y = b.conv_bn(y, added, 1, groups=groups, act="", name="conv3")
    if stride == 2:
        return b.act(b.concat((y, b.avg_pool(x, 3, 2, 1))))
    return b.act(b.add(y, x))


@family("shufflenet-v2")
def shufflenet_v2(
    name: str,
    widths: Sequence[int],
    *,
    depths: Sequence[int] = (4, 8, 4),
    stem: int = 24,
    head: int = 1024,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a ShuffleNet V2: stages of ``widths`` whose blocks work on half of the channels, then shuffle them.

    Source: Ma et al. 2018 (arXiv 1807.11164), table 5 and figure 3; torchvision models/shufflenetv2.py.
    """
    b = Builder(name, "shufflenet-v2", (3, image, image))
    with b.block("stem"):
        x = b.conv_bn(b.input(), stem, 3, 2, name="conv1")
        x = b.max_pool(x, 3, 2, 1)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for index in range(depth):
            with b.block(f"stage{stage + 2}.{index}"):
                x = _halved(b, x, width // 2, 2 if index == 0 else 1)
    x = b.conv_bn(x, head, 1, name="conv5")
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _halved(b: Builder, x: Value, half: int, stride: int) -> Value:
    kept, y = (x, x) if stride == 2 else b.split(x, (half, half))
    if stride == 2:
        with b.scope("branch1"):
            kept = b.conv_bn(x, x.channels, 3, stride, groups=x.channels, act="", name="conv1")
            kept = b.conv_bn(kept, half, 1, name="conv2")
    with b.scope("branch2"):
        y = b.conv_bn(y, half, 1, name="conv1")
        y = b.conv_bn(y, half, 3, stride, groups=half, act="", name="conv2")
        y = b.conv_bn(y, half, 1, name="conv3")
    return b.copy(b.concat((kept, y)), name="shuffle")
