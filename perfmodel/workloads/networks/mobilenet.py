"""Mobile networks of searched or scaled stages: MobileNet v1 to v4, EfficientNet v1 and v2, MnasNet, FBNet and kin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_blocks import BLOCKS, Style, conv, norm_act
from perfmodel.workloads.networks.mobile_stages import Item, divisible, parse_stage, unroll
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("mobilenet")
def mobilenet(
    name: str, stages: Sequence[str], *, width: float = 1.0, depth: float | Sequence[float] = 1.0,
    depth_rounding: str = "ceil", scale_ends: bool = True, divisor: int = 8, mid_divisor: int = 8,
    round_limit: float = 0.9, stem: int = 32, stem_kernel: int = 3, scale_stem: bool = True, head: int = 1280,
    head_kind: str = "conv", scale_head: str = "fixed", act: str = "relu", head_act: str = "", norm: str = "batch",
    padding: str = "", blur: str = "", group: int = 0, experts: int = 1, se: str = "se", se_act: str = "",
    se_gate: str = "sigmoid", se_divisor: int = 0, se_expanded: bool = False, layer_scale: bool = False,
    image: int | Sequence[int] = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a network of a strided stem, ``stages`` in the notation of ``mobile_stages``, a head and a classifier.

    ``width`` scales channels, to multiples of ``divisor`` (inside blocks of ``mid_divisor``), no less than
    ``round_limit`` of what is wanted; not the stem unless ``scale_stem``, the head if ``scale_head`` is "scaled", or
    only upwards if it is "up". ``depth`` scales the repeats of all stages or of each, not of the first and last unless
    ``scale_ends``. ``head_kind``: "conv" is a 1x1 convolution before the mean, "pooled" one after it with a bias,
    "pooled-plain" without, "pooled-norm" with a norm (and ``head_act``, if it is not ``act``). ``se_*`` say activation,
    gate, rounding (0: to the nearest) and base of squeeze-and-excitation. ``norm``, ``padding`` and ``blur``: see
    ``mobile_blocks.Style``. ``group`` is the channels of a group of depthwise convolutions, ``experts`` multiplies the
    experts of the stages.

    Sources: MobileNet v1 to v4 (arXiv 1704.04861, 1801.04381, 1905.02244, 2404.10518), EfficientNet v1 and v2 (arXiv
    1905.11946, 2104.00298), MnasNet (arXiv 1807.11626); timm 1.0 models/efficientnet.py, mobilenetv3.py.
    """
    style = Style(
        act, norm, padding, blur, se, se_act, se_gate, se_divisor, se_expanded, round_limit, layer_scale, group,
        mid_divisor,
    )  # fmt: skip
    b = Builder(name, "mobilenet", (3, *sides(image)))
    x = conv(b, style, b.input(), _wide(stem, width if scale_stem else 0.0, divisor, round_limit), (stem_kernel,), 2,
             name="conv_stem")  # fmt: skip
    x = norm_act(b, style, x, act, name="conv_stem_bn")
    depths = [depth] * len(stages) if isinstance(depth, (int, float)) else list(depth)
    if not scale_ends:
        depths[0] = depths[-1] = 1.0
    blocks = [unroll(parse_stage(stage), factor, depth_rounding) for stage, factor in zip(stages, depths, strict=True)]
    x = add_stages(b, style, x, blocks, width=width, divisor=divisor, experts=experts)
    features = _wide(head, _head_factor(width, scale_head), divisor, round_limit) if head else 0
    return b.build(_classified(b, style, x, features, head_kind, head_act or act, classes))


def add_stages(
    b: Builder, style: Style, x: Value, stages: Sequence[Sequence[Item]], *, width: float = 1.0, divisor: int = 8,
    experts: int = 1, ends: list[Value] | None = None,
) -> Value:  # fmt: skip
    """Add all blocks; the values that stages leave are put into ``ends``, if it is given.

    After a "s2d" block the image has a quarter of the positions and four times the channels, until a block of stride 2
    brings the channels back, without its stride.
    """
    deep = 1
    for number, items in enumerate(stages):
        for index, item in enumerate(items):
            step = item if deep == 1 or index == 0 else replace(item, s2d=False)
            if step.s2d:
                deep = 4
            elif deep == 4 and step.stride == 2:
                step, deep = replace(step, stride=1, expand=step.expand / 4), 1
            if step.experts:
                step = replace(step, experts=step.experts * experts)
            out = _wide(step.channels, width, divisor, style.round_limit) * deep
            counted = _wide(step.counted_from, width, divisor, style.round_limit) if step.counted_from else 0
            with b.block(f"blocks.{number}.{index}"):
                x = BLOCKS[step.kind](b, style, x, replace(step, counted_from=counted), out)
        if ends is not None:
            ends.append(x)
    return x


def _wide(channels: int, factor: float, divisor: int, limit: float) -> int:
    """Return channels times a factor, rounded; as they are if the factor is 0."""
    return divisible(channels * factor, divisor, limit) if factor else channels


def _head_factor(width: float, scaling: str) -> float:
    factors = {"fixed": 0.0, "scaled": width, "up": max(1.0, width)}
    if scaling not in factors:
        raise ValueError(f"scale_head '{scaling}' is none of {', '.join(factors)}")
    return factors[scaling]


def _classified(b: Builder, style: Style, x: Value, features: int, kind: str, act: str, classes: int) -> Value:
    if kind not in {"conv", "pooled", "pooled-plain", "pooled-norm"}:
        raise ValueError(f"head_kind '{kind}' is none of conv, pooled, pooled-plain and pooled-norm")
    if not features or kind == "conv":
        if features:
            x = conv(b, style, x, features, name="conv_head")
            x = norm_act(b, style, x, act, name="conv_head_bn")
        return b.linear(b.global_pool(x), classes, name="classifier")
    x = conv(b, style, b.global_pool(x, keep=True), features, bias=kind == "pooled", name="conv_head")
    x = norm_act(b, style, x, act, name="norm_head") if kind == "pooled-norm" else b.act(x, act)
    return b.linear(b.flatten(x), classes, name="classifier")
