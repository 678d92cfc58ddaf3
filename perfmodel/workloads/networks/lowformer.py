"""LowFormer: convolutions without depthwise splits, and attention at a lowered resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_mlp, conv_norm, depthwise, positions
from perfmodel.workloads.networks.registry import family

ACT = "hard_swish"


@dataclass(frozen=True)
class _Block:
    """What the blocks of a network share."""

    expand: float
    fused: bool
    attends: bool
    mlp: bool


@family("lowformer")
def lowformer(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    *,
    head: Sequence[int] = (1536, 1600),
    stem_expand: float = 2.0,
    down_expand: float = 4.0,
    expand: float = 4.0,
    fused: bool = True,
    attends: bool = True,
    mlp: bool = True,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a LowFormer: a stem and four stages of ``widths`` and ``depths``, the last two of attention blocks.

    ``fused``: blocks of one full convolution instead of a pointwise and a depthwise one (below 256 channels where a
    block attends). ``stem_expand``, ``down_expand`` and ``expand`` widen blocks of the stem, those of stride 2 and the
    others. ``attends`` and ``mlp`` keep these parts of attention blocks. ``head``: its two hidden widths.
    Source: Nottebaum et al. 2024 (arXiv 2409.03460); the e variants arXiv 2603.26551; timm 1.0 models/lowformer.py.
    """
    b = Builder(name, "lowformer", (3, image, image))
    kind = _Block(expand, fused, attends, mlp)
    x = b.conv_bn(b.input(), widths[0], 3, 2, act=ACT, name="stem.0")
    for index in range(depths[0]):
        with b.block(f"stem.{index + 1}"):
            x = b.add(_inverted(b, x, widths[0], 1, stem_expand, fused), x)
    for stage in range(1, len(widths)):
        x = _stage(b, x, stage, widths[stage], depths[stage], kind, down_expand)
    x = b.conv_bn(x, head[0], act=ACT, name="in_conv")
    y = b.linear(b.global_pool(x), head[1], bias=False, name="pre_classifier")
    return b.build(b.linear(b.act(b.layer_norm(y), ACT), classes, name="classifier"))


def _stage(b: Builder, x: Value, stage: int, width: int, depth: int, kind: _Block, down: float) -> Value:
    deep = stage >= 3
    for index in range(depth + deep):
        with b.block(f"stages.{stage - 1}.{index}"):
            if not index:
                x = _inverted(b, x, width, 2, down, kind.fused)
            elif deep:
                x = _attention_block(b, x, 2 if stage == 3 else 1, kind)
            else:
                x = b.add(_inverted(b, x, width, 1, kind.expand, kind.fused), x)
    return x


def _inverted(
    b: Builder, x: Value, out: int, stride: int, expand: float, fused: bool, bias: bool = False
) -> Value:  # fmt: skip
    mid = round(x.channels * expand)
    if fused:
        y = conv_norm(b, x, mid, 3, stride, bias=bias, act=ACT, name="spatial_conv")
    else:
        y = b.act(b.conv(x, mid, bias=bias, name="inverted_conv"), ACT)
        y = b.act(b.conv(y, mid, 3, stride, groups=mid, bias=bias, name="depth_conv"), ACT)
    return conv_norm(b, y, out, bias=False, name="point_conv")


def _attention_block(b: Builder, x: Value, stride: int, kind: _Block) -> Value:
    width = int(x.channels)
    if kind.attends:
        y = b.group_norm(x, 1, name="attn_norm") if kind.mlp else x
        x = b.add(_attend(b, y, stride, kind.fused), x)
    if kind.mlp:
        x = b.add(conv_mlp(b, b.group_norm(x, 1, name="mlp_norm"), 4 * width), x)
    return b.add(_inverted(b, x, width, 1, kind.expand, kind.fused and width < 256, bias=True), x)


def _attend(b: Builder, x: Value, stride: int, fused: bool) -> Value:
    """Add attention over a strided image and a transposed convolution back; heads are half as wide as their share."""
    width = int(x.channels)
    heads = max(1, int(width * 0.5 // 30))
    head_dim = int(width // heads * 0.5)
    with b.scope("attn"):
        y = depthwise(b, x, 5 if stride > 1 else 3, stride, name="conv_proj")
        qkv = b.conv(y, 3 * heads * head_dim, bias=False, name="pwise")
        y = b.attend((qkv,), (heads * head_dim, *y.shape[1:]), heads=heads, head_dim=head_dim, q_tokens=positions(y))
        if not fused:
            y = b.conv(y, width, name="o_proj")
        kernel, padding = (2 * stride, stride // 2) if stride > 1 else (3, 1)
        y = b.conv_transpose(y, width, kernel, stride, padding, groups=1 if fused else width, name="upsampling")
        return y if y.shape == x.shape else b.view(y, x.shape, name="crop")
