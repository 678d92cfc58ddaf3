"""ConvMixer: patches, then depthwise and pointwise convolutions at one resolution."""

from __future__ import annotations

from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("convmixer")
def convmixer(
    name: str,
    width: int,
    depth: int,
    *,
    kernel: int = 9,
    patch: int = 7,
    act: str = "gelu",
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a ConvMixer of ``depth`` layers of ``width`` channels on patches of ``patch`` pixels a side.

    Source: Trockman and Kolter 2022 (arXiv 2201.09792), section 2; timm models/convmixer.py.
    """
    b = Builder(name, "convmixer", (3, image, image))
    with b.scope("stem"):
        x = b.batch_norm(b.act(b.conv(b.input(), width, patch, patch, 0), act))
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            y = b.batch_norm(b.act(b.conv(x, width, kernel, groups=width, name="depthwise"), act))
            x = b.add(y, x)
            x = b.batch_norm(b.act(b.conv(x, width, name="pointwise"), act))
    return b.build(b.linear(b.global_pool(x), classes, name="head"))
