"""The blocks of the family byobnet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.networks.channel_attention import channel_attention
from perfmodel.workloads.networks.normed import conv_norm, divisible, normalise
from perfmodel.workloads.networks.spatial_attention import SpatialAttention


@dataclass(frozen=True)
class Blocks:
    """What all blocks of a network share; the fields are those of the family."""

    shortcut: str
    wide_in: bool
    linear_out: bool
    extra_conv: bool
    attention: str
    attention_fields: Mapping[str, Any]
    act: str
    norm: str
    antialias: str

    def add(
        self, b: Builder, x: Value, kind: str, width: int, stride: int, group: int, ratio: float,
        mixer: SpatialAttention | None,
    ) -> Value:  # fmt: skip
        """Add a block with its shortcut and the activation after the sum."""
        wide = self.wide_in and kind in ("bottle", "attend")
        inner = divisible((int(x.channels) if wide else width) * ratio)
        groups = inner // group if group else 1
        if mixer is not None:
            y = self._attending(b, x, width, stride, inner, groups, mixer)
        else:
            branch = {"bottle": self._bottle, "basic": self._basic, "edge": self._edge, "dark": self._dark}[kind]
            y = branch(b, x, width, stride, inner, groups)
        past = self._past(b, x, width, stride)
        y = y if past is None else b.add(y, past)
        return y if self.linear_out else b.act(y, self.act)

    def _conv(
        self, b: Builder, x: Value, width: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act: bool = True,
        name: str,
    ) -> Value:  # fmt: skip
        return conv_norm(
            b, x, width, kernel, stride, groups=groups, norm=self.norm, act=self.act if act else "",
            antialias=self.antialias, name=name,
        )  # fmt: skip

    def _past(self, b: Builder, x: Value, width: int, stride: int) -> Value | None:
        if stride == 1 and x.channels == width:
            return x
        if self.shortcut == "none":
            return None
        if self.shortcut == "avg" and stride > 1:
            x, stride = b.avg_pool(x, 2, stride, ceil=True, name="shortcut_pool"), 1
        return self._conv(b, x, width, 1, stride, act=False, name="shortcut")

    def _gated(self, b: Builder, y: Value) -> Value:
        return channel_attention(b, y, self.attention, **self.attention_fields, name="attn")

    def _bottle(self, b: Builder, x: Value, width: int, stride: int, inner: int, groups: int) -> Value:
        y = self._conv(b, x, inner, name="conv1_1x1")
        y = self._conv(b, y, inner, 3, stride, groups=groups, name="conv2_kxk")
        y = self._conv(b, y, inner, 3, groups=groups, name="conv2b_kxk") if self.extra_conv else y
        return self._conv(b, self._gated(b, y), width, act=False, name="conv3_1x1")

    def _basic(self, b: Builder, x: Value, width: int, stride: int, inner: int, groups: int) -> Value:
        y = self._conv(b, x, inner, 3, stride, name="conv1_kxk")
        return self._gated(b, self._conv(b, y, width, 3, groups=groups, act=False, name="conv2_kxk"))

    def _edge(self, b: Builder, x: Value, width: int, stride: int, inner: int, groups: int) -> Value:
        y = self._conv(b, x, inner, 3, stride, groups=groups, name="conv1_kxk")
        return self._conv(b, self._gated(b, y), width, act=False, name="conv2_1x1")

    def _dark(self, b: Builder, x: Value, width: int, stride: int, inner: int, groups: int) -> Value:
        y = self._conv(b, x, inner, name="conv1_1x1")
        return self._gated(b, self._conv(b, y, width, 3, stride, groups=groups, act=False, name="conv2_kxk"))

    def _attending(
        self, b: Builder, x: Value, width: int, stride: int, inner: int, groups: int, mixer: SpatialAttention
    ) -> Value:  # fmt: skip
        y = self._conv(b, x, inner, name="conv1_1x1")
        if self.extra_conv:
            y, stride = self._conv(b, y, inner, 3, stride, groups=groups, name="conv2_kxk"), 1
        y = normalise(b, mixer.add(b, y, stride), self.norm, self.act, name="post_attn")
        return self._conv(b, y, width, act=False, name="conv3_1x1")
