"""Super-resolution and denoising: stacks of convolutions, XLSR, and residual-in-residual dense networks (ESRGAN)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


def shuffled(b: Builder, x: Value, scale: int, *, name: str = "shuffle") -> Value:
    """Add the move of channels to positions (depth to space)."""
    channels, height, width = (int(n) for n in x.shape)
    return b.copy(x, (channels // scale**2, scale * height, scale * width), name=name)


@family("conv-stack")
def conv_stack(
    name: str,
    widths: Sequence[int],
    *,
    kernels: int | Sequence[int] = 3,
    act: str = "relu",
    learned_act: bool = False,
    bias: bool = True,
    scale: int = 1,
    skip: str = "",
    inner_skip: bool = False,
    channels: int = 3,
    out_channels: int = 0,
    image: int | Sequence[int] = 128,
) -> Network:
    """Return convolutions of ``widths`` with activations, and one to ``scale**2`` images of ``out_channels``.

    ``kernels``: one for all, or one a convolution; ``learned_act``: a slope a channel (PReLU); ``skip`` "add" adds the
    input (repeated for each position of the result), "learned" by a learned 1x1 convolution; ``inner_skip``: what the
    first convolution leaves is added before the last. Sources: ESPCN (arXiv 1609.05158), DnCNN (1608.03981),
    SESR (2103.09404, collapsed), QuickSRNet (2303.04336), Real-ESRGAN's SRVGGNetCompact (2107.10833); Qualcomm's
    aimet-model-zoo aimet_zoo_torch/common/super_resolution/models.py.
    """
    b = Builder(name, "conv-stack", (channels, *sides(image)))
    sizes = (kernels,) * (len(widths) + 1) if isinstance(kernels, int) else tuple(kernels)
    x, first = b.input(), None
    for index, (width, kernel) in enumerate(zip(widths, sizes, strict=False)):
        with b.block(f"conv{index}"):
            x = b.conv(x, width, kernel, bias=bias)
            x = b.act(x, act, parameters=width if learned_act else 0)
        first = x if first is None else first
    with b.block("last"):
        if inner_skip and first is not None:
            x = b.add(x, first, name="inner_skip")
        x = b.conv(x, (out_channels or channels) * scale**2, sizes[len(widths)], bias=bias)
        if skip == "learned":
            x = b.add(x, b.conv(b.input(), x.channels, bias=False, name="anchor"))
        elif skip:
            x = b.add(x, b.copy(b.input(), x.shape, name="repeat") if scale > 1 else b.input())
        return b.build(shuffled(b, x, scale) if scale > 1 else x)


@family("xlsr")
def xlsr(
    name: str, *, width: int = 32, blocks: int = 3, groups: int = 4, scale: int = 4, image: int | Sequence[int] = 128
) -> Network:  # fmt: skip
    """Return XLSR: ``blocks`` of a grouped 3x3 and a 1x1 convolution, joined with features of the input.

    Source: Ayazoglu 2021 (arXiv 2105.10288), figure 1; Qualcomm's aimet-model-zoo
    aimet_zoo_torch/common/super_resolution/models.py.
    """
    b = Builder(name, "xlsr", (3, *sides(image)))
    with b.block("head"):
        features = b.conv(b.input(), width // 2, 3, name="features")
        x = b.conv(b.act(b.conv(b.input(), width, 3, name="first")), width, name="mix")
    for index in range(blocks):
        with b.block(f"block{index}"):
            x = b.conv(b.act(b.conv(x, width, 3, groups=groups, name="grouped")), width, name="mix")
    with b.block("tail"):
        x = b.act(b.conv(b.concat([x, features]), width, name="reduce"))
        return b.build(b.act(shuffled(b, b.conv(x, 3 * scale**2, 3, name="last"), scale), name="clip"))


@family("rrdb")
def rrdb(
    name: str,
    *,
    width: int = 64,
    growth: int = 32,
    blocks: int = 23,
    scale: int = 4,
    image: int | Sequence[int] = 128,
) -> Network:
    """Return ESRGAN's generator: ``blocks`` of three dense blocks of five convolutions, then two upsamplings by two.

    A ``scale`` below 4 first moves positions to channels, so that the two upsamplings are right. Source: Wang et al.
    2018 (arXiv 1809.00219), figure 4; Real-ESRGAN (arXiv 2107.10833); xinntao/BasicSR rrdbnet_arch.py.
    """
    b = Builder(name, "rrdb", (3, *sides(image)))
    x = b.input()
    if scale < 4:
        times = 4 // scale
        channels, height, breadth = (int(n) for n in x.shape)
        x = b.copy(x, (channels * times**2, height // times, breadth // times), name="unshuffle")
    first = x = b.conv(x, width, 3, name="conv_first")
    for index in range(blocks):
        with b.block(f"body.{index}"):
            y = x
            for number in range(3):
                with b.scope(f"rdb{number + 1}"):
                    y = _dense_block(b, y, width, growth)
            x = b.add(b.scale(y), x)
    x = b.add(b.conv(x, width, 3, name="conv_body"), first)
    for index in range(2):
        with b.block(f"up{index + 1}"):
            x = b.resize(x, [2 * int(n) for n in x.shape[1:]], "nearest")
            x = b.act(b.conv(x, width, 3), "leaky_relu")
    with b.block("last"):
        return b.build(b.conv(b.act(b.conv(x, width, 3, name="hr"), "leaky_relu"), 3, 3, name="out"))


def _dense_block(b: Builder, x: Value, width: int, growth: int) -> Value:
    found = [x]
    for index in range(4):
        y = b.conv(b.concat(found) if index else x, growth, 3, name=f"conv{index + 1}")
        found.append(b.act(y, "leaky_relu", name=f"act{index + 1}"))
    return b.add(b.scale(b.conv(b.concat(found), width, 3, name="conv5")), x)


@family("zero-dce")
def zero_dce(
    name: str, *, width: int = 32, iterations: int = 8, separable: bool = False, image: int | Sequence[int] = (400, 600)
) -> Network:  # fmt: skip
    """Return Zero-DCE: seven convolutions, the last three of which see earlier ones, give curves that brighten.

    ``separable``: depthwise and pointwise convolutions and one curve for all ``iterations`` (Zero-DCE++). Source: Guo
    et al. 2020 (arXiv 2001.06826), section 3.2; Li et al. 2021 (arXiv 2103.00860).
    """
    b = Builder(name, "zero-dce", (3, *sides(image)))

    def convolved(x: Value, out: int, number: int) -> Value:
        with b.block(f"conv{number}"):
            if separable:
                x = b.conv(x, x.channels, 3, groups=x.channels, name="depthwise")
                return b.conv(x, out, name="pointwise")
            return b.conv(x, out, 3)

    kept: list[Value] = []
    x = b.input()
    for number in range(1, 7):
        x = b.concat([kept[6 - number], x]) if number > 4 else x
        x = b.act(convolved(x, width, number), name=f"act{number}")
        kept.append(x)
    curves = 3 if separable else 3 * iterations
    y = b.act(convolved(b.concat([kept[0], x]), curves, 7), "tanh", name="curves")
    positions = int(prod(b.input().shape[1:]))
    op = ops.Activation(positions * iterations, 3)
    return b.build(b.node("enhance", op, (y, b.input()), b.input().shape, kind="curve"))
