"""The image encoder of SAM: a vision transformer with attention in windows and decomposed relative positions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mvit import relative_biases
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import classifier
from perfmodel.workloads.networks.window_blocks import Grid, partition, restore


@family("samvit")
def samvit(
    name: str, width: int, depth: int, heads: int, *, whole: Sequence[int], window: int = 14, patch: int = 16,
    position: bool = True, neck: int = 256, image: int = 1024, classes: int = 0,
) -> Network:  # fmt: skip
    """Return SAM's image encoder: attention in windows, but over the whole image in the blocks ``whole``, and a neck.

    ``position`` adds learned positions; ``neck`` is the width of the two convolutions at the end (0: a norm only).
    The result is averaged to a vector, as timm does. Source: Li et al. 2022 (arXiv 2203.16527), section 3; Kirillov et
    al. 2023 (arXiv 2304.02643), appendix A; timm models/vision_transformer_sam.py.
    """
    b = Builder(name, "samvit", (3, image, image))
    x = b.conv(b.input(), width, patch, patch, 0, name="patch_embed")
    grid = tuple(int(n) for n in x.shape[1:])
    x = b.tokens(x)
    if position:
        x = b.learned(x, prod(grid) * width, name="pos_embed")
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            x = _block(b, x, grid, heads, grid if index in whole else (window, window))
    x = b.image(b.copy(x, name="channels_first"), *grid)
    with b.scope("neck"):
        if neck:
            x = b.layer_norm(b.conv(x, neck, bias=False), channels_first=True)
            x = b.conv(x, neck, 3, bias=False)
        x = b.layer_norm(x, channels_first=True)
    return b.build(classifier(b, b.global_pool(x), classes))


def _block(b: Builder, x: Value, grid: Grid, heads: int, window: Grid) -> Value:
    y = partition(b, b.layer_norm(x, name="norm1"), grid, window)
    count, area, width = y.shape
    head = int(width) // heads
    with b.scope("attn"):
        qkv = b.linear(y, 3 * width, name="qkv")
        biases = relative_biases(b, qkv, window, window, heads * int(count), head, window)
        y = b.attend([qkv, *biases], y.shape, heads=heads, head_dim=head, q_tokens=area, windows=count, fused=False)
        y = b.linear(y, width, name="proj")
    x = b.add(x, restore(b, y, grid, window), name="add1")
    return b.add(x, b.mlp(b.layer_norm(x, name="norm2"), 4 * width), name="add2")
