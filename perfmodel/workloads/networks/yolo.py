"""YOLO detectors of versions 3 to 11 and YOLOX: layers in a notation, scaled in depth and width, and a head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from perfmodel.errors import InputError
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides
from perfmodel.workloads.networks.yolo_blocks import BLOCKS, Step, fuse
from perfmodel.workloads.networks.yolo_heads import HEADS, HeadStyle

_WORD = re.compile(r"([ksxem])(\d+(?:\.\d+)?)")
FLAGS = ("add", "all", "deep", "large", "tiny")


@family("yolo")
def yolo(
    name: str,
    layers: Sequence[str],
    *,
    depth: float = 1.0,
    width: float = 1.0,
    max_channels: int = 1024,
    act: str = "silu",
    inverted: Sequence[int] = (),
    flags: Sequence[str] = (),
    head: str = "dfl",
    anchors: int = 3,
    masks: int = 0,
    mask_width: int = 256,
    keypoints: int = 0,
    angles: int = 0,
    head_width: int = 256,
    image: int | Sequence[int] = 640,
    classes: int = 80,
) -> Network:
    """Return a YOLO detector of ``layers``, the last of which says what the head reads ("detect @17,20,23").

    A layer is its kind, its channels, and words: kN kernel, sN stride, xN repeats, eN expansion, mN a width in the
    middle, @N,N the layers that it reads (the one before), and flags of :class:`.yolo_blocks.Step`. Kinds are those of
    :data:`.yolo_blocks.BLOCKS`, "pool", "up", "cat", "take" (half of the channels) and "fuse" (YOLOv6's). ``depth``
    scales repeats, ``width`` channels (no more than ``max_channels`` before); layers ``inverted`` are compact inverted
    blocks, ``flags`` holds for all layers. ``head``: see :data:`.yolo_heads.HEADS`; ``masks`` prototypes, ``keypoints``
    numbers and ``angles`` a box beside it. Sources: YOLOv3 (arXiv 1804.02767), YOLOv4 (2004.10934), YOLOX (2107.08430),
    YOLOv6 (2209.02976), YOLOv7 (2207.02696), YOLOv10 (2405.14458); ultralytics cfg/models and nn/modules.
    Re-parametrised convolutions are those of deployment. Omits: selection and suppression of boxes.
    """
    b = Builder(name, "yolo", (3, *sides(image)))
    found: list[Value] = []
    *body, last = layers
    for index, text in enumerate(body):
        step, reads = parse(text, index)
        scaled = _scaled(step, depth, width, max_channels, act, frozenset(flags))
        if index in inverted:
            scaled = replace(scaled, kind="cib", flags=scaled.flags | {"add"})
        with b.block(f"model.{index}"):
            found.append(_add(b, [found[i] for i in reads] if index else [b.input()], scaled))
    _, reads = parse(last, len(body))
    wide = _divisible(head_width * width)
    style = HeadStyle(act, anchors, masks, _divisible(mask_width * width), keypoints, angles, wide, classes)
    return b.build(*HEADS[head](b, [found[i] for i in reads], style))


def parse(text: str, index: int) -> tuple[Step, list[int]]:
    """Return what a layer's text says, and the indices of the layers that it reads."""
    kind, *words = text.split()
    if kind not in {*BLOCKS, "pool", "up", "cat", "take", "fuse", "detect"}:
        raise InputError(f"'{text}': a layer begins with one of {', '.join(sorted(BLOCKS))}, pool, up, cat, take, fuse")
    names = {"k": "kernel", "s": "stride", "x": "repeat", "e": "expand", "m": "middle"}
    fields: dict[str, object] = {"stride": 2, "kernel": 2} if kind == "pool" else {}
    reads, stated = [index - 1], set[str]()
    for word in words:
        match = _WORD.fullmatch(word)
        if match:
            fields[names[match[1]]] = float(match[2]) if match[1] == "e" else int(match[2])
        elif word.isdigit():
            fields["channels"] = int(word)
        elif word.startswith("@"):
            reads = [int(n) if int(n) >= 0 else index + int(n) for n in word[1:].split(",")]
        elif word in FLAGS:
            stated.add(word)
        else:
            raise InputError(f"'{text}': '{word}' is no word of the notation")
    if any(not 0 <= n < max(index, 1) for n in reads) and index:
        raise InputError(f"'{text}': a layer reads layers before it")
    return Step(kind, flags=frozenset(stated), **fields), reads  # type: ignore[arg-type]


def _scaled(
    step: Step, depth: float, width: float, most: int, act: str, flags: frozenset[str]
) -> Step:  # fmt: skip
    repeat = max(round(step.repeat * depth), 1) if step.repeat > 1 else step.repeat
    channels, middle = _divisible(min(step.channels, most) * width), _divisible(step.middle * width)
    return replace(step, repeat=repeat, channels=channels, middle=middle, act=act, flags=step.flags | flags)


def _divisible(value: float) -> int:
    return ceil(value / 8) * 8


def _add(b: Builder, reads: Sequence[Value], step: Step) -> Value:
    x = reads[0]
    if step.kind == "cat":
        return b.concat(reads)
    if step.kind == "fuse":
        return fuse(b, reads, step)
    if step.kind == "take":
        return b.view(x, (x.channels // 2, *x.shape[1:]), name="half")
    if step.kind == "up":
        return b.resize(x, [2 * int(n) for n in x.shape[1:]], "nearest")
    if step.kind == "pool":
        return b.max_pool(x, step.kernel, step.stride, "same" if step.stride == 1 else 0)
    return BLOCKS[step.kind](b, x, step)
