"""Networks that predict points of bodies and faces as maps: HRNet, PoseNet, and plain backbones with upsampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.hrnet import add_branches
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("hrnet-points")
def hrnet_points(
    name: str,
    width: int,
    *,
    modules: Sequence[int] = (1, 4, 3),
    joined: bool = False,
    points: int = 17,
    image: int | Sequence[int] = (256, 192),
) -> Network:
    """Return an HRNet that leaves a map a point: from its finest branch, or from all branches ``joined``.

    ``width`` of the finest branch, ``modules`` of the stages of two, three and four branches. Source: Sun et al. 2019
    (arXiv 1902.09212), section 3; HRNetV2 (arXiv 1908.07919), figure 4; leoxiaobin/deep-high-resolution-net.pytorch;
    HRNet/HRNet-Facial-Landmark-Detection.
    """
    b = Builder(name, "hrnet-points", (3, *sides(image)))
    branches = add_branches(b, b.input(), width, modules, fine_only=not joined)
    x = branches[0]
    with b.block("head"):
        if joined:
            size = [int(n) for n in x.shape[1:]]
            x = b.concat([x, *(b.resize(y, size) for y in branches[1:])])
            x = b.act(b.batch_norm(b.conv(x, x.channels, name="mix")))
        return b.build(b.conv(x, points, name="points"))


@family("map-heads")
def map_heads(
    name: str,
    *,
    backbone: Backbone,
    tap: Tap,
    heads: Mapping[str, int],
    upsampling: Sequence[int] = (),
    kernel: int = 4,
    hidden: int = 0,
    image: int | Sequence[int] = 512,
) -> Network:
    """Return a backbone, transposed convolutions of widths ``upsampling``, and a convolution a head.

    ``heads`` are the channels of each map, ``hidden`` the channels of a 3x3 convolution before each (0: none). Source:
    SimpleBaseline (arXiv 1804.06208), section 2; CenterNet (arXiv 1904.07850), section 5; PersonLab (arXiv
    1803.08225), whose PoseNet has no upsampling.
    """
    b = Builder(name, "map-heads", (3, *sides(image)))
    x = features(b, b.input(), backbone, [tap])[0]
    for index, width in enumerate(upsampling):
        with b.block(f"up{index}"):
            x = b.conv_transpose(x, width, kernel, 2, (kernel - 1) // 2, bias=False)
            x = b.act(b.batch_norm(x))
    ends: list[Value] = []
    for head, outputs in heads.items():
        with b.block(f"heads.{head}"):
            y = b.act(b.conv(x, hidden, 3, name="hidden")) if hidden else x
            ends.append(b.conv(y, outputs, name="out"))
    return b.build(*ends)
