"""Hiera, and the encoder of SAM 2: hierarchical vision transformers that pool queries by maxima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import scaled
from perfmodel.workloads.networks.vit_tokens import classifier
from perfmodel.workloads.networks.window_blocks import Grid, partition, restore, whole_windows


@dataclass(frozen=True)
class _Block:
    """Features that leave a block, heads, the side of its windows (0: the whole grid), stride of its queries."""

    features: int
    heads: int
    window: int
    stride: int
    layer_scale: bool
    expand: str = "linear"


@family("hiera")
def hiera(
    name: str, width: int, depths: Sequence[int], heads: int, *, unit: int = 8, windowed: int = 2,
    position_grid: int = 0, layer_scale: bool = False, expand: str = "linear", image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a Hiera: four stages, twice the width and heads and half the side each; the first in mask units.

    ``unit`` is the side of a mask unit in the first stage, ``windowed`` the stages that attend within units, ``heads``
    of the first stage. ``position_grid`` makes positions a resized grid plus a tile of one unit. ``expand``: the
    shortcut widens by a "linear" layer or by "pool" (maximum beside mean). Source: Ryali et al. 2023 (arXiv
    2306.00989); Bolya et al. 2023 (arXiv 2311.05613, windowed positions); timm models/hiera.py.
    """
    b, x, grid = _stem(name, "hiera", width, image)
    learned = position_grid**2 + unit**2 if position_grid else prod(grid)
    x = b.learned(x, learned * width, name="pos_embed")
    x = b.copy(x, name="unroll")
    for stage, depth in enumerate(depths):
        for index in range(depth):
            first = stage > 0 and index == 0
            inside = stage - first < windowed
            block = _Block(
                width * 2**stage, heads * 2**stage, unit // 2 ** (stage - first) if inside else 0, 1 + first,
                layer_scale, expand,
            )  # fmt: skip
            with b.block(f"stages.{stage}.{index}"):
                x, grid = _block(b, x, grid, block, unrolled=True)
    x = b.layer_norm(b.token_pool(x), name="norm")
    return b.build(classifier(b, x, classes))


@family("hieradet")
def hieradet(
    name: str, width: int, depths: Sequence[int], heads: int, *, windows: Sequence[int] = (8, 4, 14, 7),
    whole: Sequence[int] = (12, 16, 20), position_grid: int = 7, layer_scale: bool = False, image: int = 1024,
    classes: int = 0,
) -> Network:  # fmt: skip
    """Return a Hiera for detection, as in SAM 2: attention in ``windows`` of each stage but in the ``whole`` blocks.

    Blocks are counted from 0 through all stages; the first block of a stage has the window of the stage before.
    Source: Ravi et al. 2024 (arXiv 2408.00714); timm models/hieradet_sam2.py. Omits SAM 2's neck.
    """
    b, x, grid = _stem(name, "hieradet", width, image)
    x = b.learned(x, (position_grid**2 + windows[0] ** 2) * width, name="pos_embed")
    number = 0
    for stage, depth in enumerate(depths):
        for index in range(depth):
            first = stage > 0 and index == 0
            window = 0 if number in whole else windows[stage - first]
            block = _Block(width * 2**stage, heads * 2**stage, window, 1 + first, layer_scale)
            with b.block(f"blocks.{number}"):
                x, grid = _block(b, x, grid, block, unrolled=False)
            number += 1
    x = b.layer_norm(b.token_pool(x), name="norm")
    return b.build(classifier(b, x, classes))


def _stem(name: str, kind: str, width: int, image: int) -> tuple[Builder, Value, Grid]:
    b = Builder(name, kind, (3, image, image))
    x = b.conv(b.input(), width, 7, 4, 3, name="patch_embed")
    grid = tuple(int(n) for n in x.shape[1:])
    return b, b.tokens(x), grid


def _block(b: Builder, x: Value, grid: Grid, block: _Block, *, unrolled: bool) -> tuple[Value, Grid]:
    y = b.layer_norm(x, name="norm1")
    smaller = tuple(side // block.stride for side in grid)
    skip = x
    if x.width != block.features:
        if block.expand == "linear":
            skip = _maximum(b, b.linear(y, block.features, name="proj"), block.stride, "pool")
        else:
            parts = [_maximum(b, x, block.stride, kind) for kind in ("max_pool", "mean_pool")]
            skip = b.concat(parts, axis=-1)
    y = _attention(b, y, grid, block, unrolled)
    x = b.add(skip, scaled(b, y, block.layer_scale, "ls1"), name="add1")
    y = b.mlp(b.layer_norm(x, name="norm2"), 4 * x.width)
    return b.add(x, scaled(b, y, block.layer_scale, "ls2"), name="add2"), smaller


def _attention(b: Builder, x: Value, grid: Grid, block: _Block, unrolled: bool) -> Value:
    """Add attention inside windows; ``unrolled`` tokens lie window by window, so that they need no partition."""
    window = (block.window,) * 2 if block.window else grid
    pooled = tuple(side // block.stride for side in window)
    smaller = tuple(side // block.stride for side in grid)
    features, area = block.features, prod(window)
    if unrolled:
        whole_windows(grid, window)
    with b.scope("attn"):
        x = b.view(x, (prod(grid) // area, area, x.width)) if unrolled else partition(b, x, grid, window)
        count = int(x.shape[0])
        qkv = b.linear(x, 3 * features, name="qkv")
        inputs = [qkv]
        if block.stride > 1:
            q = b.view(qkv, (count, area, features), name="q")
            inputs = [_maximum(b, q, block.stride, "q_pool", (count, prod(pooled), features)), qkv]
        y = b.attend(
            inputs, (count, prod(pooled), features), heads=block.heads, head_dim=features // block.heads,
            q_tokens=prod(pooled), kv_tokens=area, windows=count,
        )  # fmt: skip
        y = b.linear(y, features, name="proj")
        return b.view(y, (prod(smaller), features)) if unrolled else restore(b, y, smaller, pooled)


def _maximum(b: Builder, x: Value, stride: int, name: str, shape: tuple[int, ...] | None = None) -> Value:
    """Add the maximum (or mean) over ``stride`` by ``stride`` neighbours."""
    if stride == 1:
        return x
    tokens = int(prod(x.shape[:-1], start=1))
    left = shape or (tokens // stride**2, int(x.width))
    return b.node(name, ops.Pool(1, x.width, tokens, prod(left[:-1]), stride**2), (x,), left)
