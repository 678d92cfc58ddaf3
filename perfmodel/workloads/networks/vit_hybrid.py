"""Vision transformers whose patches come from a convolutional network: R+ViT hybrids, MobileCLIP's ViT, ViTamin."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit import encode
from perfmodel.workloads.networks.vit_blocks import BlockStyle
from perfmodel.workloads.networks.vit_tokens import classifier, pooled, positions


@family("vit-hybrid")
def vit_hybrid(
    name: str, width: int, depth: int, heads: int, *, stem: str = "resnetv2", stem_depths: Sequence[int] = (),
    patch: int = 1, mlp: int = 0, position: str = "tokens", image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a vision transformer over the features of a ``stem``.

    ``stem`` is "resnetv2" (group norms, TensorFlow's padding), "resnetd" (batch norms, three convolutions first), each
    of ``stem_depths`` bottlenecks a stage, or "conv" (three strided convolutions, the last to ``width``). ``patch`` is
    the side of the patches of its features. Source: Dosovitskiy et al. 2020 (arXiv 2010.11929), section 3.1; How to
    train your ViT (arXiv 2106.10270); MobileCLIP (arXiv 2311.17049); timm models/vision_transformer_hybrid.py.
    """
    b = Builder(name, "vit-hybrid", (3, image, image))
    x = {"resnetv2": _resnetv2, "resnetd": _resnetd}[stem](b, stem_depths) if stem != "conv" else _convs(b, width)
    if stem != "conv":
        x = b.conv(x, width, patch, patch, 0, name="patch_embed.proj")
    grid = (int(x.shape[1]), int(x.shape[2]))
    x = positions(b, b.tokens(x), grid, 1, position)
    x = b.layer_norm(encode(b, x, BlockStyle(heads, mlp or 4 * width), depth))
    return b.build(classifier(b, pooled(b, x, "token", 1, heads, 0), classes))


def _resnetv2(b: Builder, depths: Sequence[int]) -> Value:
    """Add a residual network whose norms are of 32 groups (BiT, arXiv 1912.11370, with norms after convolutions)."""

    def normed(x: Value, act: bool = True) -> Value:
        x = b.group_norm(x, 32)
        return b.act(x) if act else x

    with b.block("backbone.stem"):
        x = normed(b.conv(b.input(), 64, 7, 2, "same", bias=False))
        x = b.max_pool(x, 3, 2, "same")
    for stage, depth in enumerate(depths):
        out = 256 * 2**stage
        for index in range(depth):
            stride = 2 if stage and not index else 1
            with b.block(f"backbone.stages.{stage}.{index}"):
                skip = x
                if index == 0:
                    skip = normed(b.conv(x, out, 1, stride, "same", bias=False, name="downsample"), False)
                y = normed(b.conv(x, out // 4, bias=False, name="conv1"))
                y = normed(b.conv(y, out // 4, 3, stride, "same", bias=False, name="conv2"))
                y = normed(b.conv(y, out, bias=False, name="conv3"), False)
                x = b.act(b.add(y, skip))
    return x


def _resnetd(b: Builder, depths: Sequence[int]) -> Value:
    """Add a ResNet-D: a stem of three convolutions, shortcuts that average (arXiv 1812.01187, figure 2)."""
    with b.block("backbone.stem"):
        x = b.conv_bn(b.input(), 32, 3, 2, name="conv1.0")
        x = b.conv_bn(b.conv_bn(x, 32, 3, name="conv1.3"), 64, 3, name="conv1.6")
        x = b.max_pool(x, 3, 2, 1)
    for stage, depth in enumerate(depths):
        out = 256 * 2**stage
        for index in range(depth):
            stride = 2 if stage and not index else 1
            with b.block(f"backbone.layer{stage + 1}.{index}"):
                skip = b.avg_pool(x, 2, 2, ceil=True) if stride == 2 else x
                if index == 0:
                    skip = b.conv_bn(skip, out, act="", name="downsample")
                y = b.conv_bn(b.conv_bn(x, out // 4, name="conv1"), out // 4, 3, stride, name="conv2")
                x = b.act(b.add(b.conv_bn(y, out, act="", name="conv3"), skip))
    return x


def _convs(b: Builder, width: int) -> Value:
    """Add MobileCLIP's stem: convolutions of side and stride 4, 2 and 2."""
    x = b.conv_bn(b.input(), width // 4, 4, 4, 0, act="gelu", name="patch_embed.0")
    x = b.conv_bn(x, width // 4, 2, 2, 0, act="gelu", name="patch_embed.1")
    return b.conv(x, width, 2, 2, 0, name="patch_embed.2")


@family("vitamin")
def vitamin(
    name: str, width: int, depth: int, heads: int, *, stem: Sequence[int], stem_depths: Sequence[int] = (2, 4),
    position: str = "tokens", image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a ViTamin: two stages of inverted bottlenecks of widths ``stem``, then blocks with gated layers.

    ``position`` is "tokens" (learned) or "none". Source: Chen et al. 2024 (arXiv 2404.02132); timm
    models/vitamin.py.
    """
    b = Builder(name, "vitamin", (3, image, image))
    with b.block("stem"):
        x = b.conv(b.input(), stem[0], 3, 2, name="conv1")
        x = b.conv(b.act(b.layer_norm(x, channels_first=True), "gelu"), stem[0], 3, name="conv2")
    for stage, count in enumerate(stem_depths):
        for index in range(count):
            with b.block(f"stages.{stage}.{index}"):
                x = _mbconv(b, x, stem[stage], 1 if index else 2)
    with b.block("pool"):
        x = b.conv(b.layer_norm(x, channels_first=True), width, 3, 2, name="proj")
    grid = (int(x.shape[1]), int(x.shape[2]))
    x = positions(b, b.tokens(x), grid, 0, position)
    x = encode(b, x, BlockStyle(heads, 2 * width, gate="normed"), depth)
    x = b.layer_norm(pooled(b, x, "mean", 0, heads, 0), name="fc_norm")
    return b.build(classifier(b, x, classes))


def _mbconv(b: Builder, x: Value, channels: int, stride: int) -> Value:
    """Add a norm, 1x1 times four, 3x3 depthwise and 1x1, all with biases."""
    skip = b.avg_pool(x, 3, 2, 1, name="shortcut_pool") if stride == 2 else x
    if x.channels != channels:
        skip = b.conv(skip, channels, name="shortcut")
    y = b.layer_norm(x, channels_first=True, name="pre_norm")
    y = b.act(b.conv(y, 4 * channels, name="conv1"), "gelu")
    y = b.act(b.conv(y, 4 * channels, 3, stride, groups=4 * channels, name="conv2"), "gelu")
    return b.add(b.conv(y, channels, name="conv3"), skip)
