"""EfficientFormer v1 and v2: pooling or convolutions in early stages, attention in late ones."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import (
    conv_mlp,
    conv_norm,
    depthwise,
    layer_scale,
    plain_attention,
    positions,
    side,
    two_heads,
)
from perfmodel.workloads.networks.registry import family


@family("efficientformer")
def efficientformer(
    name: str,
    depths: Sequence[int],
    widths: Sequence[int],
    attention_blocks: int,
    *,
    heads: int = 8,
    key: int = 32,
    expand: float = 4.0,
    distilled: bool = True,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return an EfficientFormer: stages of pooling blocks, the last ``attention_blocks`` attend over tokens.

    ``heads`` of ``key`` features compare, four times as many are summed; ``expand`` widens the MLPs. ``distilled``:
    two classifiers, whose mean is the answer. Source: Li et al. 2022 (arXiv 2206.01191); timm 1.0
    models/efficientformer.py.
    """
    b = Builder(name, "efficientformer", (3, image, image))
    x = conv_norm(b, b.input(), widths[0] // 2, 3, 2, act="relu", name="stem.conv1")
    x = conv_norm(b, x, widths[0], 3, 2, act="relu", name="stem.conv2")
    tokens, total = False, sum(depths)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            x = conv_norm(b, x, width, 3, 2, name=f"stages.{stage}.downsample")
        for index in range(depth):
            attends = sum(depths[:stage]) + index >= total - attention_blocks
            with b.block(f"stages.{stage}.{index}"):
                if attends and not tokens:
                    resolution, tokens = positions(x), True
                    x = b.copy(x, (resolution, width), name="tokens")
                x = _token_block(b, x, heads, key, expand) if attends else _pool_block(b, x, expand)
    x = b.layer_norm(x if tokens else b.tokens(x), name="norm")
    return b.build(two_heads(b, b.token_pool(x), classes, distilled=distilled))


def _pool_block(b: Builder, x: Value, expand: float) -> Value:
    y = b.avg_pool(x, 3, 1, 1)
    y = layer_scale(b, b.add(y, x, name="subtract"))
    x = b.add(x, y)
    y = conv_mlp(b, x, int(x.channels * expand), norm=True)
    return b.add(x, layer_scale(b, y))


def _token_block(b: Builder, x: Value, heads: int, key: int, expand: float) -> Value:
    tokens, width = int(x.shape[0]), int(x.width)
    y = b.linear(b.layer_norm(x), heads * key * 6, name="qkv")
    y = plain_attention(
        b, (y,), (tokens, heads * key * 4), heads=heads, key=key, value=4 * key, q_tokens=tokens, biases=heads * tokens
    )
    x = b.add(x, layer_scale(b, b.linear(y, width, name="proj")))
    return b.add(x, layer_scale(b, b.mlp(b.layer_norm(x), int(width * expand))))


@family("efficientformerv2")
def efficientformerv2(
    name: str,
    depths: Sequence[int],
    widths: Sequence[int],
    attention_blocks: int,
    expands: Sequence[float | Sequence[float]],
    *,
    heads: int = 8,
    key: int = 32,
    down_key: int = 16,
    distilled: bool = True,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return an EfficientFormerV2: inverted residuals, in the last two stages ``attention_blocks`` attend as well.

    ``expands`` are the widenings of stages, or of each block of them. The third stage attends at half its resolution;
    the step to the fourth attends too, with ``down_key`` features a head. Source: Li et al. 2022 (arXiv 2212.08059);
    timm 1.0 models/efficientformer_v2.py.
    """
    b = Builder(name, "efficientformerv2", (3, image, image))
    x = conv_norm(b, b.input(), widths[0] // 2, 3, 2, act="gelu", name="stem.conv1")
    x = conv_norm(b, x, widths[0], 3, 2, act="gelu", name="stem.conv2")
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            with b.block(f"stages.{stage}.downsample"):
                y = conv_norm(b, x, width, 3, 2)
                x = b.add(_attend_down(b, x, width, heads, down_key), y) if stage >= 3 else y
        each = expands[stage]
        for index in range(depth):
            expand = each if isinstance(each, (int, float)) else each[index]
            with b.block(f"stages.{stage}.{index}"):
                if stage >= 2 and index >= depth - attention_blocks:
                    x = b.add(x, layer_scale(b, _attend(b, x, heads, key, 2 if stage == 2 else 1)))
                x = b.add(x, layer_scale(b, _inverted(b, x, int(width * expand))))
    x = b.batch_norm(x, name="norm")
    return b.build(two_heads(b, b.global_pool(x), classes, distilled=distilled))


def _inverted(b: Builder, x: Value, hidden: int) -> Value:
    y = conv_norm(b, x, hidden, act="gelu", name="fc1")
    y = depthwise(b, y, bias=True, act="gelu", name="mid")
    return conv_norm(b, y, int(x.channels), name="fc2")


def _attend(b: Builder, x: Value, heads: int, key: int, stride: int) -> Value:
    """Add attention of an image's positions, at a ``stride``, with a depthwise convolution of the values beside it."""
    full, width, inner = side(x), int(x.channels), heads * key * 4
    with b.scope("attn"):
        if stride > 1:
            x = depthwise(b, x, 3, stride, bias=True, name="stride_conv")
        q, k = (conv_norm(b, x, heads * key, name=n) for n in "qk")
        v = conv_norm(b, x, inner, name="v")
        local = depthwise(b, v, bias=True, name="v_local")
        y = plain_attention(
            b, (q, k, v), (inner, *(int(n) for n in x.shape[1:])), heads=heads, key=key, value=4 * key,
            q_tokens=positions(x), biases=heads * positions(x), mixes=True,
        )  # fmt: skip
        y = b.add(y, local)
        if stride > 1:
            y = b.resize(y, full, name="upsample")
        return conv_norm(b, b.act(y, "gelu"), width, name="proj")


def _attend_down(b: Builder, x: Value, width: int, heads: int, key: int) -> Value:
    """Add attention of every second position a side over all."""
    channels, inner = int(x.channels), heads * key * 4
    with b.scope("attn"):
        near = b.conv(x, channels, 3, 2, groups=channels, name="q_local")
        q = conv_norm(b, b.add(near, b.avg_pool(x, 1, 2, name="q_pool")), heads * key, name="q")
        k = conv_norm(b, x, heads * key, name="k")
        v = conv_norm(b, x, inner, name="v")
        local = depthwise(b, v, 3, 2, bias=True, name="v_local")
        y = plain_attention(
            b, (q, k, v), (inner, *(int(n) for n in q.shape[1:])), heads=heads, key=key, value=4 * key,
            q_tokens=positions(q), kv_tokens=positions(x), biases=heads * positions(x),
        )  # fmt: skip
        return conv_norm(b, b.act(b.add(y, local), "gelu"), width, name="proj")
