"""Attention over positions that takes the place of a convolution in residual blocks: bottleneck, halo, lambda."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.networks.normed import divisible


@dataclass(frozen=True)
class SpatialAttention:
    """Which attention over positions, and its sizes.

    ``kind``: "bottleneck" (all positions, arXiv 2101.11605), "halo" (blocks of ``block`` positions a side that see
    ``halo`` around them, arXiv 2103.12731) or "lambda" (linear, with a position convolution of ``reach`` a side, or
    relative positions where it is 0, arXiv 2102.08602). ``heads`` 0: 8 for halo, else 4. ``head_dim`` of queries and
    keys: 16 for lambda, else 0 for ``qk_ratio`` of the channels. Source: timm layers (BottleneckAttn, HaloAttn,
    LambdaLayer). Omits: the shuffles that turn relative into absolute positions.
    """

    kind: str
    heads: int = 0
    head_dim: int = 0
    block: int = 8
    halo: int = 3
    reach: int = 9
    qk_ratio: float = 1.0

    @classmethod
    def of(cls, kind: str, fields: Mapping[str, Any]) -> SpatialAttention:
        """Return one of the kind with its own defaults where ``fields`` state nothing."""
        usual = {"heads": 8 if kind == "halo" else 4, "head_dim": 16 if kind == "lambda" else 0}
        return cls(kind, **{**usual, **fields})

    def add(self, b: Builder, x: Value, stride: int) -> Value:
        """Add it, with a mean over 2x2 positions where it has a stride that it cannot take otherwise."""
        with b.scope("self_attn"):
            if self.kind == "halo":
                return self._halo(b, x, stride)
            y = self._lambda(b, x) if self.kind == "lambda" else self._global(b, x)
            return b.avg_pool(y, 2, 2) if stride == 2 else y

    def _dims(self, channels: int) -> tuple[int, int]:
        """Return the width of a head's queries and keys, and of its values."""
        keys = self.head_dim or divisible(channels * self.qk_ratio) // self.heads
        return keys, channels // self.heads

    def _global(self, b: Builder, x: Value) -> Value:
        channels, height, width = int(x.channels), int(x.shape[1]), int(x.shape[2])
        keys, values = self._dims(channels)
        positions = height * width
        qkv = b.conv(x, self.heads * (2 * keys + values), bias=False, name="qkv")
        y = self._weights(b, qkv, qkv, positions, positions, 1, keys, (2 * height - 1, 2 * width - 1))
        return b.matmul(y, qkv, x.shape, batch=self.heads, m=positions, n=values, k=positions, name="values")

    def _weights(
        self, b: Builder, q: Value, k: Value, queries: int, seen: int, blocks: int, keys: int, spans: tuple[int, int]
    ) -> Value:
        """Add scores of queries and keys and of relative positions, and their softmax."""
        heads = self.heads * blocks
        shape = (heads, queries, seen)
        scores = b.matmul(q, k, shape, batch=heads, m=queries, n=seen, k=keys, name="scores")
        for side, span in zip(("height", "width"), spans, strict=True):
            full = (heads, queries, span)
            op = ops.BatchedMatmul(1, heads * queries, span, keys)
            relative = b.node(f"{side}_rel", op, (q,), full, span * keys)
            scores = b.add(scores, relative, name=f"{side}_bias")
        return b.softmax(scores)

    def _halo(self, b: Builder, x: Value, stride: int) -> Value:
        channels, height, width = int(x.channels), int(x.shape[1]), int(x.shape[2])
        if height % self.block or width % self.block:
            raise ValueError(f"blocks of {self.block} positions a side do not cover {height} by {width}")
        keys, values = self._dims(channels)
        pooled = stride > 1 and self.block % stride != 0
        step = 1 if pooled else stride
        side, window = self.block // step, self.block + 2 * self.halo
        blocks = (height // self.block) * (width // self.block)
        q = b.conv(x, self.heads * keys, 1, step, bias=False, name="q")
        kv = b.conv(x, self.heads * (keys + values), bias=False, name="kv")
        kv = b.copy(kv, (self.heads * (keys + values), blocks, window**2), name="windows")
        y = self._weights(b, q, kv, side**2, window**2, blocks, keys, (2 * window - 1, 2 * window - 1))
        left = (channels, height // step, width // step)
        y = b.matmul(y, kv, left, batch=self.heads * blocks, m=side**2, n=values, k=window**2, name="values")
        y = b.copy(y, name="unblock")
        return b.avg_pool(y, 2, 2) if pooled else y

    def _lambda(self, b: Builder, x: Value) -> Value:
        channels, height, width = int(x.channels), int(x.shape[1]), int(x.shape[2])
        keys, values = self._dims(channels)
        heads, positions = self.heads, height * width
        qkv = b.conv(x, heads * keys + keys + values, bias=False, name="qkv")
        q, k, v = b.split(qkv, (heads * keys, keys, values))
        q, v = b.batch_norm(q, name="norm_q"), b.batch_norm(v, name="norm_v")
        k = b.softmax(b.view(k, (keys, positions)))
        content = b.matmul(k, v, (keys, values), batch=1, m=keys, n=values, k=positions, name="content_lambda")
        y = b.matmul(q, content, x.shape, batch=heads, m=positions, n=values, k=keys, name="content")
        if self.reach:
            grid = b.view(v, (1, height, width, values))
            where = b.conv(grid, keys, (self.reach, self.reach, 1), name="position_lambda")
        else:
            count = (2 * height - 1) * (2 * width - 1) * keys
            table = b.learned(b.view(v, (values, positions)), count)
            shape = (positions, keys, values)
            where = b.matmul(table, v, shape, batch=positions, m=keys, n=values, k=positions, name="position_lambda")
        placed = b.matmul(q, where, x.shape, batch=heads * positions, m=1, n=values, k=keys, name="position")
        return b.add(y, placed)
