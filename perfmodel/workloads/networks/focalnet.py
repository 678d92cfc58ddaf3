"""FocalNet: focal modulation, depthwise convolutions of growing reach that gates sum, instead of attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import classifier


@dataclass(frozen=True)
class _Style:
    levels: int
    window: int
    post_norm: bool
    inner_norm: bool
    layer_scale: bool
    mlp_ratio: float


@family("focalnet")
def focalnet(
    name: str, width: int, depths: Sequence[int], *, levels: int = 2, window: int = 3, overlap: bool = False,
    post_norm: bool = False, inner_norm: bool = False, layer_scale: bool = False, mlp_ratio: float = 4.0,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a FocalNet: four stages, each of twice the width and half the side of the last.

    ``levels`` convolutions of sides ``window``, ``window + 2``, ... make the context; ``overlap`` has overlapping
    patches, ``post_norm`` norms after the layers instead of before, ``inner_norm`` one more within the modulation.
    Source: Yang et al. 2022 (arXiv 2203.11926), section 3; timm models/focalnet.py.
    """
    style = _Style(levels, window, post_norm, inner_norm, layer_scale, mlp_ratio)
    b = Builder(name, "focalnet", (3, image, image))
    x = b.input()
    for stage, depth in enumerate(depths):
        stride = 2 if stage else 4
        kernel, padding = ({4: 7, 2: 3}[stride], {4: 2, 2: 1}[stride]) if overlap else (stride, 0)
        with b.block(f"layers.{stage}.downsample" if stage else "stem"):
            x = b.conv(x, width * 2**stage, kernel, stride, padding, name="proj")
            x = b.layer_norm(x, channels_first=True)
        for index in range(depth):
            with b.block(f"layers.{stage}.blocks.{index}"):
                x = _block(b, x, style)
    x = b.global_pool(b.layer_norm(x, channels_first=True))
    return b.build(classifier(b, x, classes))


def _block(b: Builder, x: Value, style: _Style) -> Value:
    def residual(x: Value, y: Value, number: int) -> Value:
        if style.post_norm:
            y = b.layer_norm(y, channels_first=True, name=f"norm{number}_post")
        if style.layer_scale:
            y = b.scale(y, parameters=y.channels, name=f"ls{number}")
        return b.add(x, y, name=f"add{number}")

    def first(x: Value, number: int) -> Value:
        return x if style.post_norm else b.layer_norm(x, channels_first=True, name=f"norm{number}")

    x = residual(x, _modulation(b, first(x, 1), style), 1)
    y = first(x, 2)
    with b.scope("mlp"):
        y = b.act(b.conv(y, int(x.channels * style.mlp_ratio), name="fc1"), "gelu")
        y = b.conv(y, x.channels, name="fc2")
    return residual(x, y, 2)


def _modulation(b: Builder, x: Value, style: _Style) -> Value:
    channels = x.channels
    with b.scope("modulation"):
        parts = b.split(b.conv(x, 2 * channels + style.levels + 1, name="f"), (channels, channels, style.levels + 1))
        query, context, gates = parts
        total: Value | None = None
        for level in range(style.levels):
            side = 2 * level + style.window
            context = b.conv(context, channels, side, groups=channels, bias=False, name=f"focal_layers.{level}")
            context = b.act(context, "gelu")
            gated = b.scale(context, gates, name=f"gate{level}")
            total = gated if total is None else b.add(total, gated, name=f"sum{level}")
        mean = b.act(b.global_pool(context, keep=True), "gelu")
        spread = b.node("gate_mean", ops.Scale(x.shape[1] * x.shape[2], channels), (gates, mean), x.shape)
        total = spread if total is None else b.add(total, spread, name="sum")
        y = b.multiply(query, b.conv(total, channels, name="h"))
        if style.inner_norm:
            y = b.layer_norm(y, channels_first=True)
        return b.conv(y, channels, name="proj")
