"""RepVGG: a plain chain of 3x3 convolutions, trained with branches beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.channel_attention import channel_attention
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import add_head


@family("repvgg")
def repvgg(
    name: str,
    depths: Sequence[int],
    widths: Sequence[int],
    *,
    stem: int = 64,
    groups: int = 1,
    squeeze: float = 0.0,
    fused: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a RepVGG: stages of ``depths`` 3x3 convolutions of ``widths`` channels, the first of each with a stride.

    Every second convolution of a stage has ``groups``. ``squeeze``: what squeeze-excite leaves (0: none). ``fused``
    False keeps the 1x1 convolution and the batch norm beside each, as the checkpoints and timm's models have them;
    True folds them into the 3x3, which gives the same results. Source: Ding et al. 2021 (arXiv 2101.03697), sections
    3 and 4, tables 2 and 3; timm models/byobnet.py.
    """
    b = Builder(name, "repvgg", (3, image, image))
    block = _Branches(squeeze, fused)
    with b.block("stem"):
        x = block.add(b, b.input(), stem, 2, 1)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = block.add(b, x, width, 1 if index else 2, groups if index % 2 else 1)
    return b.build(add_head(b, x, classes, name="head"))


@dataclass(frozen=True)
class _Branches:
    squeeze: float
    fused: bool

    def add(self, b: Builder, x: Value, width: int, stride: int, groups: int) -> Value:
        if self.fused:
            y = b.conv(x, width, 3, stride, groups=groups, name="conv")
        else:
            y = b.conv_bn(x, width, 1, stride, groups=groups, act="", name="conv_1x1")
            y = b.add(y, b.conv_bn(x, width, 3, stride, groups=groups, act="", name="conv_kxk"))
            if stride == 1 and x.channels == width:
                y = b.add(y, b.batch_norm(x, name="identity"), name="add_identity")
        if self.squeeze:
            y = channel_attention(b, y, "se", ratio=self.squeeze, divisor=1)
        return b.act(y)
