"""DaViT: blocks of attention within windows and of attention between channels, in turn."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import classifier
from perfmodel.workloads.networks.window_blocks import Grid, partition, restore


@family("davit")
def davit(
    name: str, width: int, depths: Sequence[int], heads: int, *, window: int = 7, down_kernel: int = 2,
    mlp_ratio: float = 4.0, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a DaViT: four stages of twice the width and ``heads`` each; a block has one of each kind of attention.

    ``down_kernel`` is the side of the convolutions between stages. Source: Ding et al. 2022 (arXiv 2204.03645);
    timm models/davit.py.
    """
    b = Builder(name, "davit", (3, image, image))
    x = b.input()
    for stage, depth in enumerate(depths):
        features = width * 2**stage
        with b.block(f"stages.{stage}.downsample" if stage else "stem"):
            x = _reduced(b, x, features, down_kernel if stage else 7, 2 if stage else 4, norm_first=stage > 0)
        for index in range(depth):
            for kind in ("spatial", "channel"):
                with b.block(f"stages.{stage}.blocks.{index}.{kind}"):
                    x = _block(b, x, heads * 2**stage, window if kind == "spatial" else 0, mlp_ratio)
    x = b.layer_norm(b.global_pool(x), name="norm")
    return b.build(classifier(b, x, classes))


def _reduced(b: Builder, x: Value, features: int, kernel: int, stride: int, *, norm_first: bool) -> Value:
    """Add a strided convolution with a norm before or after it; a stem and an even kernel pad to whole windows."""
    if norm_first:
        x = b.layer_norm(x, channels_first=True)
    multiple = kernel if kernel % 2 == 0 else 1 if norm_first else stride
    sides = tuple(-(-side // multiple) * multiple for side in x.shape[1:])
    if sides != x.shape[1:]:
        x = b.copy(x, (x.channels, *sides), name="pad")
    x = b.conv(x, features, kernel, stride, 0 if kernel % 2 == 0 else kernel // 2)
    return x if norm_first else b.layer_norm(x, channels_first=True)


def _block(b: Builder, x: Value, heads: int, window: int, mlp_ratio: float) -> Value:
    """Add attention (within windows, or between channels for a window of 0) and a feed-forward layer."""
    grid = (int(x.shape[1]), int(x.shape[2]))
    x = _position_conv(b, x, "cpe1")
    y = b.layer_norm(b.tokens(x), name="norm1")
    y = _spatial(b, y, grid, heads, window) if window else _channels(b, y, heads)
    x = _position_conv(b, b.image(b.add(b.tokens(x), y, name="add1"), *grid), "cpe2")
    x = b.tokens(x)
    x = b.add(x, b.mlp(b.layer_norm(x, name="norm2"), int(x.width * mlp_ratio)), name="add2")
    return b.image(x, *grid)


def _position_conv(b: Builder, x: Value, name: str) -> Value:
    with b.scope(name):
        return b.add(x, b.conv(x, x.channels, 3, groups=x.channels, name="proj"))


def _spatial(b: Builder, x: Value, grid: Grid, heads: int, window: int) -> Value:
    width = x.width
    with b.scope("attn"):
        y = partition(b, x, grid, (window, window))
        count, area, _ = y.shape
        qkv = b.linear(y, 3 * width, name="qkv")
        y = b.attend([qkv], y.shape, heads=heads, head_dim=width // heads, q_tokens=area, windows=count)
        return restore(b, b.linear(y, width, name="proj"), grid, (window, window))


def _channels(b: Builder, x: Value, heads: int) -> Value:
    tokens, width = x.shape
    head = width // heads
    with b.scope("attn"):
        q, k, v = b.split(b.linear(x, 3 * width, name="qkv"), (width,) * 3, axis=-1)
        q = b.scale(q, name="scale_queries")
        scores = b.softmax(b.matmul(q, k, (width, head), batch=heads, m=head, n=head, k=tokens, name="scores"))
        y = b.matmul(scores, v, (width, tokens), batch=heads, m=head, n=tokens, k=head, name="mix")
        return b.linear(b.copy(y, (tokens, width), name="tokens_first"), width, name="proj")
