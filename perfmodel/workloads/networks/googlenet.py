"""The first inception networks: GoogLeNet (Inception v1) and BN-Inception (Inception v2)."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.towers import towers

_V1: tuple[tuple[tuple[int, int, int, int, int, int], ...], ...] = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)  # fmt: skip
"""Of each stage's modules: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, after pooling (arXiv 1409.4842, table 1)."""


@family("googlenet")
def googlenet(
    name: str,
    *,
    stages: Sequence[Sequence[Sequence[int]]] = _V1,
    norm: bool = False,
    large: int = 5,
    ceil: bool = True,
    last_pool: int = 3,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return GoogLeNet without its auxiliary heads: a stem and three stages of inception modules.

    ``stages`` has six widths a module: 1x1, 3x3 reduced, 3x3, large reduced, large, after pooling. ``norm`` is a batch
    norm after each convolution instead of a bias and of two local response normalisations (which are counted like
    activations); ``large`` the kernel of the third tower; ``ceil`` lets poolings' last windows hang over the edge;
    ``last_pool`` is the side of the pooling before the last stage. Source: Szegedy et al. 2014 (arXiv 1409.4842),
    table 1; Caffe's bvlc_googlenet; torchvision models/googlenet.py (whose third tower is 3x3).
    """
    b = Builder(name, "googlenet", (3, image, image))
    with b.block("stem"):
        x = b.max_pool(towers(b, b.input(), "64 7x7/2", norm=norm), 3, 2, ceil=ceil)
        x = x if norm else b.act(x, "lrn", name="norm1")
        x = towers(b, x, "64 1x1, 192 3x3", norm=norm)
        x = x if norm else b.act(x, "lrn", name="norm2")
    for stage, modules in enumerate(stages):
        x = b.max_pool(x, last_pool if stage == len(stages) - 1 else 3, 2, ceil=ceil)
        for index, (one, small, three, reduced, five, pooled) in enumerate(modules):
            with b.block(f"inception{stage + 3}{chr(ord('a') + index)}"):
                text = (
                    f"{one} 1x1 | {small} 1x1, {three} 3x3 | {reduced} 1x1, {five} {large}x{large} | max, {pooled} 1x1"
                )
                x = towers(b, x, text, norm=norm)
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


_V2: tuple[tuple[str, ...], ...] = (
    (
        "64 1x1 | 64 1x1, 64 3x3 | 64 1x1, 96 3x3, 96 3x3 | avg, 32 1x1",
        "64 1x1 | 64 1x1, 96 3x3 | 64 1x1, 96 3x3, 96 3x3 | avg, 64 1x1",
        "128 1x1, 160 3x3/2 | 64 1x1, 96 3x3, 96 3x3/2 | max/2c",
    ),
    (
        "224 1x1 | 64 1x1, 96 3x3 | 96 1x1, 128 3x3, 128 3x3 | avg, 128 1x1",
        "192 1x1 | 96 1x1, 128 3x3 | 96 1x1, 128 3x3, 128 3x3 | avg, 128 1x1",
        "160 1x1 | 128 1x1, 160 3x3 | 128 1x1, 160 3x3, 160 3x3 | avg, 96 1x1",
        "96 1x1 | 128 1x1, 192 3x3 | 160 1x1, 192 3x3, 192 3x3 | avg, 96 1x1",
        "128 1x1, 192 3x3/2 | 192 1x1, 256 3x3, 256 3x3/2 | max/2c",
    ),
    (
        "352 1x1 | 192 1x1, 320 3x3 | 160 1x1, 224 3x3, 224 3x3 | avg, 128 1x1",
        "352 1x1 | 192 1x1, 320 3x3 | 192 1x1, 224 3x3, 224 3x3 | max, 128 1x1",
    ),
)


@family("bn-inception")
def bn_inception(name: str, *, stages: Sequence[Sequence[str]] = _V2, image: int = 224, classes: int = 1000) -> Network:
    """Return BN-Inception (Inception v2): modules with two 3x3 for a 5x5, batch norms, strided modules for poolings.

    ``stages`` says each module's towers ("64 1x1 | avg, 32 1x1"). Source: Ioffe and Szegedy 2015 (arXiv 1502.03167),
    figure 5, with the widths of the network in Caffe and the ONNX zoo (96 for 128 after the pooling of 4c and 4d).
    """
    b = Builder(name, "bn-inception", (3, image, image))
    with b.block("stem"):
        x = towers(b, b.input(), "64 7x7/2, max/2c, 64 1x1, 192 3x3, max/2c")
    for stage, modules in enumerate(stages):
        for index, text in enumerate(modules):
            with b.block(f"inception{stage + 3}{chr(ord('a') + index)}"):
                x = towers(b, x, text)
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))
