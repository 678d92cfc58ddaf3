"""Xception networks: depthwise separable convolutions with residuals."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.numeric import Number
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("xception")
def xception(
    name: str,
    *,
    entry: Sequence[int] = (128, 256, 728),
    middle: int = 8,
    exits: Sequence[int] = (1024, 1536, 2048),
    image: int = 299,
    classes: int = 1000,
) -> Network:
    """Return Xception: halving modules of ``entry`` widths, ``middle`` modules of three separable layers, the exit.

    ``exits`` are the widths of the last module and of the two separable layers after it. Source: Chollet 2016
    (arXiv 1610.02357), figure 5; timm models/xception.py.
    """
    b = Builder(name, "xception", (3, image, image))
    with b.block("stem"):
        x = b.conv_bn(b.input(), 32, 3, 2, 0, name="conv1")
        x = b.conv_bn(x, 64, 3, 1, 0, name="conv2")
    for index, width in enumerate(entry):
        with b.block(f"entry.{index}"):
            x = _module(b, x, (width, width), 2, first_act=index > 0)
    for index in range(middle):
        with b.block(f"middle.{index}"):
            x = _module(b, x, (x.channels,) * 3, 1)
    with b.block("exit"):
        x = _module(b, x, (x.channels, exits[0]), 2)
        for index, width in enumerate(exits[1:]):
            x = b.act(_separable(b, x, width, f"conv{index + 3}"))
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _module(b: Builder, x: Value, widths: Sequence[Number], stride: int, first_act: bool = True) -> Value:
    y = x
    for index, width in enumerate(widths):
        y = b.act(y) if first_act or index else y
        y = _separable(b, y, width, f"conv{index + 1}")
    if stride != 1:
        y = b.max_pool(y, 3, stride, 1)
        x = b.conv_bn(x, y.channels, 1, stride, act="", name="skip")
    return b.add(y, x)


def _separable(b: Builder, x: Value, width: Number, name: str) -> Value:
    x = b.conv(x, x.channels, 3, groups=x.channels, bias=False, name=f"{name}_dw")
    return b.batch_norm(b.conv(x, width, 1, bias=False, name=f"{name}_pw"), name=f"{name}_bn")


_ENTRY = ((128, 2), (256, 2), (728, 2))


@family("xception-aligned")
def xception_aligned(
    name: str,
    *,
    entry: Sequence[Sequence[int]] = _ENTRY,
    middle: int = 8,
    exits: Sequence[Sequence[int]] = ((728, 1024, 1024), (1536, 1536, 2048)),
    preact: bool = False,
    exit_stride: int = 2,
    image: int | Sequence[int] = 299,
    classes: int = 1000,
) -> Network:
    """Return DeepLab's Xception: strides instead of poolings, three separable layers with batch norms a module.

    ``entry`` has (width, stride) of each module, ``middle`` counts those that keep the width, ``exits`` are the widths
    of the layers of a halving module and of a last one without residual. ``preact`` normalises before each depthwise
    convolution and nowhere else; ``exit_stride`` of the halving module. Source: Chen et al. 2018 (arXiv 1802.02611),
    figure 4; timm models/xception_aligned.py.
    """
    b = Builder(name, "xception-aligned", (3, *sides(image)))
    with b.block("stem"):
        x = b.conv_bn(b.input(), 32, 3, 2, name="conv1")
        x = b.conv(x, 64, 3, bias=False, name="conv2") if preact else b.conv_bn(x, 64, 3, name="conv2")
    inner, outer = exits
    last = entry[-1][0]
    plan = [((width,) * 3, stride, True) for width, stride in entry]
    plan += [((last,) * 3, 1, True)] * middle
    plan += [(tuple(inner), exit_stride, True), (tuple(outer), 1, False)]
    for index, (widths, stride, skip) in enumerate(plan):
        with b.block(f"block.{index}"):
            x = (_pre_module if preact else _post_module)(b, x, widths, stride, skip)
    x = b.act(x) if preact else x
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _post_module(b: Builder, x: Value, widths: Sequence[int], stride: int, skip: bool) -> Value:
    """Add a module with batch norms after each convolution; one without residual has activations after them too."""
    y, after = x, "" if skip else "relu"
    for index, width in enumerate(widths):
        by = stride if index == len(widths) - 1 else 1
        y = b.act(y) if skip else y
        y = b.conv_bn(y, y.channels, 3, by, groups=y.channels, act=after, name=f"conv{index + 1}_dw")
        y = b.conv_bn(y, width, 1, act=after, name=f"conv{index + 1}_pw")
    if not skip:
        return y
    if stride != 1 or x.channels != y.channels:
        x = b.conv_bn(x, y.channels, 1, stride, act="", name="shortcut")
    return b.add(y, x)


def _pre_module(b: Builder, x: Value, widths: Sequence[int], stride: int, skip: bool) -> Value:
    """Add a module with a batch norm and an activation before each separable convolution."""
    y = x
    for index, width in enumerate(widths):
        by = stride if index == len(widths) - 1 else 1
        y = b.act(b.batch_norm(y, name=f"norm{index + 1}"), name=f"act{index + 1}")
        x = y if index == 0 else x
        y = b.conv(y, y.channels, 3, by, groups=y.channels, bias=False, name=f"conv{index + 1}_dw")
        y = b.conv(y, width, 1, bias=False, name=f"conv{index + 1}_pw")
    if not skip:
        return y
    if stride != 1 or x.channels != y.channels:
        x = b.conv(x, y.channels, 1, stride, bias=False, name="shortcut")
    return b.add(y, x)
