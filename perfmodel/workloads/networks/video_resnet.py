"""Networks of video clips: residual networks of three dimensions and S3D."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("video-resnet")
def video_resnet(
    name: str,
    depths: Sequence[int],
    kinds: Sequence[str],
    *,
    stem: str = "3d",
    widths: Sequence[int] = (64, 128, 256, 512),
    frames: int = 16,
    image: int | Sequence[int] = 112,
    classes: int = 400,
) -> Network:
    """Return a residual network of clips: stages of ``depths`` basic blocks whose convolutions are of ``kinds``.

    "3d" is 3x3x3, "2d" 1x3x3, "2+1d" a 1x3x3 and a 3x1x1 convolution of about as many weights as 3x3x3; ``stem`` "3d"
    or "2+1d". One sample is a clip of ``frames``. Source: Tran et al. 2017 (arXiv 1711.11248), section 3; torchvision
    models/video/resnet.py.
    """
    b = Builder(name, "video-resnet", (3, frames, *sides(image)))
    with b.block("stem"):
        if stem == "2+1d":
            x = b.conv_bn(b.input(), 45, (1, 7, 7), (1, 2, 2), name="space")
            x = b.conv_bn(x, widths[0], (3, 1, 1), name="time")
        else:
            x = b.conv_bn(b.input(), widths[0], (3, 7, 7), (1, 2, 2))
    for stage, (depth, kind, width) in enumerate(zip(depths, kinds, widths, strict=True), 1):
        for index in range(depth):
            stride = 2 if stage > 1 and index == 0 else 1
            with b.block(f"layer{stage}.{index}"):
                x = _block(b, x, width, kind, stride)
    with b.block("head"):
        return b.build(b.linear(b.global_pool(x), classes, name="fc"), sample="clip")


def _block(b: Builder, x: Value, width: int, kind: str, stride: int) -> Value:
    inner = int(x.channels)
    middle = inner * width * 27 // (inner * 9 + 3 * width)
    y = b.act(b.batch_norm(_conv(b, x, width, kind, stride, middle, "conv1"), name="bn1"), name="act1")
    y = b.batch_norm(_conv(b, y, width, kind, 1, middle, "conv2"), name="bn2")
    if stride > 1 or inner != width:
        steps = (1, stride, stride) if kind == "2d" else (stride, stride, stride)
        x = b.conv_bn(x, width, 1, steps, act="", name="downsample")
    return b.act(b.add(y, x))


def _conv(b: Builder, x: Value, width: int, kind: str, stride: int, middle: int, name: str) -> Value:
    if kind == "3d":
        return b.conv(x, width, 3, stride, bias=False, name=name)
    if kind == "2d":
        return b.conv(x, width, (1, 3, 3), (1, stride, stride), bias=False, name=name)
    if kind != "2+1d":
        raise ValueError(f"kind '{kind}' is none of 3d, 2d and 2+1d")
    x = b.conv_bn(x, middle, (1, 3, 3), (1, stride, stride), name=f"{name}_space")
    return b.conv(x, width, (3, 1, 1), (stride, 1, 1), bias=False, name=f"{name}_time")


STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)  # fmt: skip
"""Of the inception blocks: channels of the 1x1 branch, of the two separable ones (with what is before them), pooling's.

Source: Szegedy et al. 2014 (arXiv 1409.4842), table 1.
"""


@family("s3d")
def s3d(name: str, *, frames: int = 16, image: int | Sequence[int] = 224, classes: int = 400) -> Network:
    """Return S3D: inception blocks over clips whose convolutions are separated into space and time.

    One sample is a clip of ``frames``. Source: Xie et al. 2017 (arXiv 1712.04851), section 4; torchvision
    models/video/s3d.py.
    """
    b = Builder(name, "s3d", (3, frames, *sides(image)))
    with b.block("stem"):
        x = _separable(b, b.input(), 64, 7, 2, "conv1")
        x = b.max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1), name="pool1")
        x = _separable(b, b.conv_bn(x, 64, name="conv2"), 192, 3, 1, "conv3")
        x = b.max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1), name="pool2")
    for stage, blocks in enumerate(STAGES, 3):
        if stage > 3:
            size, padding = (3, 1) if stage == 4 else (2, 0)
            x = b.max_pool(x, size, 2, padding, name=f"pool{stage}")
        for index, widths in enumerate(blocks):
            with b.block(f"mixed{stage}.{index}"):
                x = _inception(b, x, widths)
    with b.block("head"):
        x = b.avg_pool(x, (2, 7, 7), 1)
        return b.build(b.global_pool(b.conv(x, classes), name="mean"), sample="clip")


def _separable(b: Builder, x: Value, width: int, kernel: int, stride: int, name: str) -> Value:
    x = b.conv_bn(x, width, (1, kernel, kernel), (1, stride, stride), name=f"{name}_space")
    return b.conv_bn(x, width, (kernel, 1, 1), (stride, 1, 1), name=f"{name}_time")


def _inception(b: Builder, x: Value, widths: Sequence[int]) -> Value:
    first = b.conv_bn(x, widths[0], name="branch0")
    found = [first]
    for index in (1, 3):
        y = b.conv_bn(x, widths[index], name=f"branch{index}_reduce")
        found.append(_separable(b, y, widths[index + 1], 3, 1, f"branch{index}"))
    found.append(b.conv_bn(b.max_pool(x, 3, 1, 1), widths[5], name="branch_pool"))
    return b.concat(found)
