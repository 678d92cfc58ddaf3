"""GCViT: attention within windows, whose queries come from the window or from the whole image, in turn."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import scaled
from perfmodel.workloads.networks.vit_tokens import classifier
from perfmodel.workloads.networks.window_blocks import Grid, partition, restore, whole_windows


@family("gcvit")
def gcvit(
    name: str, width: int, depths: Sequence[int], heads: int, *, ratios: Sequence[int] = (32, 32, 16, 32),
    mlp_ratio: float = 3.0, layer_scale: bool = False, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a global context vision transformer: four stages of twice the width and ``heads`` each.

    A stage's windows are ``image / ratios`` a side. Source: Hatamizadeh et al. 2022 (arXiv 2206.09959); timm
    models/gcvit.py.
    """
    b = Builder(name, "gcvit", (3, image, image))
    with b.block("stem"):
        x = _reduced(b, b.conv(b.input(), width, 3, 2), width)
    for stage, depth in enumerate(depths):
        if stage:
            with b.block(f"stages.{stage}.downsample"):
                x = _reduced(b, x, width * 2**stage)
        grid, window = (int(x.shape[1]), int(x.shape[2])), (image // ratios[stage],) * 2
        whole_windows(grid, window)
        with b.block(f"stages.{stage}.global_block"):
            query = _global_query(b, x, int(log2(min(grid) / min(window))))
        x = b.tokens(b.copy(x, name=f"stages.{stage}.channels_last"))
        for index in range(depth):
            with b.block(f"stages.{stage}.blocks.{index}"):
                y = b.layer_norm(x, name="norm1")
                y = _attention(b, y, grid, window, heads * 2**stage, query if index % 2 else None)
                x = b.add(x, scaled(b, y, layer_scale, "ls1"), name="add1")
                y = b.mlp(b.layer_norm(x, name="norm2"), int(x.width * mlp_ratio))
                x = b.add(x, scaled(b, y, layer_scale, "ls2"), name="add2")
        if stage + 1 == len(depths):
            x = b.layer_norm(x)
        x = b.image(b.copy(x, name=f"stages.{stage}.channels_first"), *grid)
    return b.build(classifier(b, b.global_pool(x), classes))


def _mbconv(b: Builder, x: Value, name: str) -> Value:
    """Add depthwise 3x3, squeeze-and-excitation and 1x1 to ``x``, all without norms and biases."""
    channels = int(x.channels)
    with b.scope(name):
        y = b.act(b.conv(x, channels, 3, groups=channels, bias=False, name="conv_dw"), "gelu")
        with b.scope("se"):
            gate = b.act(b.conv(b.global_pool(y, keep=True), channels // 4, bias=False, name="fc1"), "gelu")
            gate = b.act(b.conv(gate, channels, bias=False, name="fc2"), "sigmoid")
            y = b.scale(y, gate)
        return b.add(b.conv(y, channels, bias=False, name="conv_pw"), x)


def _reduced(b: Builder, x: Value, channels: int) -> Value:
    x = _mbconv(b, b.layer_norm(x, channels_first=True, name="norm1"), "conv_block")
    x = b.conv(x, channels, 3, 2, bias=False, name="reduction")
    return b.layer_norm(x, channels_first=True, name="norm2")


def _global_query(b: Builder, x: Value, levels: int) -> Value:
    """Add the generator of queries: a block and a pooling for each halving down to one window."""
    for level in range(max(1, levels)):
        x = _mbconv(b, x, f"conv{level + 1}")
        if level < levels:
            x = b.max_pool(x, 3, 2, 1, name=f"pool{level + 1}")
    return b.tokens(b.copy(x, name="channels_last"))


def _attention(b: Builder, x: Value, grid: Grid, window: Grid, heads: int, query: Value | None) -> Value:
    width, table = int(x.width), (2 * window[0] - 1) * (2 * window[1] - 1)
    with b.scope("attn"):
        y = partition(b, x, grid, window)
        count, area, _ = y.shape
        inputs = [b.linear(y, (3 if query is None else 2) * width, name="qkv")]
        if query is not None:
            inputs = [b.copy(query, y.shape, name="repeat_queries"), *inputs]
        y = b.attend(
            inputs, y.shape, heads=heads, head_dim=width // heads, q_tokens=area, windows=count, fused=False,
            parameters=table * heads,
        )  # fmt: skip
        return restore(b, b.linear(y, width, name="proj"), grid, window)
