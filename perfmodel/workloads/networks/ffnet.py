"""FFNet: a plain residual network, maps joined from coarse to fine, and a small head."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import Stage, Trunk, add_stages
from perfmodel.workloads.networks.vit_tokens import sides


@family("ffnet")
def ffnet(
    name: str,
    depths: Sequence[int],
    *,
    widths: Sequence[int] = (64, 128, 192, 320),
    stem: Sequence[int] = (32, 64, 64),
    adapters: Sequence[int] = (64, 128, 128, 256),
    outs: Sequence[int] = (96, 96, 64, 32),
    head: int = 256,
    head_kernel: int = 3,
    image: int | Sequence[int] = (1024, 2048),
    classes: int = 19,
) -> Network:
    """Return an FFNet: strided convolutions of ``stem``, stages of basic blocks, and a pyramid that is concatenated.

    ``adapters`` are the widths of the pyramid's levels, ``outs`` what each gives to the head of one hidden layer.
    Source: Mehta et al. 2022 (arXiv 2206.08236), section 3; Qualcomm-AI-research/FFNet models/ffnet_blocks.py.
    """
    b = Builder(name, "ffnet", (3, *sides(image)))
    x = b.input()
    for index, width in enumerate(stem):
        x = b.conv_bn(x, width, 3, 2, name=f"stem{index}")
    stages = [Stage(depth, width, width, _basic) for depth, width in zip(depths, widths, strict=True)]
    maps = add_stages(b, x, stages, Trunk())
    found: list[Value] = []
    above: Value | None = None
    for level in reversed(range(len(maps))):
        with b.block(f"up{level}"):
            x = b.conv_bn(maps[level], adapters[level], name="adapter")
            if above is not None:
                x = b.add(b.resize(above, [int(n) for n in x.shape[1:]], "nearest"), x)
            found.insert(0, b.conv_bn(x, outs[level], 3, name="smooth"))
            above = b.conv_bn(x, adapters[level - 1], name="narrow") if level else None
    with b.block("head"):
        size = [int(n) for n in found[0].shape[1:]]
        x = b.concat([found[0], *(b.resize(y, size, "nearest") for y in found[1:])])
        x = b.act(b.batch_norm(b.conv(x, head, head_kernel, name="conv1")))
        return b.build(b.conv(x, classes, head_kernel, name="conv2"))


def _basic(b: Builder, x: Value, planes: int, stride: int, index: int) -> Value:
    y = b.conv_bn(x, planes, 3, stride, name="conv1")
    return b.conv_bn(y, planes, 3, act="", name="conv2")
