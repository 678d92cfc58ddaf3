"""Heads of the YOLO detectors: with anchors, with distributions of distances, decoupled; masks and keypoints beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.networks.yolo_blocks import conv

BINS = 16
"""Of the distribution of a box's distance to each side (arXiv 2006.04388)."""


@dataclass(frozen=True)
class HeadStyle:
    """What a head predicts, and its widths."""

    act: str
    anchors: int
    masks: int
    mask_width: int
    keypoints: int
    angles: int
    width: int
    classes: int


def anchored(b: Builder, maps: Sequence[Value], style: HeadStyle) -> list[Value]:
    """Add a 1x1 convolution a level: for each anchor a box, whether it holds anything, classes, mask coefficients."""
    each = style.anchors * (5 + style.classes + style.masks)
    found: list[Value] = []
    for index, x in enumerate(maps):
        with b.block(f"detect.{index}"):
            found.append(b.act(b.conv(x, each), "sigmoid"))
    return [*found, *_prototypes(b, maps[0], style)]


def distributed(b: Builder, maps: Sequence[Value], style: HeadStyle, *, light: bool = False) -> list[Value]:
    """Add branches for boxes (distributions of four distances) and classes; ``light`` classes are depthwise."""
    first = int(maps[0].channels)
    box_width, class_width = max(16, first // 4, 4 * BINS), max(first, min(style.classes, 100))
    branches = {"boxes": (box_width, 4 * BINS), "classes": (class_width, style.classes)}
    for what, count in (("coefficients", style.masks), ("points", style.keypoints), ("angles", style.angles)):
        if count:
            branches[what] = (max(first // 4, count), count)
    found: dict[str, list[Value]] = {what: [] for what in branches}
    for index, x in enumerate(maps):
        with b.block(f"detect.{index}"):
            for what, (width, outputs) in branches.items():
                small = light and what == "classes"
                y = _light(b, x, width, style.act) if small else _two(b, x, width, style.act, what)
                y = b.conv(y, outputs, name=what)
                found[what].append(b.view(y, (outputs, prod(y.shape[1:], start=1)), name=f"{what}_flat"))
    with b.block("detect.decode"):
        whole = {what: b.concat(values, 1, name=what) for what, values in found.items()}
        positions = whole["boxes"].shape[1]
        y = b.softmax(b.copy(b.view(whole["boxes"], (4, BINS, positions)), (4, positions, BINS), name="bins"))
        boxes = b.conv(b.view(y, (BINS, 4, positions), name="distances"), 1, bias=False, name="dfl")
        found_classes = b.act(whole["classes"], "sigmoid", name="scores")
    rest = [value for what, value in whole.items() if what not in {"boxes", "classes"}]
    return [boxes, found_classes, *rest, *_prototypes(b, maps[0], style)]


def _two(b: Builder, x: Value, width: int, act: str, name: str) -> Value:
    return conv(b, conv(b, x, width, 3, act=act, name=f"{name}1"), width, 3, act=act, name=f"{name}2")


def _light(b: Builder, x: Value, width: int, act: str) -> Value:
    for index in range(2):
        channels = int(x.channels)
        y = conv(b, x, channels, 3, groups=channels, act=act, name=f"classes_dw{index}")
        x = conv(b, y, width, act=act, name=f"classes_pw{index}")
    return x


def distributed_light(b: Builder, maps: Sequence[Value], style: HeadStyle) -> list[Value]:
    """Add the branches of :func:`distributed` with depthwise separable convolutions for classes (YOLOv10, YOLO11)."""
    return distributed(b, maps, style, light=True)


def _prototypes(b: Builder, x: Value, style: HeadStyle) -> list[Value]:
    """Add the prototypes of masks, from the finest level (YOLACT, arXiv 1904.02689)."""
    if not style.masks:
        return []
    with b.block("prototypes"):
        y = conv(b, x, style.mask_width, 3, act=style.act, name="cv1")
        if style.anchors:
            y = b.resize(y, [2 * int(n) for n in y.shape[1:]], "nearest")
        else:
            y = b.conv_transpose(y, style.mask_width, 2, 2, name="up")
        y = conv(b, y, style.mask_width, 3, act=style.act, name="cv2")
        return [conv(b, y, style.masks, act=style.act, name="cv3")]


def decoupled(b: Builder, maps: Sequence[Value], style: HeadStyle, *, depthwise: bool = False) -> list[Value]:
    """Add a 1x1 convolution a level, then two branches of two 3x3 convolutions: classes; boxes and objectness."""
    found: list[Value] = []
    for index, x in enumerate(maps):
        with b.block(f"detect.{index}"):
            stem = conv(b, x, style.width, act=style.act, name="stem")
            ends: list[Value] = []
            for what in ("class", "box"):
                y = stem
                for number in range(2):
                    if depthwise:
                        y = conv(b, y, style.width, 3, groups=style.width, act=style.act, name=f"{what}{number}_dw")
                        y = conv(b, y, style.width, act=style.act, name=f"{what}{number}_pw")
                    else:
                        y = conv(b, y, style.width, 3, act=style.act, name=f"{what}{number}")
                ends.append(y)
            found += [
                b.act(b.conv(ends[0], style.classes, name="classes"), "sigmoid", name="scores"),
                b.conv(ends[1], 4, name="boxes"),
                b.act(b.conv(ends[1], 1, name="object"), "sigmoid", name="objectness"),
            ]
    return found


def decoupled_depthwise(b: Builder, maps: Sequence[Value], style: HeadStyle) -> list[Value]:
    """Add the head of :func:`decoupled` with depthwise separable convolutions (YOLOX-nano)."""
    return decoupled(b, maps, style, depthwise=True)


def efficient(b: Builder, maps: Sequence[Value], style: HeadStyle) -> list[Value]:
    """Add YOLOv6's decoupled head: a 1x1 convolution a level, one 3x3 for classes and one for boxes."""
    found: list[Value] = []
    for index, x in enumerate(maps):
        with b.block(f"detect.{index}"):
            channels = int(x.channels)
            stem = conv(b, x, channels, name="stem")
            scores = b.conv(conv(b, stem, channels, 3, name="class"), style.classes, name="classes")
            found += [
                b.act(scores, "sigmoid", name="scores"),
                b.conv(conv(b, stem, channels, 3, name="box"), 4, name="boxes"),
            ]
    return found


Heads = Callable[[Builder, Sequence[Value], HeadStyle], list[Value]]
HEADS: dict[str, Heads] = {
    "anchors": anchored, "dfl": distributed, "dfl-light": distributed_light, "decoupled": decoupled,
    "decoupled-depthwise": decoupled_depthwise, "efficient": efficient,
}  # fmt: skip
"""The function that adds each kind of head to the feature maps."""
