"""Convolutions over images and videos: plain, grouped, depthwise, dilated, transposed and deformable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from perfmodel.counts import Bytes, Counts, Flops, read, tensor, vector, write
from perfmodel.formats import FLOAT16, Format
from perfmodel.numeric import Number, ceil, floor
from perfmodel.ops.base import Operator, register

HALF = Format("float16", FLOAT16, FLOAT16, "float16")
Sizes = tuple[int, int, int]
"""Of (frames, height, width)."""


class Winograd(NamedTuple):
    """One of Winograd's algorithms F(m x m, 3 x 3): outputs a side, and the flops of its transforms of a tile.

    A tile of ``m+2`` a side takes ``(m+2)^2`` multiplications for ``9*m^2`` of the direct method.
    Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), table 1.
    """

    outputs: int
    data_flops: float
    inverse_flops: float


WINOGRAD = {"winograd2": Winograd(2, 32.0, 24.0), "winograd4": Winograd(4, 156.0, 100.0)}
ALGORITHMS = ("implicit_gemm", "im2col", *WINOGRAD)


def out_positions(size: Number, kernel: int, stride: int, padding: Number, dilation: int) -> Number:
    """Return how many positions a window takes along one side: ``floor((n + p - d*(k-1) - 1)/s) + 1``, p of both ends.

    Source: the arithmetic of convolutions, Dumoulin and Visin (arXiv 1603.07285), relationship 15.
    """
    return floor((size + padding - dilation * (kernel - 1) - 1) / stride) + 1


@dataclass(frozen=True)
class Convolution(Operator):
    """What the kinds of convolution share: ``groups`` of ``in_per_group`` channels to ``out_per_group`` each.

    Weights: ``groups*out_per_group*in_per_group*taps``, taps of the kernel's volume. ``kernel``, ``stride``,
    ``padding`` (both ends together) and ``dilation`` are those of (frames, height, width).
    """

    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 256), "groups": (1, 64), "in_per_group": (1, 512), "out_per_group": (1, 512),
        "height": (7, 224), "width": (7, 224), "frames": (1, 16),
    }  # fmt: skip

    batch: Number
    groups: Number
    in_per_group: Number
    out_per_group: Number
    height: Number
    width: Number
    frames: Number = 1
    kernel: Sizes = (1, 3, 3)
    stride: Sizes = (1, 1, 1)
    padding: Sizes = (0, 2, 2)
    dilation: Sizes = (1, 1, 1)
    format: Format = HALF

    @property
    def taps(self) -> int:
        """Return the elements of one kernel of one channel."""
        t, h, w = self.kernel
        return t * h * w

    @property
    def weights(self) -> Number:
        """Return the elements of all kernels."""
        return self.groups * self.out_per_group * self.in_per_group * self.taps

    @property
    def inputs(self) -> Number:
        """Return the positions of the input of one sample."""
        return self.frames * self.height * self.width

    def sides(self) -> tuple[Number, Number, Number]:
        """Return the output's frames, height and width."""
        sizes = (self.frames, self.height, self.width)
        found = (
            out_positions(n, self.kernel[i], self.stride[i], self.padding[i], self.dilation[i])
            for i, n in enumerate(sizes)
        )
        t, h, w = found
        return t, h, w

    @property
    def outputs(self) -> Number:
        """Return the positions of the output of one sample."""
        t, h, w = self.sides()
        return t * h * w

    def multiplications(self) -> Number:
        """Return the multiply-accumulates of the direct method."""
        return self.batch * self.outputs * self.weights

    def traffic(self) -> dict[Bytes, Number]:
        """Return the least bytes: weights, input and output, once each."""
        width = self.format.activation.bytes_per_element
        return {
            read("weight"): self.weights * self.format.weight.bytes_per_element,
            read("activation"): self.batch * self.inputs * self.groups * self.in_per_group * width,
            write("activation"): self.batch * self.outputs * self.groups * self.out_per_group * width,
        }

    def counts(self) -> Counts:
        return Counts({tensor(self.format.compute, "conv"): 2.0 * self.multiplications()}, self.traffic())


