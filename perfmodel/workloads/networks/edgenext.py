"""EdgeNeXt: ConvNeXt blocks, and attention among channels after convolutions of split channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import layer_scale, positions
from perfmodel.workloads.networks.registry import family

FOURIER = 32
"""Frequencies a side of the encoding of positions."""


@family("edgenext")
def edgenext(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    *,
    heads: int = 8,
    attention_blocks: Sequence[int] = (0, 1, 1, 1),
    kernels: Sequence[int] = (3, 5, 7, 9),
    scales: Sequence[int] = (2, 2, 3, 4),
    encoded: Sequence[bool] = (False, True, False, False),
    expand: float = 4.0,
    overlap: bool = False,
    conv_bias: bool = True,
    image: int = 256,
    classes: int = 1000,
) -> Network:
    """Return an EdgeNeXt: four stages of ``kernels``, each ends in ``attention_blocks`` over ``scales`` parts.

    ``encoded``: stages whose attention adds an encoding of positions. ``overlap``: a 9x9 stem and strides inside the
    first blocks of stages, instead of 4x4 patches and layers between stages. Source: Maaz et al. 2022 (arXiv
    2206.10589); timm 1.0 models/edgenext.py.
    """
    b = Builder(name, "edgenext", (3, image, image))
    kernel, padding = (9, 4) if overlap else (4, 0)
    x = b.conv(b.input(), widths[0], kernel, 4, padding, bias=conv_bias, name="stem")
    x = b.layer_norm(x, channels_first=True, name="stem_norm")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage and not overlap:
            x = b.layer_norm(x, channels_first=True, name=f"stages.{stage}.norm")
            x = b.conv(x, width, 2, 2, 0, bias=conv_bias, name=f"stages.{stage}.downsample")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                if index < depth - attention_blocks[stage]:
                    stride = 2 if stage and overlap and not index else 1
                    x = _conv_block(b, x, width, kernels[stage], stride, expand, conv_bias)
                else:
                    x = _split_block(b, x, scales[stage], heads, expand, encoded[stage], conv_bias)
    return b.build(b.linear(b.layer_norm(b.global_pool(x)), classes, name="head"))


def _conv_block(b: Builder, x: Value, width: int, kernel: int, stride: int, expand: float, bias: bool) -> Value:
    y = b.conv(x, width, kernel, stride, groups=x.channels, bias=bias, name="conv_dw")
    shortcut = y if y.shape != x.shape else x
    return b.add(shortcut, _mlp(b, b.tokens(y), y, expand))


def _mlp(b: Builder, tokens: Value, like: Value, expand: float) -> Value:
    y = b.mlp(b.layer_norm(tokens), int(tokens.width * expand))
    return b.view(layer_scale(b, y), like.shape, name="image")


def _split_block(
    b: Builder, x: Value, scales: int, heads: int, expand: float, encoded: bool, bias: bool
) -> Value:  # fmt: skip
    width, count = int(x.channels), positions(x)
    y = b.tokens(b.concat(_convolved(b, x, ceil(width / scales), max(1, scales - 1), bias)))
    if encoded:
        waves = b.view(x, (2 * FOURIER, *x.shape[1:]), name="waves")
        y = b.add(y, b.tokens(b.conv(waves, width, name="position")), name="add_position")
    y = b.add(y, layer_scale(b, _channel_attention(b, b.layer_norm(y, name="norm_xca"), heads, count)))
    return b.add(x, _mlp(b, y, x, expand))


def _convolved(b: Builder, x: Value, part: int, convs: int, bias: bool) -> list[Value]:
    """Add depthwise convolutions of parts of the channels, each of the sum of its part and the last result."""
    width = int(x.channels)
    each = -(-width // (convs + 1))
    parts = b.split(x, [each] * convs + [width - each * convs])
    done: list[Value] = []
    y = parts[0]
    for index in range(convs):
        y = b.add(y, parts[index]) if index else y
        y = b.conv(y, part, 3, groups=part, bias=bias, name=f"convs.{index}")
        done.append(y)
    return [*done, parts[-1]]


def _channel_attention(b: Builder, x: Value, heads: int, tokens: int) -> Value:
    """Add attention among the channels of each head, over all positions."""
    width = int(x.width)
    each = width // heads
    with b.scope("xca"):
        qkv = b.linear(x, 3 * width, name="qkv")
        unit = b.scale(b.view(qkv, (2 * width, tokens), name="qk"), name="unit")
        scores = b.matmul(unit, unit, (heads, each, each), batch=heads, m=each, n=each, k=tokens, name="scores")
        scores = b.softmax(b.scale(scores, parameters=heads, name="temperature"))
        mixed = b.matmul(scores, qkv, (heads, each, tokens), batch=heads, m=each, n=tokens, k=each, name="sum")
        return b.linear(b.copy(mixed, (tokens, width), name="transpose"), width, name="proj")
