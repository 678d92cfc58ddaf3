"""StarNet and FasterNet: convolutional networks made for low latency."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, depthwise
from perfmodel.workloads.networks.registry import family


@family("starnet")
def starnet(
    name: str, width: int, depths: Sequence[int], *, expand: int = 4, kernel: int = 7, stem: int = 32,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a StarNet: two expansions by ``expand`` multiplied with each other, between depthwise convolutions.

    ``width`` is of the first of four stages, each next one is twice as wide. Source: Ma et al. 2024 (arXiv 2403.19967);
    timm 1.0 models/starnet.py.
    """
    b = Builder(name, "starnet", (3, image, image))
    x = conv_norm(b, b.input(), stem, 3, 2, act="relu6", name="stem")
    for stage, depth in enumerate(depths):
        x = conv_norm(b, x, width * 2**stage, 3, 2, name=f"stages.{stage}.0")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index + 1}"):
                x = b.add(x, _star(b, x, expand, kernel))
    x = b.batch_norm(x, name="norm")
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


def _star(b: Builder, x: Value, expand: int, kernel: int) -> Value:
    width = int(x.channels)
    y = depthwise(b, x, kernel, bias=True, name="dwconv")
    one, two = (b.conv(y, expand * width, name=n) for n in ("f1", "f2"))
    y = conv_norm(b, b.multiply(b.act(one, "relu6"), two), width, name="g")
    return b.conv(y, width, kernel, groups=width, name="dwconv2")


@family("fasternet")
def fasternet(
    name: str, width: int, depths: Sequence[int], *, expand: float = 2.0, parts: int = 4, head: int = 1280,
    act: str = "relu", patch: int = 4, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a FasterNet: 3x3 convolutions of one of ``parts`` of the channels, then an MLP of 1x1 convolutions.

    ``width`` is of the first stage, each next one is twice as wide; ``expand`` widens the MLPs. Source: Chen et al.
    2023 (arXiv 2303.03667), table 1; timm 1.0 models/fasternet.py.
    """
    b = Builder(name, "fasternet", (3, image, image))
    x = conv_norm(b, b.input(), width, patch, patch, 0, bias=False, name="patch_embed")
    for stage, depth in enumerate(depths):
        if stage:
            x = conv_norm(b, x, width * 2**stage, 2, 2, 0, bias=False, name=f"stages.{stage}.downsample")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = b.add(x, _partial(b, x, parts, expand, act))
    x = b.conv(b.global_pool(x, keep=True), head, bias=False, name="conv_head")
    return b.build(b.linear(b.flatten(b.act(x, act)), classes, name="classifier"))


def _partial(b: Builder, x: Value, parts: int, expand: float, act: str) -> Value:
    width = int(x.channels)
    mixed, kept = b.split(x, (width // parts, width - width // parts))
    y = b.concat((b.conv(mixed, width // parts, 3, bias=False, name="partial_conv3"), kept))
    y = conv_norm(b, y, int(width * expand), bias=False, act=act, name="fc1")
    return b.conv(y, width, bias=False, name="fc2")
