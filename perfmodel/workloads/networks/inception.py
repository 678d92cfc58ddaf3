"""The later inception networks: v3, v4 and Inception-ResNet v2."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.towers import towers

_STEM = "32 3x3/2v, 32 3x3v, 64 3x3, max/2v, 80 1x1, 192 3x3v, max/2v"


@family("inception-v3")
def inception_v3(
    name: str,
    *,
    pooled: Sequence[int] = (32, 64, 64),
    sevens: Sequence[int] = (128, 160, 160, 192),
    last: int = 2,
    auxiliary: bool = False,
    image: int = 299,
    classes: int = 1000,
) -> Network:
    """Return Inception v3.

    ``pooled`` are the widths after the pooling of the 35x35 modules, ``sevens`` the widths inside the 17x17 modules,
    ``last`` counts the 8x8 modules. ``auxiliary`` keeps the numbers of the auxiliary head, which never runs at
    inference. Source: Szegedy et al. 2015 (arXiv 1512.00567), table 1; torchvision models/inception.py.
    """
    b = Builder(name, "inception-v3", (3, image, image))
    with b.block("stem"):
        x = towers(b, b.input(), _STEM)
    for index, width in enumerate(pooled):
        with b.block(f"mixed5{'bcdefgh'[index]}"):
            x = towers(b, x, f"64 1x1 | 48 1x1, 64 5x5 | 64 1x1, 96 3x3, 96 3x3 | avg, {width} 1x1")
    with b.block("mixed6a"):
        x = towers(b, x, "384 3x3/2v | 64 1x1, 96 3x3, 96 3x3/2v | max/2v")
    for index, w in enumerate(sevens):
        with b.block(f"mixed6{'bcdefgh'[index]}"):
            double = f"{w} 1x1, {w} 7x1, {w} 1x7, {w} 7x1, 192 1x7"
            x = towers(b, x, f"192 1x1 | {w} 1x1, {w} 1x7, 192 7x1 | {double} | avg, 192 1x1")
    if auxiliary:
        _unused_head(b, x, classes)
    with b.block("mixed7a"):
        x = towers(b, x, "192 1x1, 320 3x3/2v | 192 1x1, 192 1x7, 192 7x1, 192 3x3/2v | max/2v")
    for index in range(last):
        with b.block(f"mixed7{'bcdefgh'[index]}"):
            ends = "384 1x3 + 384 3x1"
            x = towers(b, x, f"320 1x1 | 384 1x1, {ends} | 448 1x1, 384 3x3, {ends} | avg, 192 1x1")
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _unused_head(b: Builder, x: Value, classes: int) -> None:
    """Add the numbers of the auxiliary head: 1x1 to 128, 5x5 to 768, both with batch norms, and a dense layer."""
    count = x.channels * 128 + 2 * 128 + 128 * 768 * 25 + 2 * 768 + 769 * classes
    b.node("auxiliary", None, (x,), x.shape, count, "unused")


@family("inception-v4")
def inception_v4(name: str, *, depths: Sequence[int] = (4, 7, 3), image: int = 299, classes: int = 1000) -> Network:
    """Return Inception v4: ``depths`` modules of 35x35, 17x17 and 8x8 with reductions between them.

    Source: Szegedy et al. 2016 (arXiv 1602.07261), figures 3 to 9; timm models/inception_v4.py.
    """
    b = Builder(name, "inception-v4", (3, image, image))
    with b.block("stem"):
        x = towers(b, b.input(), "32 3x3/2v, 32 3x3v, 64 3x3")
        x = towers(b, x, "max/2v | 96 3x3/2v")
        x = towers(b, x, "64 1x1, 96 3x3v | 64 1x1, 64 1x7, 64 7x1, 96 3x3v")
        x = towers(b, x, "192 3x3/2v | max/2v")
    for index in range(depths[0]):
        with b.block(f"inception-a.{index}"):
            x = towers(b, x, "96 1x1 | 64 1x1, 96 3x3 | 64 1x1, 96 3x3, 96 3x3 | avg, 96 1x1")
    with b.block("reduction-a"):
        x = towers(b, x, "384 3x3/2v | 192 1x1, 224 3x3, 256 3x3/2v | max/2v")
    for index in range(depths[1]):
        with b.block(f"inception-b.{index}"):
            double = "192 1x1, 192 7x1, 224 1x7, 224 7x1, 256 1x7"
            x = towers(b, x, f"384 1x1 | 192 1x1, 224 1x7, 256 7x1 | {double} | avg, 128 1x1")
    with b.block("reduction-b"):
        x = towers(b, x, "192 1x1, 192 3x3/2v | 256 1x1, 256 1x7, 320 7x1, 320 3x3/2v | max/2v")
    for index in range(depths[2]):
        with b.block(f"inception-c.{index}"):
            ends = "256 1x3 + 256 3x1"
            x = towers(b, x, f"256 1x1 | 384 1x1, {ends} | 384 1x1, 448 3x1, 512 1x3, {ends} | avg, 256 1x1")
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


@family("inception-resnet-v2")
def inception_resnet_v2(
    name: str, *, depths: Sequence[int] = (10, 20, 10), image: int = 299, classes: int = 1000
) -> Network:
    """Return Inception-ResNet v2: ``depths`` residual modules of 35x35, 17x17 and 8x8 with reductions between them.

    Source: Szegedy et al. 2016 (arXiv 1602.07261), figures 14 to 19; timm models/inception_resnet_v2.py.
    """
    b = Builder(name, "inception-resnet-v2", (3, image, image))
    with b.block("stem"):
        x = towers(b, b.input(), _STEM)
    with b.block("mixed5b"):
        x = towers(b, x, "96 1x1 | 48 1x1, 64 5x5 | 64 1x1, 96 3x3, 96 3x3 | avg, 64 1x1")
    for index in range(depths[0]):
        with b.block(f"block35.{index}"):
            x = _residual(b, x, "32 1x1 | 32 1x1, 32 3x3 | 32 1x1, 48 3x3, 64 3x3")
    with b.block("mixed6a"):
        x = towers(b, x, "384 3x3/2v | 256 1x1, 256 3x3, 384 3x3/2v | max/2v")
    for index in range(depths[1]):
        with b.block(f"block17.{index}"):
            x = _residual(b, x, "192 1x1 | 128 1x1, 160 1x7, 192 7x1")
    with b.block("mixed7a"):
        x = towers(b, x, "256 1x1, 384 3x3/2v | 256 1x1, 288 3x3/2v | 256 1x1, 288 3x3, 320 3x3/2v | max/2v")
    for index in range(depths[2]):
        with b.block(f"block8.{index}"):
            x = _residual(b, x, "192 1x1 | 192 1x1, 224 1x3, 256 3x1", last=index == depths[2] - 1)
    x = b.conv_bn(x, 1536, 1, name="conv7b")
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _residual(b: Builder, x: Value, text: str, last: bool = False) -> Value:
    """Add towers, a 1x1 with bias back to the input's width, and a scaled residual (without an activation at last)."""
    y = b.conv(towers(b, x, text), x.channels, 1, name="up")
    y = b.add(b.scale(y), x)
    return y if last else b.act(y)
