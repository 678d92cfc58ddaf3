"""Residual networks: ResNet and its tricks, Wide ResNet, ResNeXt, SE-ResNet, ECA-ResNet, ResNet-RS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.channel_attention import channel_attention
from perfmodel.workloads.networks.normed import conv_norm
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import Stage, Trunk, add_head, add_stages, add_stem, bottleneck_width
from perfmodel.workloads.networks.vit_tokens import sides


@family("resnet")
def resnet(
    name: str,
    depths: Sequence[int],
    *,
    block: str | Sequence[str] = "bottleneck",
    groups: int = 1,
    group_width: int = 64,
    widths: Sequence[int] = (64, 128, 256, 512),
    stem: Sequence[int] = (64,),
    stem_pool: str = "max",
    avg_down: bool = False,
    down_kernel: int = 1,
    reduce_first: int = 1,
    stride_on: str = "3x3",
    attention: str = "",
    attention_ratio: float | None = None,
    attention_divisor: int | None = None,
    antialias: str = "",
    norm: str = "batch",
    pruned: Sequence[Sequence[int]] = (),
    strides: Sequence[int] = (1, 2, 2, 2),
    dilations: Sequence[int] = (1, 1, 1, 1),
    image: int | Sequence[int] = 224,
    classes: int = 1000,
) -> Network:
    """Return a residual network: stem, stages of ``depths`` blocks, mean and classifier.

    ``block`` is "basic" (two 3x3) or "bottleneck" (1x1, 3x3, 1x1 times four), one or one a stage. ``group_width`` is
    the width of a group at 64 of the stages' planes (``widths``), ``reduce_first`` divides what the first convolution
    leaves, ``stride_on`` ("3x3" or "1x1") is a bottleneck's convolution that has the stride. ``stem``, ``stem_pool``,
    ``avg_down``, ``down_kernel``, ``antialias``: :class:`.residual.Trunk`. ``attention*``:
    :func:`.channel_attention.channel_attention`. ``norm``: :func:`.normed.normalise`. ``pruned``: the channels of each
    block's convolutions where they were pruned. ``strides`` and ``dilations`` are the stages'; the first block of a
    stage has the dilation of the stage before.

    Source: He et al. 2015 (arXiv 1512.03385), table 1; ResNeXt (arXiv 1611.05431); Wide ResNet (arXiv 1605.07146);
    SENet (arXiv 1709.01507); bag of tricks (arXiv 1812.01187); ResNet-RS (arXiv 2103.07579); torchvision
    models/resnet.py; timm models/resnet.py and senet.py.
    """
    b = Builder(name, "resnet", (3, *sides(image)))
    trunk = Trunk(stem, stem_pool, avg_down, down_kernel, antialias, norm)
    kinds = (block,) * len(depths) if isinstance(block, str) else tuple(block)
    inside = (groups, group_width, reduce_first, stride_on, attention, attention_ratio, attention_divisor)
    stages: list[Stage] = []
    for number, (depth, planes, kind) in enumerate(zip(depths, widths, kinds, strict=True)):
        kept = pruned[sum(depths[:number]) :][:depth]
        left = kept[0][-1] if kept else planes * (4 if kind == "bottleneck" else 1)
        spread = (dilations[max(number - 1, 0)], dilations[number])
        branch = _Residual(kind, *inside, antialias, norm, kept, spread)
        stages.append(Stage(depth, planes, left, branch, strides[number]))
    x = add_stages(b, add_stem(b, b.input(), trunk), stages, trunk)[-1]
    return b.build(add_head(b, x, classes))


@dataclass(frozen=True)
class _Residual:
    """The residual branch of a basic or bottleneck block; the fields are those of :func:`resnet`."""

    kind: str
    groups: int
    group_width: int
    reduce_first: int
    stride_on: str
    attention: str
    ratio: float | None
    divisor: int | None
    antialias: str
    norm: str
    pruned: Sequence[Sequence[int]]
    dilations: tuple[int, int]

    def __call__(self, b: Builder, x: Value, planes: int, stride: int, index: int) -> Value:
        norm, soft, spread = self.norm, self.antialias, self.dilations[min(index, 1)]
        inner = bottleneck_width(planes, self.groups, self.group_width)
        left = planes if self.kind == "basic" else 4 * planes
        if self.kind == "basic":
            y = conv_norm(b, x, planes // self.reduce_first, 3, stride, dilation=spread, norm=norm, antialias=soft,
                          name="conv1")  # fmt: skip
            y = conv_norm(b, y, left, 3, dilation=self.dilations[1], norm=norm, act="", name="conv2")
        else:
            first, second, third = self.pruned[index] if self.pruned else (inner // self.reduce_first, inner, left)
            early = stride if self.stride_on == "1x1" else 1
            y = conv_norm(b, x, first, 1, early, norm=norm, name="conv1")
            y = conv_norm(b, y, second, 3, stride // early, groups=self.groups, dilation=spread, norm=norm,
                          antialias=soft, name="conv2")  # fmt: skip
            y = conv_norm(b, y, third, norm=norm, act="", name="conv3")
        return channel_attention(b, y, self.attention, ratio=self.ratio, divisor=self.divisor, whole=left)
