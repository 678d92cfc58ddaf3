"""Depth from one image: Depth Anything over a vision transformer, MiDaS over a small convolutional network."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


def _unit(b: Builder, x: Value, name: str) -> Value:
    """Add two 3x3 convolutions with activations before them, and the input."""
    y = x
    for index in (1, 2):
        y = b.conv(b.act(y, name=f"{name}_act{index}"), x.channels, 3, name=f"{name}_conv{index}")
    return b.add(y, x, name=f"{name}_add")


def fuse(b: Builder, maps: Sequence[Value], narrows: bool) -> Value:
    """Add the fusion of maps from coarse to fine, each step doubling the size (``narrows``: halving the channels)."""
    y: Value | None = None
    for index in reversed(range(len(maps))):
        with b.block(f"fusion.{index}"):
            x = maps[index]
            if y is not None:
                x = b.add(y, _unit(b, x, "unit1"))
            x = _unit(b, x, "unit2")
            size = [int(n) for n in maps[index - 1].shape[1:]] if index else [2 * int(n) for n in x.shape[1:]]
            x = b.resize(x, size)
            y = b.conv(x, int(x.channels) // 2 if narrows and index else x.channels, name="project")
    assert y is not None
    return y


@family("depth-anything")
def depth_anything(
    name: str,
    widths: Sequence[int],
    *,
    backbone: Backbone,
    taps: Sequence[Tap],
    fusion: int = 64,
    head: int = 32,
    patch: int = 14,
    prefix: int = 1,
    image: int | Sequence[int] = 518,
) -> Network:
    """Return a Depth Anything: ``taps`` of a transformer as images of ``widths`` and four sizes, fused to ``fusion``.

    ``prefix`` tokens before the patches are dropped. Source: Yang et al. 2024 (arXiv 2401.10891, 2406.09414); DPT
    (arXiv 2103.13413), figure 1; transformers models/depth_anything/modeling_depth_anything.py.
    """
    b = Builder(name, "depth-anything", (3, *sides(image)))
    tokens = features(b, b.input(), backbone, taps)
    height, breadth = (n // patch for n in sides(image))
    maps: list[Value] = []
    for index, (stage, width) in enumerate(zip(tokens, widths, strict=True)):
        with b.block(f"reassemble.{index}"):
            op = ops.LayerNorm(stage.shape[0], stage.width)
            x = b.node("norm", op, (stage,), stage.shape, 0 if index else 2 * stage.width)  # one norm for all four
            x = b.view(x, (height * breadth, x.width), name="patches") if prefix else x
            y = b.conv(b.image(x, height, breadth), width, name="project")
            if index < 2:
                y = b.conv_transpose(y, width, 4 >> index, 4 >> index)
            elif index == 3:
                y = b.conv(y, width, 3, 2, name="shrink")
            maps.append(b.conv(y, fusion, 3, bias=False, name="adapt"))
    y = fuse(b, maps, narrows=False)
    with b.block("head"):
        y = b.resize(b.conv(y, fusion // 2, 3, name="conv1"), (patch * height, patch * breadth))
        y = b.act(b.conv(y, head, 3, name="conv2"))
        return b.build(b.act(b.conv(y, 1, name="conv3"), name="depth"))


@family("midas")
def midas(
    name: str,
    *,
    backbone: Backbone = "efficientnet_lite3",
    taps: Sequence[Tap] = ("blocks.1", "blocks.2", "blocks.4", "blocks.6"),
    widths: Sequence[int] = (64, 128, 256, 512),
    head: int = 32,
    image: int | Sequence[int] = 256,
) -> Network:
    """Return MiDaS's small network: maps of a ``backbone`` brought to ``widths`` and fused from coarse to fine.

    Source: Ranftl et al. 2019 (arXiv 1907.01341); isl-org/MiDaS midas/midas_net_custom.py and blocks.py (v2.1 small).
    """
    b = Builder(name, "midas", (3, *sides(image)))
    maps = features(b, b.input(), backbone, taps)
    adapted: list[Value] = []
    for index, (x, width) in enumerate(zip(maps, widths, strict=True)):
        with b.block(f"adapt.{index}"):
            adapted.append(b.conv(x, width, 3, bias=False))
    y = fuse(b, adapted, narrows=True)
    with b.block("head"):
        y = b.conv(y, int(y.channels) // 2, 3, name="conv1")
        y = b.resize(y, [2 * int(n) for n in y.shape[1:]])
        y = b.act(b.conv(y, head, 3, name="conv2"))
        return b.build(b.act(b.conv(y, 1, name="conv3"), name="depth"))
