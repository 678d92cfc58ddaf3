"""MetaFormer baselines: PoolFormer v1 and v2, ConvFormer, CAFormer, one frame with several token mixers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family

HEAD_DIM = 32
MIXERS = ("pool", "conv", "attention")


@family("metaformer")
def metaformer(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    mixers: Sequence[str],
    *,
    first: bool = False,
    mlp_head: bool = True,
    expand: float = 4.0,
    conv_expand: float = 2.0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a MetaFormer: four stages whose blocks mix tokens by "pool", "conv" or "attention", then an MLP.

    ``first`` is PoolFormer v1 (biases, GELU, scaled branches, no norms between stages) instead of the later baselines
    (no biases, StarReLU, scaled shortcuts in the last two stages); ``mlp_head`` puts a hidden layer before the classes.
    ``expand`` and ``conv_expand`` widen MLPs and convolutional mixers. Sources: Yu et al. 2021 and 2022 (arXiv
    2111.11418, 2210.13452); timm 1.0 models/metaformer.py.
    """
    b = Builder(name, "metaformer", (3, image, image))
    x = b.conv(b.input(), widths[0], 7, 4, 2, name="stem")
    x = x if first else b.layer_norm(x, channels_first=True, bias=False, name="stem_norm")
    for stage, (width, depth, mixer) in enumerate(zip(widths, depths, mixers, strict=True)):
        if mixer not in MIXERS:
            raise ValueError(f"mixer '{mixer}' is none of {', '.join(MIXERS)}")
        if stage:
            x = x if first else b.layer_norm(x, channels_first=True, bias=False, name=f"stages.{stage}.norm")
            x = b.conv(x, width, 3, 2, 1, name=f"stages.{stage}.downsample")
        scaled = stage >= 2 and not first
        tokens = mixer == "attention"
        sides = x.shape[1:]
        x = b.tokens(x) if tokens else x
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = _residual(b, x, _mixed(b, _norm(b, x, mixer, first, "norm1"), mixer, conv_expand), scaled, first)
                x = _residual(b, x, _mlp(b, _norm(b, x, mixer, first, "norm2"), expand, first), scaled, first)
        x = b.view(x, (width, *sides), name=f"stages.{stage}.image") if tokens else x
    x = b.layer_norm(b.global_pool(x), name="norm")
    if mlp_head:
        x = b.linear(x, int(4 * widths[-1]), name="fc1")
        x = b.layer_norm(b.act(x, "squared_relu"), name="head_norm")
    return b.build(b.linear(x, classes, name="fc"))


def _residual(b: Builder, x: Value, y: Value, scaled: bool, first: bool) -> Value:
    width = x.channels if len(x.shape) > 2 else x.width
    if first:
        y = b.scale(y, parameters=width, name="layer_scale")
    if scaled:
        x = b.scale(x, parameters=width, name="res_scale")
    return b.add(x, y)


def _norm(b: Builder, x: Value, mixer: str, first: bool, name: str) -> Value:
    if mixer == "pool":
        operator = ops.GroupNorm(1, prod(x.shape, start=1))
        return b.node(name, operator, (x,), x.shape, x.channels * (2 if first else 1))
    return b.layer_norm(x, channels_first=len(x.shape) > 2, bias=False, name=name)


def _mixed(b: Builder, x: Value, mixer: str, expand: float) -> Value:
    if mixer == "pool":
        return b.add(b.avg_pool(x, 3, 1, 1), x, name="subtract")
    if mixer == "attention":
        return b.self_attention(x, int(x.width) // HEAD_DIM, head_dim=HEAD_DIM, qkv_bias=False, bias=False)
    mid = int(expand * x.channels)
    y = b.conv(x, mid, bias=False, name="pwconv1")
    y = b.act(y, "star_relu", parameters=2)
    y = b.conv(y, mid, 7, groups=mid, bias=False, name="dwconv")
    return b.conv(y, x.channels, bias=False, name="pwconv2")


def _mlp(b: Builder, x: Value, expand: float, first: bool) -> Value:
    act, parameters = ("gelu", 0) if first else ("star_relu", 2)
    with b.scope("mlp"):
        if len(x.shape) > 2:
            y = b.act(b.conv(x, int(expand * x.channels), bias=first, name="fc1"), act, parameters=parameters)
            return b.conv(y, x.channels, bias=first, name="fc2")
        y = b.act(b.linear(x, int(expand * x.width), bias=first, name="fc1"), act, parameters=parameters)
        return b.linear(y, x.width, bias=first, name="fc2")
