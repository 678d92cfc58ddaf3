"""Dual path networks: residual and dense paths through the same blocks."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("dpn")
def dpn(
    name: str,
    depths: Sequence[int],
    *,
    increments: Sequence[int],
    inner: int = 96,
    groups: int = 32,
    stem: int = 64,
    stem_kernel: int = 7,
    residual: int = 256,
    split_last: bool = False,
    act: str = "relu",
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a dual path network: ``depths`` blocks a stage, each adding ``increments`` of its stage to the dense path.

    In the first stage the grouped 3x3 convolutions have ``inner`` and the residual path ``residual`` channels, and each
    stage doubles both. ``split_last`` has two last convolutions, one a path, for one. Source: Chen et al. 2017
    (arXiv 1707.01629), table 1; timm models/dpn.py.
    """
    b = Builder(name, "dpn", (3, image, image))
    with b.block("conv1"):
        x = b.max_pool(b.conv_bn(b.input(), stem, stem_kernel, 2, act=act, name="conv"), 3, 2, 1)
    for stage, (depth, added) in enumerate(zip(depths, increments, strict=True)):
        kept, width = residual * 2**stage, inner * 2**stage
        for index in range(depth):
            with b.block(f"conv{stage + 2}.{index + 1}"):
                stride = 2 if stage and index == 0 else 1
                paths = _paths(b, x, kept, added, stride, act) if index == 0 else b.split(x, (kept, x.channels - kept))
                y = _normed(b, x, width, 1, 1, "a", act=act)
                y = _normed(b, y, width, 3, stride, "b", groups, act)
                x = _joined(b, y, paths, added, split_last, act)
    with b.block("classifier"):
        x = b.act(b.batch_norm(x, name="norm"), "elu", name="norm_act")
        x = b.conv(b.global_pool(x, keep=True), classes, 1, name="fc")
        return b.build(b.flatten(x))


def _paths(b: Builder, x: Value, kept: int, added: int, stride: int, act: str) -> list[Value]:
    """Add the projection that opens a stage: the residual path and a dense one of twice the increment."""
    return b.split(_normed(b, x, kept + 2 * added, 1, stride, "projection", act=act), (kept, 2 * added))


def _joined(b: Builder, y: Value, paths: list[Value], added: int, split_last: bool, act: str) -> Value:
    kept, dense = paths
    if split_last:
        y = b.act(b.batch_norm(y, name="c_norm"), act, name="c_act")
        first = b.conv(y, kept.channels, 1, bias=False, name="c1")
        second = b.conv(y, added, 1, bias=False, name="c2")
    else:
        y = _normed(b, y, int(kept.channels) + added, 1, 1, "c", act=act)
        first, second = b.split(y, (kept.channels, added))
    return b.concat((b.add(kept, first), dense, second))


def _normed(
    b: Builder, x: Value, channels: int, kernel: int, stride: int, name: str, groups: int = 1, act: str = "relu"
) -> Value:
    x = b.act(b.batch_norm(x, name=f"{name}_norm"), act, name=f"{name}_act")
    return b.conv(x, channels, kernel, stride, groups=groups, bias=False, name=name)
