"""DenseNets: every layer reads what all layers before it in its block left."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("densenet")
def densenet(
    name: str,
    depths: Sequence[int],
    *,
    growth: int = 32,
    bottleneck: int = 4,
    reduction: float = 0.5,
    deep_stem: bool = False,
    blur: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return blocks of ``depths`` layers that add ``growth`` channels each, with halving transitions between them.

    A layer's 1x1 convolution leaves ``bottleneck * growth`` channels for its 3x3; a transition keeps ``reduction`` of
    the channels. ``deep_stem`` is three 3x3 convolutions instead of a 7x7, ``blur`` an anti-aliased first pooling.
    Every joining of features is counted as a copy of all of them. Source: Huang et al. 2016 (arXiv 1608.06993),
    table 1; torchvision models/densenet.py; timm models/densenet.py.
    """
    b = Builder(name, "densenet", (3, image, image))
    x = _stem(b, b.input(), growth, deep_stem, blur)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            with b.block(f"denseblock{stage + 1}.{index + 1}"):
                y = _normed(b, x, bottleneck * growth, 1, "1")
                x = b.concat((x, _normed(b, y, growth, 3, "2")))
        if stage < len(depths) - 1:
            with b.block(f"transition{stage + 1}"):
                x = b.avg_pool(_normed(b, x, int(int(x.channels) * reduction), 1, ""), 2)
    x = b.act(b.batch_norm(x, name="norm5"), name="norm5_act")
    return b.build(b.linear(b.global_pool(x), classes, name="classifier"))


def _stem(b: Builder, x: Value, growth: int, deep: bool, blur: bool) -> Value:
    with b.block("stem"):
        if deep:
            x = b.conv_bn(x, growth, 3, 2, name="conv0")
            x = b.conv_bn(x, growth, 3, name="conv1")
            x = b.conv_bn(x, 2 * growth, 3, name="conv2")
        else:
            x = b.conv_bn(x, 2 * growth, 7, 2, name="conv0")
        return b.blur_pool(b.max_pool(x, 3, 1, 1)) if blur else b.max_pool(x, 3, 2, 1)


def _normed(b: Builder, x: Value, channels: int, kernel: int, number: str) -> Value:
    x = b.act(b.batch_norm(x, name=f"norm{number}"), name=f"act{number}")
    return b.conv(x, channels, kernel, bias=False, name=f"conv{number}")
