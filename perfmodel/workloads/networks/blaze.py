"""MediaPipe's networks of depthwise blocks with biases: BlazeFace, BlazePalm, BlazePose and their landmark networks."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides

Blocks = Sequence[Sequence[int]]
"""Runs of blocks: [channels, stride of the first, how many]."""


def _block(
    b: Builder, x: Value, width: int, kernel: int, stride: int = 1, *, act: str = "relu", projected: bool = False
) -> Value:
    """Add a depthwise and a 1x1 convolution and the input, pooled where they stride and padded to more channels."""
    y = b.conv(x, x.channels, kernel, stride, groups=x.channels, name="depthwise")
    y = b.conv(y, width, name="pointwise")
    if stride > 1:
        x = b.max_pool(x, stride)
    if projected and x.channels != width:
        x = b.conv(x, width, name="project")
    elif x.channels != width:
        x = b.copy(x, y.shape, name="pad")
    return b.act(b.add(y, x), act, parameters=width if act == "prelu" else 0)


def _run(
    b: Builder, x: Value, blocks: Blocks, kernel: int, name: str, *, act: str = "relu", projected: bool = False
) -> Value:
    index = 0
    for width, stride, count in blocks:
        for number in range(count):
            with b.block(f"{name}.{index}"):
                x = _block(b, x, width, kernel, 1 if number else stride, act=act, projected=projected)
            index += 1
    return x


@family("blaze-detector")
def blaze_detector(
    name: str,
    maps: Sequence[Blocks],
    anchors: Sequence[int],
    *,
    stem: int = 24,
    stem_kernel: int = 5,
    stem_stride: int = 2,
    kernel: int = 3,
    projected: bool = False,
    joined: bool = False,
    coordinates: int = 16,
    image: int | Sequence[int] = 256,
) -> Network:
    """Return a detector of runs of blocks that each leave a map with ``anchors`` boxes a position.

    ``joined``: coarser maps are upsampled and added to finer ones; ``projected``: shortcuts to more channels are
    convolutions, not paddings; ``coordinates`` of a box and its points. Source: Bazarevsky et al. 2019 (arXiv
    1907.05047), 2020 (arXiv 2006.10204); zmurez/MediaPipePyTorch; hollance/BlazeFace-PyTorch.
    """
    b = Builder(name, "blaze-detector", (3, *sides(image)))
    x = b.act(b.conv(b.input(), stem, stem_kernel, stem_stride, name="stem"), name="stem_act")
    found: list[Value] = []
    for index, blocks in enumerate(maps):
        x = _run(b, x, blocks, kernel, f"backbone{index}", projected=projected)
        found.append(x)
    if joined:
        for index in reversed(range(len(found) - 1)):
            with b.block(f"join{index}"):
                up = b.act(b.conv_transpose(found[index + 1], found[index].channels, 2, 2, name="up"))
                found[index] = _block(b, b.add(found[index], up, name="joined"), int(up.channels), kernel)
    ends: list[Value] = []
    for index, (y, count) in enumerate(zip(found, anchors, strict=True)):
        with b.block(f"heads.{index}"):
            ends += [b.conv(y, count, name="scores"), b.conv(y, count * coordinates, name="boxes")]
    return b.build(*ends)


@family("blaze-landmarks")
def blaze_landmarks(
    name: str,
    backbone: Blocks,
    branches: Sequence[Blocks],
    outputs: Sequence[int],
    *,
    stem: int = 16,
    reduced: int = 32,
    image: int | Sequence[int] = 192,
) -> Network:
    """Return MediaPipe's face landmarks: a ``backbone`` and a run of blocks with a last 3x3 layer for each output.

    Source: Kartynnik et al. 2019 (arXiv 1907.06724); zmurez/MediaPipePyTorch blazeface_landmark.py.
    """
    b = Builder(name, "blaze-landmarks", (3, *sides(image)))
    x = b.act(b.conv(b.input(), stem, 3, 2, name="stem"), "prelu", parameters=stem, name="stem_act")
    x = _run(b, x, backbone, 3, "backbone", act="prelu")
    ends: list[Value] = []
    for index, (blocks, count) in enumerate(zip(branches, outputs, strict=True)):
        y = _run(b, x, blocks, 3, f"branch{index}", act="prelu")
        with b.block(f"branch{index}.out"):
            y = b.act(b.conv(y, reduced, name="reduce"), "prelu", parameters=reduced)
            ends.append(b.conv(_block(b, y, reduced, 3, act="prelu"), count, 3, 1, 0, name="points"))
    return b.build(*ends)


@family("blaze-hand")
def blaze_hand(
    name: str,
    *,
    widths: Sequence[int] = (48, 96, 96, 96),
    blocks: Blocks = ((48, 1, 4), (96, 2, 5), (288, 2, 5), (288, 2, 5), (288, 2, 5), (288, 2, 5)),
    outputs: Sequence[int] = (1, 1, 63),
    image: int | Sequence[int] = 256,
) -> Network:
    """Return MediaPipe's hand landmarks: four strided runs, joined from coarse to fine, and ``blocks`` down again.

    Source: Zhang et al. 2020 (arXiv 2006.10214); zmurez/MediaPipePyTorch blazehand_landmark.py.
    """
    b = Builder(name, "blaze-hand", (3, *sides(image)))
    x = b.act(b.conv(b.input(), 24, 3, 2, name="stem"), name="stem_act")
    found: list[Value] = []
    for index, width in enumerate(widths):
        x = _run(b, x, ((int(x.channels), 1, 2), (width, 2, 1)), 5, f"backbone{index}")
        found.append(x)
    for index in (2, 1):
        with b.block(f"join{index}"):
            up = b.resize(x, [int(n) for n in found[index].shape[1:]])
            x = _block(b, b.add(found[index], up, name="joined"), int(up.channels), 5)
    with b.block("join0"):
        x = b.conv(x, found[0].channels, name="reduce")
        x = b.add(found[0], b.resize(x, [int(n) for n in found[0].shape[1:]]))
    x = _run(b, x, blocks, 5, "blocks")
    with b.block("out"):
        return b.build(*(b.conv(x, count, 2, 1, 0) for count in outputs))


@family("blaze-pose")
def blaze_pose(
    name: str,
    *,
    stages: Blocks = ((24, 1, 2), (48, 2, 4), (96, 2, 5), (192, 2, 6), (288, 2, 7)),
    decoder: int = 48,
    mask: int = 8,
    points: int = 124,
    image: int | Sequence[int] = 256,
) -> Network:
    """Return MediaPipe's pose landmarks: down, up, and down again with what the first way down left, and a mask.

    Source: Bazarevsky et al. 2020 (arXiv 2006.10204), figure 4; zmurez/MediaPipePyTorch blazepose_landmark.py.
    """
    b = Builder(name, "blaze-pose", (3, *sides(image)))
    x = b.act(b.conv(b.input(), stages[0][0], 3, 2, name="stem"), name="stem_act")
    found: list[Value] = []
    for index, stage in enumerate(stages):
        x = _run(b, x, (stage,), 3, f"backbone{index}")
        found.append(x)

    def adapted(y: Value, width: int, name: str) -> Value:
        with b.block(name):
            y = b.conv(y, y.channels, 3, groups=y.channels, name="depthwise")
            return b.act(b.conv(y, width, name="pointwise"))

    def above(y: Value, target: Value) -> Value:
        return b.resize(y, [int(n) for n in target.shape[1:]])

    y = adapted(found[4], decoder, "up4")
    for index in (3, 2, 1):
        y = b.add(adapted(found[index], decoder, f"up{index}"), above(y, found[index]))
    seg = b.add(adapted(found[0], mask, "mask0"), above(adapted(y, mask, "mask1"), found[0]))
    seg = b.conv(adapted(seg, mask, "mask2"), 1, 3, name="mask")
    for index in (2, 3, 4):
        width, _, count = stages[index]
        y = _run(b, y, ((width, 2, count),), 3, f"block{index}")
        y = b.add(y, adapted(found[index], width, f"skip{index}"))
    last = stages[-1][0]
    y = _run(b, y, ((last, 2, 8), (last, 2, 7), (last, 1, 1)), 3, "tail")
    with b.block("out"):
        return b.build(b.conv(y, 1, 2, 1, 0, name="flag"), b.conv(y, points, 2, 1, 0, name="points"), seg)
