"""EfficientViT of Microsoft: each head of attention gets a part of the channels and the head before it."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, depthwise, plain_attention, positions, side
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family


@family("efficientvit-m")
def efficientvit_m(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    heads: Sequence[int],
    *,
    kernels: Sequence[int] = (5, 5, 5, 5),
    key: int = 16,
    window: int = 7,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return an EfficientViT (MSRA): 16x16 patches by convolutions, blocks of two MLPs around cascaded attention.

    ``heads`` are of the stages, ``kernels`` of the depthwise convolution of each head's queries, ``key`` its features;
    attention is within windows of ``window`` positions a side, padded to whole ones. Source: Liu et al. 2023 (arXiv
    2305.07027); timm 1.0 models/efficientvit_msra.py.
    """
    b = Builder(name, "efficientvit-m", (3, image, image))
    x = b.input()
    for index in range(4):
        act = "relu" if index < 3 else ""
        x = conv_norm(b, x, widths[0] // 2 ** (3 - index), 3, 2, bias=False, act=act, name=f"patch_embed.{index}")
    resolution = image // 16
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            resolution = (resolution - 1) // 2 + 1
            with b.block(f"stages.{stage}.downsample"):
                x = _mixed(b, x, "1")
                x = _mixed(b, _merge(b, x, width), "2")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = _mixed(b, x, "0")
                x = b.add(x, _windows(b, x, min(window, resolution), heads[stage], key, kernels))
                x = _mixed(b, x, "1")
    return b.build(b.linear(b.batch_norm(b.global_pool(x), name="head_bn"), classes, name="head"))


def _mixed(b: Builder, x: Value, name: str) -> Value:
    """Add a depthwise convolution and an MLP of 1x1 convolutions, both residual."""
    x = b.add(x, depthwise(b, x, name=f"dw{name}"))
    with b.scope(f"ffn{name}"):
        y = conv_norm(b, x, 2 * int(x.channels), bias=False, act="relu", name="pw1")
        return b.add(x, conv_norm(b, y, int(x.channels), bias=False, name="pw2"))


def _merge(b: Builder, x: Value, width: int) -> Value:
    mid = 4 * int(x.channels)
    y = conv_norm(b, x, mid, bias=False, act="relu", name="merge1")
    y = depthwise(b, y, 3, 2, act="relu", name="merge2")
    return conv_norm(b, b.squeeze_excite(y, divisible(mid / 4, 8, 0.0)), width, bias=False, name="merge3")


def _windows(b: Builder, x: Value, window: int, heads: int, key: int, kernels: Sequence[int]) -> Value:
    """Add attention within windows, stacked along the height."""
    width, size = int(x.channels), side(x)
    if size == window:
        return _cascade(b, x, 1, heads, key, kernels)
    count = -(-size // window)
    padded = (width, count * window, count * window)
    y = x if count * window == size else b.copy(x, padded, name="pad")
    y = b.copy(y, (width, count**2 * window, window), name="windows")
    y = _cascade(b, y, count**2, heads, key, kernels)
    y = b.copy(y, padded, name="unwindows")
    return y if y.shape == x.shape else b.copy(y, x.shape, name="unpad")


def _cascade(b: Builder, x: Value, windows: int, heads: int, key: int, kernels: Sequence[int]) -> Value:
    width, tokens = int(x.channels), positions(x) // windows
    each = int(width / (key * heads) * key)
    parts = b.split(x, [width // heads] * heads, name="part")
    feature, done = parts[0], list[Value]()
    for head in range(heads):
        with b.scope(f"attn.{head}"):
            feature = b.add(feature, parts[head]) if head else feature
            qkv = conv_norm(b, feature, 2 * key + each, bias=False, name="qkv")
            query, rest = b.split(qkv, (key, key + each))
            query = b.scale(depthwise(b, query, kernels[head], name="dws"), name="scale")
            feature = plain_attention(
                b, (query, rest), (each, *(int(n) for n in x.shape[1:])), heads=1, key=key, value=each,
                q_tokens=tokens, windows=windows, biases=tokens, scaled=False,
            )  # fmt: skip
            done.append(feature)
    return conv_norm(b, b.act(b.concat(done), "relu"), width, bias=False, name="proj")
