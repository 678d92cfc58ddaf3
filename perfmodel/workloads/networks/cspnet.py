"""Darknets and cross stage partial networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family

_Of = TypeVar("_Of", int, float)


@dataclass(frozen=True)
class _Stage:
    """One stage of a network."""

    kind: str
    block: str
    depth: int
    out: int
    stride: int
    groups: int
    inside: int
    middle: int
    expanded: int
    linear: bool
    grow_first: bool
    mean_first: bool
    squeeze: float
    act: str


@family("cspnet")
def cspnet(
    name: str,
    depths: Sequence[int],
    channels: Sequence[int],
    *,
    stem: Sequence[int] = (32,),
    stem_kernel: int = 3,
    stem_stride: int = 1,
    stem_pool: bool = False,
    stage: str = "csp",
    block: str = "bottleneck",
    strides: int | Sequence[int] = 2,
    groups: int | Sequence[int] = 1,
    block_ratio: float | Sequence[float] = 1.0,
    bottle_ratio: float | Sequence[float] = 1.0,
    expand_ratio: float | Sequence[float] = 1.0,
    cross_linear: bool = False,
    grow_first: bool = False,
    mean_first: bool = False,
    squeeze: float = 0.0,
    act: str = "leaky_relu",
    image: int = 256,
    classes: int = 1000,
) -> Network:
    """Return a Darknet or a cross stage partial network: a stem, ``depths`` blocks a stage, mean and classifier.

    ``stage`` is "dark" (blocks in a row), "csp" (one half of the expanded features goes through the blocks and a 1x1)
    or "cs3" (without that 1x1). ``block`` is "bottleneck" (1x1, 3x3, 1x1), "dark" (1x1, 3x3) or "edge" (3x3, 1x1).
    Ratios are to a stage's ``channels``: what its blocks leave, have inside, and what is expanded before them; one
    number, or one a stage (the last repeated). ``cross_linear`` leaves out the expansion's activation, ``grow_first``
    widens in the strided convolution, ``mean_first`` has a mean and a 1x1 for it. ``squeeze`` is the ratio of
    squeeze-and-excitation (0: none). Source: Redmon and Farhadi 2018 (arXiv 1804.02767), table 1; Wang et al. 2019
    (arXiv 1911.11929); timm models/cspnet.py.
    """
    b = Builder(name, "cspnet", (3, image, image))
    x = _stem(b, b.input(), stem, stem_kernel, stem_stride, stem_pool, act)
    for index, (depth, out) in enumerate(zip(depths, channels, strict=True)):
        what = _Stage(
            stage, block, depth, out, _at(strides, index), _at(groups, index),
            inside=round(out * _at(block_ratio, index)),
            middle=round(round(out * _at(block_ratio, index)) * _at(bottle_ratio, index)),
            expanded=round(out * _at(expand_ratio, index)),
            linear=cross_linear, grow_first=grow_first, mean_first=mean_first, squeeze=squeeze, act=act,
        )  # fmt: skip
        with b.scope(f"stage{index + 1}"):
            x = _stage(b, x, what)
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _at(values: _Of | Sequence[_Of], index: int) -> _Of:
    if isinstance(values, Sequence):
        return values[min(index, len(values) - 1)]
    return values


def _stem(b: Builder, x: Value, widths: Sequence[int], kernel: int, stride: int, pool: bool, act: str) -> Value:
    """Add the stem: strided at its first convolution, and at its pooling or its last one if it quarters the image."""
    with b.block("stem"):
        for index, width in enumerate(widths):
            last = index == len(widths) - 1 and stride > 2 and not pool
            by = 2 if (index == 0 and stride > 1) or last else 1
            padding = None if kernel % 2 else (kernel - 2) // 2
            x = b.conv_bn(x, width, kernel, by, padding, act=act, name=f"conv{index + 1}")
        return b.max_pool(x, 3, 2, 1) if pool else x


def _stage(b: Builder, x: Value, s: _Stage) -> Value:
    kept: Value | None = None
    with b.block("down"):
        x = _down(b, x, s)
        if s.kind != "dark":
            x = b.conv_bn(x, s.expanded, 1, act="" if s.linear else s.act, name="expand")
            first, second = b.split(x, (s.expanded // 2, s.expanded // 2))
            kept, x = (first, second) if s.kind == "csp" else (second, first)
    for index in range(s.depth):
        with b.block(index):
            x = _block(b, x, s)
    if kept is None:
        return x
    with b.block("transition"):
        if s.kind == "csp":
            x = b.conv_bn(x, s.expanded // 2, 1, act=s.act, name="inner")
        return b.conv_bn(b.concat((kept, x)), s.out, 1, act=s.act, name="outer")


def _down(b: Builder, x: Value, s: _Stage) -> Value:
    if s.kind != "dark" and s.stride == 1:
        return x
    if s.mean_first:
        x = b.avg_pool(x, 2) if s.stride == 2 else x
        return b.conv_bn(x, s.out, 1, groups=s.groups, act=s.act)
    out = s.out if s.grow_first or s.kind == "dark" else x.channels
    return b.conv_bn(x, out, 3, s.stride, groups=s.groups, act=s.act)


def _block(b: Builder, x: Value, s: _Stage) -> Value:
    if x.channels != s.inside:
        raise ValueError(f"a block's residual has {x.channels} channels and its result {s.inside}: see block_ratio")
    kernels = {"bottleneck": (1, 3, 1), "dark": (1, 3), "edge": (3, 1)}[s.block]
    gated = 1 if s.block == "bottleneck" else 0
    y = x
    for index, kernel in enumerate(kernels):
        last = index == len(kernels) - 1
        act = "" if last and s.block == "bottleneck" else s.act
        groups = s.groups if kernel == 3 else 1
        y = b.conv_bn(y, s.inside if last else s.middle, kernel, groups=groups, act=act, name=f"conv{index + 1}")
        if s.squeeze and index == gated:
            y = b.squeeze_excite(y, max(8, int(s.middle * s.squeeze + 4) // 8 * 8), act=s.act)
    y = b.add(y, x)
    return b.act(y, s.act, name="act_out") if s.block == "bottleneck" else y
