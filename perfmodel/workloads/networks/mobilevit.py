"""MobileViT v1 and v2: inverted residuals with transformers over patches between them."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_mlp, positions, side
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family

PATCH = 2
"""Positions a side of a patch; attention is among the same position of all patches."""


@family("mobilevit")
def mobilevit(
    name: str,
    widths: Sequence[int],
    tokens: Sequence[int],
    head: int,
    *,
    expand: float = 4.0,
    depths: Sequence[int] = (1, 3, 1, 1, 1),
    transformers: Sequence[int] = (2, 4, 3),
    heads: int = 4,
    stem: int = 16,
    image: int = 256,
    classes: int = 1000,
) -> Network:
    """Return a MobileViT: five stages of inverted residuals, the last three end in a transformer.

    ``widths`` and ``depths`` are of the stages, ``tokens`` and ``transformers`` the widths and layers of the three
    transformers, ``head`` the channels before the mean, ``expand`` the widening of inverted residuals.
    Source: Mehta and Rastegari 2021 (arXiv 2110.02178), table 4; timm 1.0 models/mobilevit.py.
    """
    b = Builder(name, "mobilevit", (3, image, image))
    x = b.conv_bn(b.input(), stem, 3, 2, act="silu", name="stem")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        x = _stage(b, x, stage, width, depth, expand)
        if stage >= 2:
            with b.block(f"stages.{stage}.{depth}"):
                x = _transformer(b, x, tokens[stage - 2], transformers[stage - 2], heads)
    x = b.conv_bn(x, head, act="silu", name="final_conv")
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


def _stage(b: Builder, x: Value, stage: int, width: int, depth: int, expand: float) -> Value:
    for index in range(depth):
        with b.block(f"stages.{stage}.{index}"):
            stride = 2 if stage and not index else 1
            mid = divisible(x.channels * expand)
            y = b.conv_bn(x, mid, act="silu", name="conv1")
            y = b.conv_bn(y, mid, 3, stride, groups=mid, act="silu", name="conv2")
            y = b.conv_bn(y, width, act="", name="conv3")
            x = b.add(y, x) if y.shape == x.shape else y
    return x


def _transformer(b: Builder, x: Value, width: int, layers: int, heads: int) -> Value:
    shortcut, size = x, side(x)
    y = b.conv_bn(x, int(x.channels), 3, act="silu", name="conv_kxk")
    y = b.conv(y, width, bias=False, name="conv_1x1")
    whole = -(-size // PATCH) * PATCH
    if whole != size:
        y = b.resize(y, whole, name="fit")
    y = b.copy(y, (PATCH**2, positions(y) // PATCH**2, width), name="unfold")
    for layer in range(layers):
        with b.scope(f"transformer.{layer}"):
            y = b.add(y, b.self_attention(b.layer_norm(y, name="norm1"), heads, windows=PATCH**2))
            y = b.add(y, b.mlp(b.layer_norm(y, name="norm2"), 2 * width, act="silu"))
    y = b.copy(b.layer_norm(y), (width, whole, whole), name="fold")
    if whole != size:
        y = b.resize(y, size, name="unfit")
    y = b.conv_bn(y, int(shortcut.channels), act="silu", name="conv_proj")
    y = b.concat((shortcut, y))
    return b.conv_bn(y, int(shortcut.channels), 3, act="silu", name="conv_fusion")


@family("mobilevitv2")
def mobilevitv2(
    name: str,
    *,
    width: float = 1.0,
    widths: Sequence[int] = (64, 128, 256, 384, 512),
    depths: Sequence[int] = (1, 2, 1, 1, 1),
    transformers: Sequence[int] = (2, 4, 3),
    expand: float = 2.0,
    stem: int = 32,
    image: int = 256,
    classes: int = 1000,
) -> Network:
    """Return a MobileViTv2: as v1, but attention weighs tokens by one score each, so that its work is linear.

    ``width`` scales all channels, ``widths``, ``depths`` and ``transformers`` are of the stages; transformers are half
    as wide as their stages. Source: Mehta and Rastegari 2022 (arXiv 2206.02680); timm 1.0 models/mobilevit.py.
    """
    b = Builder(name, "mobilevitv2", (3, image, image))
    x = b.conv_bn(b.input(), int(stem * width), 3, 2, act="silu", name="stem")
    for stage, (channels, depth) in enumerate(zip(widths, depths, strict=True)):
        x = _stage(b, x, stage, int(channels * width), depth, expand)
        if stage >= 2:
            with b.block(f"stages.{stage}.{depth}"):
                x = _separable_transformer(b, x, transformers[stage - 2])
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


def _separable_transformer(b: Builder, x: Value, layers: int) -> Value:
    channels, inner = int(x.channels), divisible(x.channels * 0.5)
    whole = -(-side(x) // PATCH) * PATCH
    if whole != side(x):
        x = b.resize(x, whole, name="fit")
    y = b.conv_bn(x, channels, 3, groups=channels, act="silu", name="conv_kxk")
    y = b.conv(y, inner, bias=False, name="conv_1x1")
    y = b.copy(y, (inner, PATCH**2, positions(y) // PATCH**2), name="unfold")
    for layer in range(layers):
        with b.scope(f"transformer.{layer}"):
            y = b.add(y, _separable_attention(b, b.group_norm(y, 1, name="norm1")))
            y = b.add(y, conv_mlp(b, b.group_norm(y, 1, name="norm2"), 2 * inner, act="silu"))
    y = b.copy(b.group_norm(y, 1), (inner, whole, whole), name="fold")
    return b.conv_bn(y, channels, act="", name="conv_proj")


def _separable_attention(b: Builder, x: Value) -> Value:
    """Add attention with one score a token: the keys' sum by the scores' softmax gates the values."""
    width = int(x.channels)
    with b.scope("attn"):
        both = b.conv(x, 2 * width + 1, name="qkv")
        score, key, value = b.split(both, (1, width, width))
        weighted = b.scale(key, b.softmax(score))
        context = b.global_pool(weighted, keep=True, name="context")
        mixed = b.scale(b.act(value, "relu"), context, name="gate")
        return b.conv(mixed, width, name="proj")
