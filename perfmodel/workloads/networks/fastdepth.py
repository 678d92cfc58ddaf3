"""FastDepth: depth from one image, a MobileNet encoder and a decoder of depthwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of the encoder's depthwise separable layers (MobileNet, arXiv 1704.04861, table 1)."""


@family("fastdepth")
def fastdepth(
    name: str,
    *,
    encoder: Sequence[int] = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
    decoder: Sequence[int] = (512, 256, 128, 64, 32),
    skips: bool = True,
    depthwise: bool = True,
    kernel: int = 5,
    image: int = 224,
) -> Network:
    """Return FastDepth: widths of the ``encoder``'s 14 layers and of the ``decoder``'s five, each upsampled by two.

    ``skips`` adds the encoder's images of three resolutions to the decoder's; ``depthwise`` splits the decoder's
    convolutions of ``kernel``. Source: Wofk et al. 2019 (arXiv 1903.03273); github.com/dwofk/fast-depth models.py
    (MobileNetSkipAdd).
    """
    b = Builder(name, "fastdepth", (3, image, image))
    x = b.conv_bn(b.input(), encoder[0], 3, 2, act="relu6", name="conv0")
    kept: list[Value] = []
    for index, (width, stride) in enumerate(zip(encoder[1:], STRIDES, strict=True), 1):
        if stride == 2:
            kept.append(x)
        with b.block(f"conv{index}"):
            x = _separable(b, x, width, 3, stride, "relu6")
    for index, width in enumerate(decoder, 1):
        with b.block(f"decode_conv{index}"):
            x = _separable(b, x, width, kernel, 1, "relu") if depthwise else b.conv_bn(x, width, kernel)
            x = b.resize(x, [2 * int(n) for n in x.shape[1:]], "nearest", name="upsample")
            if skips and 2 <= index <= 4:
                x = b.add(x, kept[4 - index], name="skip")
    return b.build(b.conv_bn(x, 1, name="decode_conv6"))


def _separable(b: Builder, x: Value, out: int, kernel: int, stride: int, act: str) -> Value:
    y = b.conv_bn(x, x.channels, kernel, stride, groups=x.channels, act=act, name="dw")
    return b.conv_bn(y, out, act=act, name="pw")
