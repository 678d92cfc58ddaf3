"""VOLO: outlook attention on fine tokens, self-attention on coarse ones, class attention at the end."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import BlockStyle, block
from perfmodel.workloads.networks.vit_tokens import add_tokens

_KERNEL = 3
"""Side of the neighbourhoods of outlook attention; they lie two tokens apart."""


@family("volo")
def volo(
    name: str, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], *, stem: int = 64, patch: int = 8,
    mlp_ratio: float = 3.0, class_depth: int = 2, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a VOLO: a first stage of outlook attention, half the side for the others, and classifiers of all tokens.

    ``stem`` is the width of the convolutions before the patches. The classifier of patches, whose maximum is added to
    the class token's, is counted. Source: Yuan et al. 2021 (arXiv 2106.13112); timm models/volo.py.
    """
    b = Builder(name, "volo", (3, image, image))
    x = b.input()
    with b.block("patch_embed"):
        for index, (kernel, stride) in enumerate(((7, 2), (3, 1), (3, 1))):
            x = b.conv_bn(x, stem, kernel, stride, name=f"conv.{index}")
        x = b.conv(x, widths[0], patch // 2, patch // 2, 0, name="proj")
    for index in range(depths[0]):
        with b.block(f"network.0.{index}"):
            x = _outlooker(b, x, heads[0], mlp_ratio)
    x = b.conv(x, widths[1], 2, 2, 0, name="network.1")
    x = b.tokens(x)
    x = b.learned(x, x.shape[0] * x.width, name="pos_embed")
    for stage, depth in enumerate(depths[1:], start=1):
        style = BlockStyle(heads[stage], int(widths[stage] * mlp_ratio), bias="")
        for index in range(depth):
            with b.block(f"network.{stage + 1}.{index}"):
                x = block(b, x, style)
    x = add_tokens(b, x, 1)
    for index in range(class_depth):
        with b.block(f"post_network.{index}"):
            x = _class_block(b, x, heads[-1], mlp_ratio)
    x = b.layer_norm(x)
    rest = b.linear(b.view(x, (x.shape[0] - 1, x.width), name="patches"), classes, name="aux_head")
    token = b.linear(b.view(x, (x.width,), name="token"), classes, name="head")
    return b.build(b.add(token, b.token_pool(rest, name="maximum")))


def _outlooker(b: Builder, x: Value, heads: int, mlp_ratio: float) -> Value:
    channels, rows, columns = x.shape
    x = b.tokens(x)
    y = _outlook(b, b.layer_norm(x, name="norm1"), (int(rows), int(columns)), heads)
    x = b.add(x, y, name="add1")
    x = b.add(x, b.mlp(b.layer_norm(x, name="norm2"), int(channels * mlp_ratio)), name="add2")
    return b.image(x, rows, columns)


def _outlook(b: Builder, x: Value, grid: tuple[int, int], heads: int) -> Value:
    """Add outlook attention: a layer gives the weights of each neighbourhood's products."""
    width, taps = int(x.width), _KERNEL**2
    places = -(-grid[0] // 2) * -(-grid[1] // 2)
    with b.scope("attn"):
        values = b.linear(x, width, bias=False, name="v")
        values = b.copy(values, (places, taps, width), name="unfold")
        y = b.tokens(b.avg_pool(b.image(x, *grid), 2, 2, ceil=True))
        weights = b.linear(y, taps * taps * heads, name="attn")
        weights = b.softmax(b.scale(b.view(weights, (places * heads * taps, taps))))
        y = b.matmul(
            weights, values, (places, taps, width), batch=places * heads, m=taps, n=width // heads, k=taps, name="mix"
        )
        y = b.copy(y, x.shape, name="fold")
        return b.linear(y, width, name="proj")


def _class_block(b: Builder, x: Value, heads: int, mlp_ratio: float) -> Value:
    tokens, width = x.shape
    y = b.layer_norm(x, name="norm1")
    with b.scope("attn"):
        kv = b.linear(y, 2 * width, bias=False, name="kv")
        q = b.linear(b.view(y, (1, width)), width, bias=False, name="q")
        y = b.attend(
            [q, kv], (1, width), heads=heads, head_dim=width // heads, q_tokens=1, kv_tokens=tokens, fused=False
        )
        y = b.linear(y, width, name="proj")
    token = b.add(b.view(x, (1, width)), y, name="add1")
    token = b.add(token, b.mlp(b.layer_norm(token, name="norm2"), int(width * mlp_ratio)), name="add2")
    return b.concat([token, b.view(x, (tokens - 1, width))])
