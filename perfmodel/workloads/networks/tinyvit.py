"""TinyViT: inverted residuals, then attention in windows with a depthwise convolution in each block."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, depthwise, positions, side
from perfmodel.workloads.networks.registry import family


@family("tinyvit")
def tinyvit(
    name: str,
    widths: Sequence[int],
    *,
    depths: Sequence[int] = (2, 2, 6, 2),
    head_dim: int = 32,
    windows: Sequence[int] = (7, 7, 14, 7),
    expand: float = 4.0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a TinyViT: a stage of inverted residuals and three of attention in ``windows`` of a side.

    ``widths`` and ``depths`` are of the stages; ``expand`` widens both kinds of blocks. An image that is no multiple of
    a window is padded. Source: Wu et al. 2022 (arXiv 2207.10666); timm 1.0 models/tiny_vit.py.
    """
    b = Builder(name, "tinyvit", (3, image, image))
    x = conv_norm(b, b.input(), widths[0] // 2, 3, 2, bias=False, act="gelu", name="patch_embed.conv1")
    x = conv_norm(b, x, widths[0], 3, 2, bias=False, name="patch_embed.conv2")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            with b.block(f"stages.{stage}.downsample"):
                x = conv_norm(b, x, width, bias=False, act="gelu", name="conv1")
                x = depthwise(b, x, 3, 2, act="gelu", name="conv2")
                x = conv_norm(b, x, width, bias=False, name="conv3")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                if stage:
                    x = _attention_block(b, x, width // head_dim, windows[stage], expand)
                else:
                    x = _inverted(b, x, int(width * expand))
    return b.build(b.linear(b.layer_norm(b.global_pool(x)), classes, name="head"))


def _inverted(b: Builder, x: Value, mid: int) -> Value:
    y = conv_norm(b, x, mid, bias=False, act="gelu", name="conv1")
    y = depthwise(b, y, act="gelu", name="conv2")
    y = conv_norm(b, y, int(x.channels), bias=False, name="conv3")
    return b.act(b.add(y, x), "gelu", name="act3")


def _attention_block(b: Builder, x: Value, heads: int, window: int, expand: float) -> Value:
    width, size, count = int(x.channels), side(x), positions(x)
    many = -(-size // window)
    total = (many * window) ** 2
    y = b.tokens(x)
    if total != count:
        y = b.copy(y, (total, width), name="pad")
    if many > 1:
        y = b.copy(y, name="windows")
    with b.scope("attn"):
        qkv = b.linear(b.layer_norm(y), 3 * width, name="qkv")
        y = b.attend(
            (qkv,), (total, width), heads=heads, head_dim=width // heads, q_tokens=window**2, windows=many**2,
            parameters=heads * window**2,
        )  # fmt: skip
        y = b.linear(y, width, name="proj")
    if many > 1:
        y = b.copy(y, name="unwindows")
    if total != count:
        y = b.copy(y, (count, width), name="unpad")
    x = b.add(x, b.view(y, x.shape, name="image"))
    x = depthwise(b, x, name="local_conv")
    tokens = b.copy(x, (count, width), name="tokens_after")
    y = b.add(tokens, b.mlp(b.layer_norm(tokens), int(width * expand)))
    return b.view(y, x.shape, name="image_after")
