"""EfficientViT of MIT: inverted residuals and linear attention at several scales."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import positions
from perfmodel.workloads.networks.registry import family


@family("efficientvit")
def efficientvit(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    head: Sequence[int],
    *,
    head_dim: int = 32,
    expand: float = 4.0,
    large: bool = False,
    scales: Sequence[int] = (5,),
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return an EfficientViT: a stem and four stages, the last two (``large``: the last) of attention blocks.

    ``large`` are the l variants: full convolutions in the stem and the first two stages, expansions by 16 and 24 where
    the stride is 2. ``head``: its two hidden widths; ``scales``: kernels that aggregate queries, keys and values.
    Source: Cai et al. 2022 (arXiv 2205.14756); timm 1.0 models/efficientvit_mit.py.
    """
    b = Builder(name, "efficientvit", (3, image, image))
    act = "gelu" if large else "hard_swish"
    x = b.conv_bn(b.input(), widths[0], 3, 2, act=act, name="stem.in_conv")
    for index in range(depths[0]):
        with b.block(f"stem.{index}"):
            x = b.add(_stem_block(b, x, act, large), x)
    for stage in range(1, len(widths)):
        x = _stage(b, x, stage, widths[stage], depths[stage], (head_dim, expand, large, act), scales)
    x = b.conv_bn(x, head[0], act=act, name="head.in_conv")
    y = b.linear(b.global_pool(x), head[1], bias=False, name="head.fc1")
    return b.build(b.linear(b.act(b.layer_norm(y), act), classes, name="head.fc2"))


def _stage(
    b: Builder, x: Value, stage: int, width: int, depth: int, kind: tuple[int, float, bool, str], scales: Sequence[int]
) -> Value:
    head_dim, expand, large, act = kind
    attends = stage == 4 if large else stage >= 3
    plain = stage >= 3  # blocks with biases instead of norms, where it is large or attends
    down = (24 if attends else 16) if large else expand
    local = (6 if attends else 4) if large else expand
    for index in range(depth + (large or attends)):
        with b.block(f"stages.{stage - 1}.{index}"):
            if not index:
                x = _local(b, x, width, 2, down, act, fused=large and not plain, plain=plain)
                continue
            if attends:
                x = b.add(_linear_attention(b, x, head_dim, scales), x)
            x = b.add(_local(b, x, width, 1, local, act, fused=large and not plain, plain=plain), x)
    return x


def _stem_block(b: Builder, x: Value, act: str, large: bool) -> Value:
    width = int(x.channels)
    y = b.conv_bn(x, width, 3, groups=1 if large else width, act=act, name="conv1")
    return b.conv_bn(y, width, 3 if large else 1, act="", name="conv2")


def _local(
    b: Builder, x: Value, out: int, stride: int, expand: float, act: str, *, fused: bool, plain: bool
) -> Value:  # fmt: skip
    mid = round(x.channels * expand)
    if fused:
        y = b.conv_bn(x, mid, 3, stride, act=act, name="spatial_conv")
    elif plain:
        y = b.act(b.conv(x, mid, name="inverted_conv"), act)
        y = b.act(b.conv(y, mid, 3, stride, groups=mid, name="depth_conv"), act)
    else:
        y = b.conv_bn(x, mid, act=act, name="inverted_conv")
        y = b.conv_bn(y, mid, 3, stride, groups=mid, act=act, name="depth_conv")
    return b.conv_bn(y, out, act="", name="point_conv")


def _linear_attention(b: Builder, x: Value, dim: int, scales: Sequence[int]) -> Value:
    """Add attention without softmax: keys times values first, so that the work is linear in positions."""
    width, count = int(x.channels), positions(x)
    heads = width // dim
    with b.scope("mla"):
        qkv = b.conv(x, 3 * heads * dim, bias=False, name="qkv")
        parts = [qkv]
        for kernel in scales:
            y = b.conv(qkv, qkv.channels, kernel, groups=qkv.channels, bias=False, name=f"aggreg{kernel}")
            parts.append(b.conv(y, qkv.channels, groups=3 * heads, bias=False, name=f"aggreg{kernel}_pw"))
        many = heads * len(parts)
        query, key, value = b.split(b.concat(parts), [many * dim] * 3)
        query, key = b.act(query, "relu", name="query"), b.act(key, "relu", name="key")
        value = b.copy(value, (many * (dim + 1), *x.shape[1:]), name="value_pad")
        both = b.matmul(key, value, (many, dim, dim + 1), batch=many, m=dim, n=dim + 1, k=count, name="key_value")
        y = b.matmul(query, both, (many, count, dim + 1), batch=many, m=count, n=dim + 1, k=dim, name="mixed")
        y = b.scale(b.view(y, (many * dim, *x.shape[1:]), name="sums"), name="normalise")
        return b.conv_bn(y, width, act="", name="proj")