@register
@dataclass(frozen=True)
class Conv(Convolution):
    """A convolution of one to three dimensions (frames of 1: an image; height of 1 too: a sequence).

    ``flops = 2*batch*outputs*groups*out_per_group*in_per_group*taps`` by the direct method and by the implicit GEMM
    ``m = batch*outputs, n = out_per_group, k = in_per_group*taps``, one for each group. ``algorithm`` "im2col" adds the
    columns ``batch*outputs*in_channels*taps``, written and read; "winograd2" and "winograd4" (3x3, stride 1) take
    ``(m+2)^2`` multiplications a tile and the transforms' flops instead (:class:`Winograd`).

    Source: definition of convolution; Chetlur et al. 2014 (implicit GEMM). Omits: bias, padding that is read.
    """

    KIND: ClassVar[str] = "conv2d"

    algorithm: str = "implicit_gemm"

    def winograd_fits(self) -> bool:
        """Say whether Winograd's algorithms apply: 3x3 kernels that move by one."""
        return self.kernel[1:] == (3, 3) and self.kernel[0] == 1 and {*self.stride, *self.dilation} == {1}

    def counts(self) -> Counts:
        if self.algorithm in WINOGRAD and self.winograd_fits():
            return Counts(self._winograd_flops(WINOGRAD[self.algorithm]), self.traffic())
        found = super().counts()
        if self.algorithm != "im2col":
            return found
        columns = self.batch * self.outputs * self.groups * self.in_per_group * self.taps
        moved = columns * self.format.activation.bytes_per_element
        return found + Counts({}, {read("columns"): moved, write("columns"): moved})

    def _winograd_flops(self, form: Winograd) -> dict[Flops, Number]:
        frames, height, width = self.sides()
        tiles = self.batch * frames * ceil(height / form.outputs) * ceil(width / form.outputs)
        products = tiles * (form.outputs + 2) ** 2 * self.groups * self.in_per_group * self.out_per_group
        transforms = form.data_flops * self.in_per_group + form.inverse_flops * self.out_per_group
        return {
            tensor(self.format.compute, "conv"): 2.0 * products,
            vector("winograd"): tiles * self.groups * transforms,
        }


@register
@dataclass(frozen=True)
class TransposedConv(Convolution):
    """A transposed convolution: each input position is spread over a kernel's window of the output.

    ``flops = 2*batch*inputs*groups*out_per_group*in_per_group*taps``; outputs a side
    ``(n-1)*stride - padding + dilation*(k-1) + output_padding + 1``. Source: Dumoulin and Visin (arXiv 1603.07285).
    """

    KIND: ClassVar[str] = "conv_transpose2d"

    output_padding: Sizes = (0, 0, 0)

    def sides(self) -> tuple[Number, Number, Number]:
        def side(i: int, n: Number) -> Number:
            spread = (n - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1)
            return spread - self.padding[i] + self.output_padding[i] + 1

        return side(0, self.frames), side(1, self.height), side(2, self.width)

    def multiplications(self) -> Number:
        return self.batch * self.inputs * self.weights


@register
@dataclass(frozen=True)
class DeformableConv(Convolution):
    """A convolution whose taps are sampled bilinearly at learned offsets (and weighed by a learned mask).

    Adds to a convolution the reading of 2 offsets (and 1 mask) a tap and output position for each of ``offset_groups``,
    and 8 flops for each sampled element. The convolution that predicts the offsets is an operator of its own.
    Source: Dai et al. 2017; Zhu et al. 2018 (masks).
    """

    KIND: ClassVar[str] = "deform_conv2d"

    offset_groups: int = 1
    masked: bool = True

    def counts(self) -> Counts:
        places = self.batch * self.outputs * self.taps
        samples = places * self.groups * self.in_per_group
        offsets = places * self.offset_groups * (3 if self.masked else 2) * self.format.activation.bytes_per_element
        return super().counts() + Counts({vector("sampling"): 8.0 * samples}, {read("offsets"): offsets})
