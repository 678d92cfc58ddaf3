"""Gates on channels that residual networks add to their blocks: squeeze-excite and its relatives."""

from __future__ import annotations

from math import log2

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.networks.normed import conv_norm, divisible


def channel_attention(
    b: Builder, x: Value, kind: str, *, ratio: float | None = None, divisor: int | None = None, block_size: int = 7,
    whole: int | None = None, act: str = "relu", name: str = "se",
) -> Value:  # fmt: skip
    """Add attention over the channels of an image; "" adds nothing.

    ``kind``: "se" (arXiv 1709.01507), "ese" (one layer, arXiv 1911.06667), "eca" (a convolution over channels,
    arXiv 1910.03151), "gca" (global context, added, arXiv 1904.11492), "bat" (bilinear attentional transform of
    ``block_size`` blocks, Chi et al., CVPR 2020). ``ratio`` of channels is what the layer in the middle has, to a
    multiple of ``divisor``; ``whole`` is the channels before pruning, where it was pruned. Source: timm layers
    (SEModule, EffectiveSEModule, EcaModule, GlobalContext, BatNonLocalAttn), whose defaults hold.
    """
    channels = int(x.channels)
    with b.scope(name):
        if kind == "se":
            return b.squeeze_excite(x, divisible(channels * (ratio or 1 / 16), divisor or 8, limit=0.0), act=act)
        if kind == "ese":
            y = b.conv(b.global_pool(x, keep=True), channels, name="fc")
            return b.scale(x, b.act(y, "hard_sigmoid", name="gate"))
        if kind == "eca":
            return _eca(b, x, whole or channels)
        if kind == "gca":
            return _global_context(b, x, divisible(channels * (ratio or 1 / 8), divisor or 1, limit=0.0))
        if kind == "bat":
            return _bilinear(b, x, divisible(channels * (ratio or 1 / 4), divisor or 8), block_size)
    return x


def _eca(b: Builder, x: Value, whole: int) -> Value:
    span = int((log2(whole) + 1) / 2)
    y = b.view(b.global_pool(x), (1, x.channels))
    y = b.conv(y, 1, max(span if span % 2 else span + 1, 3), bias=False)
    return b.scale(x, b.view(b.act(y, "sigmoid", name="gate"), (x.channels, 1, 1)))


def _global_context(b: Builder, x: Value, reduced: int) -> Value:
    channels, height, width = x.shape
    weights = b.softmax(b.view(b.conv(x, 1, name="conv_attn"), (1, height * width)))
    y = b.matmul(x, weights, (channels, 1, 1), batch=1, m=channels, n=1, k=height * width, name="context")
    y = b.layer_norm(b.conv(y, reduced, name="fc1"), channels_first=True)
    return b.scale(x, b.conv(b.act(y), channels, name="fc2"), name="add")


def _bilinear(b: Builder, x: Value, reduced: int, size: int, groups: int = 2) -> Value:
    """Add a bilinear attentional transform: both sides of each channel are multiplied by matrices of its group."""
    y = conv_norm(b, x, reduced, name="conv1")
    _, height, width = y.shape
    pooled = conv_norm(b, y, groups, name="ba_conv1")
    p = b.conv(b.adaptive_pool(pooled, (size, 1)), groups * size**2, (size, 1), padding=0, name="conv_p")
    q = b.conv(b.adaptive_pool(pooled, (1, size)), groups * size**2, (1, size), padding=0, name="conv_q")
    left = b.copy(b.act(p, "sigmoid"), (reduced, height, height), name="p")
    right = b.copy(b.act(q, "sigmoid"), (reduced, width, width), name="q")
    y = b.matmul(left, y, y.shape, batch=reduced, m=height, n=width, k=height)
    y = b.matmul(y, right, y.shape, batch=reduced, m=height, n=width, k=width)
    return b.add(conv_norm(b, conv_norm(b, y, reduced, name="ba_conv2"), int(x.channels), name="conv2"), x)
