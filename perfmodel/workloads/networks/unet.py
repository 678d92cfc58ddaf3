"""U-Nets of images and volumes: an encoder, a decoder, and what the decoder takes over from the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("unet")
def unet(
    name: str,
    widths: Sequence[int],
    *,
    in_channels: int = 3,
    volume: bool = False,
    norm: str = "batch",
    bias: bool = False,
    act: str = "relu",
    down: str = "pool",
    up_kernel: int = 2,
    up_bias: bool = True,
    up_act: str = "",
    narrowing: bool = False,
    padded: bool = True,
    image: int | Sequence[int] = 512,
    classes: int = 2,
) -> Network:
    """Return a U-Net: two 3x3 convolutions at each of the levels of ``widths``, down to the last and up again.

    ``volume``: of three dimensions; ``norm`` "batch", "instance" or ""; ``down`` "pool" or "stride" (of a level's first
    convolution); upsampling is a transposed convolution of ``up_kernel``, with ``up_bias`` and ``up_act``;
    ``narrowing``: a decoder's second convolution halves the channels, not the upsampling; not ``padded`` convolutions
    leave less, and the encoder's images are cropped. Source: Ronneberger et al. 2015 (arXiv 1505.04597), figure 1;
    Cicek et al. 2016 (arXiv 1606.06650); nnU-Net (arXiv 1809.10486).
    """
    sizes = (image,) * (3 if volume else 2) if isinstance(image, int) else tuple(image)
    b = Builder(name, "unet", (in_channels, *sizes))
    level = _Level(norm, bias, act, padded)
    x, kept = b.input(), list[Value]()
    for index, width in enumerate(widths):
        with b.block(f"down{index}"):
            strided = index > 0 and down == "stride"
            if index and not strided:
                x = b.max_pool(x, 2)
            x = level.add(b, x, (width, width), 2 if strided else 1)
        kept.append(x)
    for index in reversed(range(len(widths) - 1)):
        width = widths[index]
        above = int(x.channels) if narrowing and index < len(widths) - 2 else width
        with b.block(f"up{index}"):
            x = _upsampled(b, x, above, up_kernel, up_bias, up_act)
            x = b.concat([x, _cropped(b, kept[index], x)])
            x = level.add(b, x, (width, width // 2 if narrowing and index else width))
    with b.block("out"):
        return b.build(b.conv(x, classes), sample="window" if volume else "image")


def _upsampled(b: Builder, x: Value, width: int, kernel: int, bias: bool, act: str) -> Value:
    """Add a transposed convolution to twice the size."""
    y = b.conv_transpose(
        x, width, kernel, 2, (kernel - 1) // 2, output_padding=kernel % 2, bias=bias, name="up"
    )  # fmt: skip
    return b.act(y, act, name="up_act") if act else y


def _cropped(b: Builder, x: Value, target: Value) -> Value:
    shape = (x.channels, *target.shape[1:])
    return x if shape == x.shape else b.view(x, shape, name="crop")


@dataclass(frozen=True)
class _Level:
    norm: str
    bias: bool
    act: str
    padded: bool

    def add(self, b: Builder, x: Value, widths: Sequence[int], stride: int = 1) -> Value:
        """Add convolutions of ``widths``, the first with a stride."""
        for index, width in enumerate(widths, 1):
            x = b.conv(x, width, 3, 1 if index > 1 else stride, 1 if self.padded else 0, bias=self.bias,
                       name=f"conv{index}")  # fmt: skip
            if self.norm == "batch":
                x = b.batch_norm(x, name=f"norm{index}")
            elif self.norm:
                x = b.group_norm(x, width, name=f"norm{index}")
            x = b.act(x, self.act, name=f"act{index}")
        return x


@family("vnet")
def vnet(
    name: str,
    *,
    width: int = 16,
    downs: Sequence[int] = (3, 3, 3),
    ups: Sequence[int] = (3, 3),
    kernel: int = 3,
    in_channels: int = 1,
    image: int | Sequence[int] = 32,
    classes: int = 3,
) -> Network:
    """Return a V-Net of residual blocks of volumes: ``downs`` and ``ups`` convolutions at each level, all of its width.

    Each level has twice the channels of the one above (after ``width`` at first); a decoder's blocks work on what was
    joined. Source: Milletari et al. 2016 (arXiv 1606.04797), section 2; NVIDIA/DeepLearningExamples
    TensorFlow/Segmentation/VNet/model, whose defaults hold.
    """
    sizes = (image,) * 3 if isinstance(image, int) else tuple(image)
    b = Builder(name, "vnet", (in_channels, *sizes))

    def convolved(x: Value, channels: int, size: int, stride: int = 1, name: str = "conv") -> Value:
        y = b.conv(x, channels, size, stride, (size - 1) // 2, name=name)
        return b.act(b.batch_norm(y, name=f"{name}_bn"), name=f"{name}_act")

    def residual(x: Value, depth: int) -> Value:
        y = x
        for index in range(depth):
            y = convolved(y, int(x.channels), kernel, name=f"conv{index}")
        return b.add(y, x)

    def upsampled(x: Value, channels: int) -> Value:
        y = b.conv_transpose(x, channels, 2, 2, name="up")
        return b.act(b.batch_norm(y, name="up_bn"), name="up_act")

    with b.block("in"):
        x = b.add(convolved(b.input(), width, kernel), b.input())
    kept = [x]
    for index, depth in enumerate(downs):
        with b.block(f"down{index}"):
            x = residual(convolved(x, 2 * int(x.channels), 2, 2, "down"), depth)
        kept.append(x)
    kept.pop()
    for index, depth in enumerate(ups):
        with b.block(f"up{index}"):
            skip = kept.pop()
            x = residual(b.concat([upsampled(x, int(skip.channels)), skip]), depth)
    with b.block("out"):
        return b.build(b.conv(upsampled(x, width), classes, kernel), sample="volume")
