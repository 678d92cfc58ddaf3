"""Pyramids of transformer blocks whose keys and values are of a reduced image: PVT v2, SegFormer's encoder, Twins."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import classifier
from perfmodel.workloads.networks.window_blocks import Grid, partition, restore


@family("pvt")
def pvt(
    name: str, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], *,
    mlp_ratios: Sequence[float] = (8, 8, 4, 4), reductions: Sequence[int] = (8, 4, 2, 1), pooled: int = 0,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a pyramid vision transformer: overlapping patches before each stage, depthwise convolution inside the MLP.

    Keys and values are of an image that a convolution reduces by ``reductions`` a side, or that is pooled to ``pooled``
    positions a side. Source: Wang et al. 2021 (arXiv 2106.13797), table 1; SegFormer (arXiv 2105.15203), table 6; timm
    models/pvt_v2.py; transformers modeling_segformer.py.
    """
    b = Builder(name, "pvt", (3, image, image))
    x = b.input()
    for stage, width in enumerate(widths):
        with b.block(f"stages.{stage}.downsample"):
            x = b.conv(x, width, 3 if stage else 7, 2 if stage else 4, name="proj")
            grid = (int(x.shape[1]), int(x.shape[2]))
            x = b.layer_norm(b.tokens(x))
        for index in range(depths[stage]):
            with b.block(f"stages.{stage}.blocks.{index}"):
                y = b.layer_norm(x, name="norm1")
                x = b.add(x, reduced_attention(b, y, grid, heads[stage], reductions[stage], pooled), name="add1")
                y = b.layer_norm(x, name="norm2")
                x = b.add(x, _conv_mlp(b, y, grid, int(width * mlp_ratios[stage]), pooled > 0), name="add2")
        x = b.layer_norm(x, name=f"stages.{stage}.norm")
        x = b.image(b.copy(x, name=f"stages.{stage}.channels_first"), *grid)
    return b.build(classifier(b, b.global_pool(x), classes))


@family("twins")
def twins(
    name: str, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], *,
    mlp_ratios: Sequence[float] = (4, 4, 4, 4), reductions: Sequence[int] = (8, 4, 2, 1), window: int = 0,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a Twins: positions by a depthwise convolution after a stage's first block.

    ``window`` 0 (PCPVT): every block attends to a reduced image; otherwise (SVT) every first one attends within
    windows. Source: Chu et al. 2021 (arXiv 2104.13840); timm models/twins.py.
    """
    b = Builder(name, "twins", (3, image, image))
    x = b.input()
    for stage, width in enumerate(widths):
        patch = 2 if stage else 4
        with b.block(f"patch_embeds.{stage}"):
            x = b.conv(x, width, patch, patch, 0, name="proj")
            grid = (int(x.shape[1]), int(x.shape[2]))
            x = b.layer_norm(b.tokens(x))
        for index in range(depths[stage]):
            with b.block(f"blocks.{stage}.{index}"):
                y = b.layer_norm(x, name="norm1")
                if window and index % 2 == 0:
                    y = _window_attention(b, y, grid, heads[stage], window)
                else:
                    y = reduced_attention(b, y, grid, heads[stage], reductions[stage])
                x = b.add(x, y, name="add1")
                x = b.add(x, b.mlp(b.layer_norm(x, name="norm2"), int(width * mlp_ratios[stage])), name="add2")
            if index == 0:
                with b.block(f"pos_block.{stage}"):
                    y = b.image(x, *grid)
                    x = b.tokens(b.add(b.conv(y, width, 3, groups=width, name="proj"), y))
        if stage + 1 < len(widths):
            x = b.image(b.copy(x, name=f"stages.{stage}.channels_first"), *grid)
    return b.build(classifier(b, b.token_pool(b.layer_norm(x)), classes))


def reduced_attention(b: Builder, x: Value, grid: Grid, heads: int, reduction: int, pooled: int = 0) -> Value:
    """Add attention over an image that is reduced by a convolution, or by pooling (arXiv 2102.12122, section 3.3)."""
    tokens, width = x.shape
    with b.scope("attn"):
        q, kv = b.linear(x, width, name="q"), x
        if pooled:
            y = b.adaptive_pool(b.image(x, *grid), pooled)
            kv = b.act(b.layer_norm(b.tokens(b.conv(y, width, name="sr"))), "gelu")
        elif reduction > 1:
            kv = b.conv(b.image(x, *grid), width, reduction, reduction, 0, name="sr")
            kv = b.layer_norm(b.tokens(kv))
        keys = kv.shape[0]
        y = b.attend(
            [q, b.linear(kv, 2 * width, name="kv")], x.shape, heads=heads, head_dim=width // heads, q_tokens=tokens,
            kv_tokens=keys,
        )  # fmt: skip
        return b.linear(y, width, name="proj")


def _conv_mlp(b: Builder, x: Value, grid: Grid, hidden: int, extra_relu: bool) -> Value:
    with b.scope("mlp"):
        y = b.image(b.linear(x, hidden, name="fc1"), *grid)
        if extra_relu:
            y = b.act(y, "relu")
        y = b.act(b.tokens(b.conv(y, hidden, 3, groups=hidden, name="dwconv")), "gelu")
        return b.linear(y, x.width, name="fc2")


def _window_attention(b: Builder, x: Value, grid: Grid, heads: int, window: int) -> Value:
    width = x.width
    with b.scope("attn"):
        y = partition(b, x, grid, (window, window))
        count, area, _ = y.shape
        qkv = b.linear(y, 3 * width, name="qkv")
        y = b.attend([qkv], y.shape, heads=heads, head_dim=width // heads, q_tokens=area, windows=count)
        return b.linear(restore(b, y, grid, (window, window)), width, name="proj")
