"""Residual networks without norms: NF-ResNet, NF-RegNet, NFNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.channel_attention import channel_attention
from perfmodel.workloads.networks.normed import divisible
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import add_head


@family("nfnet")
def nfnet(
    name: str,
    depths: Sequence[int],
    channels: Sequence[int] = (256, 512, 1536, 1536),
    *,
    stem: str = "quad",
    stem_width: int = 0,
    width_factor: float = 1.0,
    bottle_ratio: float = 0.5,
    group_width: int = 0,
    extra_conv: bool = False,
    regnet: bool = False,
    attention: str = "",
    attention_ratio: float | None = None,
    same_padding: bool = False,
    skip_gain: bool = False,
    features: int = 0,
    act: str = "silu",
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a network of activation, convolution with standardised and scaled weights, in that order.

    ``channels``: what the stages leave, times ``width_factor``. ``stem``: "quad" (four 3x3), "3x3", "7x7-pool";
    ``stem_width`` (the first stage's, if 0) is what it leaves. ``bottle_ratio``: a block's inner width; with
    ``regnet`` of its input, and attention inside it. ``group_width`` 0: no groups. ``extra_conv``: a second 3x3.
    ``same_padding`` (TensorFlow's) and ``skip_gain`` (a learned factor of each branch): DeepMind's NFNet.
    ``features``: of a last 1x1 convolution, if any.

    Source: Brock et al. 2021 (arXiv 2101.08692; NFNet: arXiv 2102.06171), section 4 and table 1; timm
    models/nfnet.py. Omits: the standardisation of weights, which can be done once.
    """
    b = Builder(name, "nfnet", (3, image, image))
    block = _Block(_Conv(same_padding), bottle_ratio, group_width, extra_conv, regnet, attention, attention_ratio,
                   skip_gain, act)  # fmt: skip
    width = divisible((stem_width or channels[0]) * width_factor)
    x = _stem(b, block.conv, width, stem, act)
    for stage, (depth, planes) in enumerate(zip(depths, channels, strict=True)):
        for index in range(depth):
            stride = 2 if not index and (stage or stem == "3x3") else 1
            with b.block(f"stages.{stage}.{index}"):
                x = block.add(b, x, divisible(planes * width_factor), stride, not (stage or index))
    if features:
        x = block.conv.add(b, x, divisible(width_factor * features), name="final_conv")
    return b.build(add_head(b, b.act(x, act, name="final_act"), classes, name="head"))


@dataclass(frozen=True)
class _Conv:
    """Convolutions whose weights are standardised: a bias and a gain for each channel that they leave."""

    same_padding: bool

    def add(
        self, b: Builder, x: Value, channels: int, kernel: int = 1, stride: int = 1, *, groups: int = 1,
        name: str = "conv",
    ) -> Value:  # fmt: skip
        padding = "same" if self.same_padding else None
        return b.conv(x, channels, kernel, stride, padding, groups=groups, parameters=channels, name=name)


def _stem(b: Builder, conv: _Conv, width: int, kind: str, act: str) -> Value:
    x = b.input()
    with b.scope("stem"):
        if kind == "quad":
            for index, (part, stride) in enumerate(((8, 2), (4, 1), (2, 1), (1, 2))):
                x = b.act(x, act) if index else x
                x = conv.add(b, x, width // part, 3, stride, name=f"conv{index + 1}")
            return x
        x = conv.add(b, x, width, int(kind[0]), 2)
        return b.max_pool(x, 3, 2, 1) if kind.endswith("pool") else x


@dataclass(frozen=True)
class _Block:
    conv: _Conv
    ratio: float
    group_width: int
    extra_conv: bool
    regnet: bool
    attention: str
    attention_ratio: float | None
    skip_gain: bool
    act: str

    def _inside(self, before: int, after: int, first: bool) -> tuple[int, int]:
        """Return the channels and groups inside."""
        inner = divisible(before * (1.0 if first else self.ratio)) if self.regnet else divisible(after * self.ratio)
        if not self.group_width:
            return inner, 1
        groups = inner // self.group_width
        return (self.group_width * groups if self.group_width % 8 == 0 else inner), groups

    def add(self, b: Builder, x: Value, channels: int, stride: int, first: bool) -> Value:
        inner, groups = self._inside(int(x.channels), channels, first)
        ready = b.scale(b.act(x, self.act, name="act1"), name="beta")
        past = x
        if stride > 1 or x.channels != channels:
            past = b.avg_pool(ready, 2, 2, ceil=True, name="downsample_pool") if stride > 1 else ready
            past = self.conv.add(b, past, channels, name="downsample")
        y = b.act(self.conv.add(b, ready, inner, name="conv1"), self.act, name="act2")
        y = self.conv.add(b, y, inner, 3, stride, groups=groups, name="conv2")
        if self.extra_conv:
            y = b.act(y, self.act, name="act2b")
            y = self.conv.add(b, y, inner, 3, groups=groups, name="conv2b")
        y = self._attended(b, y) if self.regnet else y
        y = self.conv.add(b, b.act(y, self.act, name="act3"), channels, name="conv3")
        y = y if self.regnet else self._attended(b, y)
        y = b.scale(y, parameters=1, name="skip_gain") if self.skip_gain else y
        return b.add(b.scale(y, name="alpha"), past)

    def _attended(self, b: Builder, y: Value) -> Value:
        if not self.attention:
            return y
        return b.scale(channel_attention(b, y, self.attention, ratio=self.attention_ratio), name="attn_gain")
