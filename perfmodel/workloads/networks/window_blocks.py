"""Attention within windows of a grid of tokens: partition, padding, cyclic shifts, merging of patches."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.workloads.building import Builder, Value

Grid = tuple[int, ...]
"""How many tokens there are along each side of an image, or of the frames of a video."""


def padded(grid: Sequence[int], window: Sequence[int]) -> Grid:
    """Return the grid that whole windows cover."""
    return tuple(-(-side // size) * size for side, size in zip(grid, window, strict=True))


def whole_windows(grid: Sequence[int], window: Sequence[int]) -> None:
    """Refuse a grid that windows do not divide, where implementations do not pad: ValueError."""
    if padded(grid, window) != tuple(grid):
        raise ValueError(f"windows of {tuple(window)} do not divide a grid of {tuple(grid)} positions")


def partition(b: Builder, x: Value, grid: Grid, window: Grid, *, shift: bool = False) -> Value:
    """Return tokens (tokens, width) as windows (windows, tokens of one, width), padded where they do not divide.

    A cyclic shift is a copy of its own, as in the implementations.
    """
    whole, area = padded(grid, window), prod(window)
    if shift:
        x = b.copy(x, name="roll")
    if whole != grid:
        x = b.copy(x, (prod(whole), x.width), name="pad")
    if whole == window:
        return b.view(x, (1, area, x.width), name="windows")
    return b.copy(x, (prod(whole) // area, area, x.width), name="windows")


def restore(b: Builder, x: Value, grid: Grid, window: Grid, *, shift: bool = False) -> Value:
    """Return windows as the tokens that they were made of, without padding."""
    whole = padded(grid, window)
    if whole == window and whole == grid:
        return b.view(x, (prod(grid), x.width), name="tokens")
    x = b.copy(x, (prod(whole), x.width), name="merge_windows")
    if whole != grid:
        x = b.copy(x, (prod(grid), x.width), name="crop")
    return b.copy(x, name="roll_back") if shift else x


def cosine_norm(b: Builder, qkv: Value, heads: int, head_dim: Number) -> Value:
    """Scale queries and keys to unit length, with a learned temperature a head (arXiv 2111.09883)."""
    rows = 2 * heads * prod(qkv.shape[:-1], start=1)
    return b.node("cosine", ops.RmsNorm(rows, head_dim), (qkv,), qkv.shape, heads)


def merge_patches(b: Builder, x: Value, grid: Grid, features: int, *, norm_first: bool = True) -> tuple[Value, Grid]:
    """Halve height and width: four neighbours become one token, with a norm before or after its dense layer.

    Source: Swin (arXiv 2103.14030), section 3.1. An odd side is padded.
    """
    *frames, height, width = grid
    if height % 2 or width % 2:
        even = (*frames, height + height % 2, width + width % 2)
        x = b.copy(x, (prod(even), x.width), name="pad")
    smaller = (*frames, (height + 1) // 2, (width + 1) // 2)
    with b.scope("downsample"):
        x = b.copy(x, (prod(smaller), 4 * x.width), name="neighbours")
        if norm_first:
            return b.linear(b.layer_norm(x), features, bias=False, name="reduction"), smaller
        return b.layer_norm(b.linear(x, features, bias=False, name="reduction")), smaller
