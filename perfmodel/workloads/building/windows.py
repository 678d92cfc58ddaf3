"""Convolutions, pooling and resizing: layers whose windows slide over an image."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.errors import SpecError
from perfmodel.numeric import Number
from perfmodel.workloads.building.nodes import NodeBuilder, Value
from perfmodel.workloads.building.sizes import Sizes, pool_side, same_padding, sides_of, three_sizes, whole


class Windows(NodeBuilder):
    """Layers whose windows slide over (channels, [frames,] height, width)."""

    def conv(
        self,
        x: Value,
        channels: Number,
        kernel: Sizes = 1,
        stride: Sizes = 1,
        padding: Sizes | str | None = None,
        *,
        groups: Number = 1,
        dilation: Sizes = 1,
        bias: bool = True,
        parameters: Number = 0,
        name: str = "conv",
    ) -> Value:
        """Add a convolution. ``padding`` of each end: None keeps the size at stride 1, "same" is TensorFlow's.

        ``parameters``: learned numbers besides weights and bias, such as gains of standardised weights.
        """
        fields = self._window(x, kernel, stride, padding, dilation)
        whole = all(isinstance(number, int) for number in (groups, x.channels, channels))
        if whole and (groups < 1 or x.channels % groups or channels % groups):
            raise SpecError(f"{self.name}: '{name}': {groups} groups do not divide {x.channels} to {channels} channels")
        op = ops.Conv(1, groups, x.channels // groups, channels // groups, *fields)
        return self._convolved(x, op, channels, bias, name, extra=parameters)

    def conv_transpose(
        self,
        x: Value,
        channels: Number,
        kernel: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        *,
        output_padding: Sizes = 0,
        groups: Number = 1,
        bias: bool = True,
        name: str = "conv_transpose",
    ) -> Value:
        """Add a transposed convolution."""
        fields = self._window(x, kernel, stride, padding, 1)
        extra = three_sizes(output_padding, len(x.shape) - 1, 0)
        op = ops.TransposedConv(
            1, groups, x.channels // groups, channels // groups, *fields, output_padding=extra
        )  # fmt: skip
        return self._convolved(x, op, channels, bias, name)

    def deform_conv(
        self, x: Value, offsets: Value, channels: Number, kernel: Sizes = 3, stride: Sizes = 1, padding: Sizes = 1,
        *, groups: Number = 1, offset_groups: int = 1, masked: bool = True, bias: bool = True, name: str = "deform",
    ) -> Value:  # fmt: skip
        """Add a deformable convolution; ``offsets`` is what the convolution that predicts them leaves."""
        fields = self._window(x, kernel, stride, padding, 1)
        op = ops.DeformableConv(
            1, groups, x.channels // groups, channels // groups, *fields, offset_groups=offset_groups, masked=masked
        )
        return self._convolved(x, op, channels, bias, name, offsets)

    def _window(
        self, x: Value, kernel: Sizes, stride: Sizes, padding: Sizes | str | None, dilation: Sizes
    ) -> tuple[Any, ...]:
        """Return the fields of a convolution that say where its windows lie, from height on."""
        sides = len(x.shape) - 1
        k, s, d = three_sizes(kernel, sides, 1), three_sizes(stride, sides, 1), three_sizes(dilation, sides, 1)
        t, h, w = sides_of(x.shape)
        if padding == "same":
            p = tuple(same_padding(n, k[i], s[i], d[i]) for i, n in enumerate((t, h, w)))
        elif padding is None or isinstance(padding, str):
            p = tuple(d[i] * (k[i] - 1) for i in range(3))
        else:
            p = tuple(2 * n for n in three_sizes(padding, sides, 0))
        return h, w, t, k, s, p, d

    def _convolved(
        self, x: Value, op: ops.Operator, channels: Number, bias: bool, name: str, *more: Value, extra: Number = 0
    ) -> Value:  # fmt: skip
        assert isinstance(op, (ops.Conv, ops.TransposedConv, ops.DeformableConv))
        sides = tuple(whole(n) for n in op.sides())
        shape = (channels, *sides[4 - len(x.shape) :])
        if any(isinstance(n, int) and n < 1 for n in shape):
            raise SpecError(f"{self.name}: '{name}' leaves nothing of an input of {x.shape}; is the image too small?")
        return self.node(name, op, (x, *more), shape, op.weights + (channels if bias else 0) + extra)

    def max_pool(
        self, x: Value, kernel: Sizes, stride: Sizes | None = None, padding: Sizes | str = 0, *, ceil: bool = False,
        name: str = "pool",
    ) -> Value:  # fmt: skip
        """Add a maximum over windows (``ceil``: a last window that hangs over the edge counts too)."""
        return self._pooled(x, kernel, stride, padding, ceil, name)

    avg_pool = max_pool

    def _pooled(
        self, x: Value, kernel: Sizes, stride: Sizes | None, padding: Sizes | str, ceil: bool, name: str
    ) -> Value:  # fmt: skip
        sides = len(x.shape) - 1
        k = three_sizes(kernel, sides, 1)
        s = k if stride is None else three_sizes(stride, sides, 1)
        sizes = sides_of(x.shape)
        if isinstance(padding, str):
            p = tuple(same_padding(n, k[i], s[i], 1) for i, n in enumerate(sizes))
        else:
            p = tuple(2 * n for n in three_sizes(padding, sides, 0))
        out = tuple(pool_side(n, k[i], s[i], p[i], ceil) for i, n in enumerate(sizes))
        if any(isinstance(n, int) and n < 1 for n in out):
            raise SpecError(f"{self.name}: '{name}' leaves nothing of an input of {x.shape}; is the image too small?")
        op = ops.Pool(1, x.channels, prod(sizes, start=1), prod(out, start=1), prod(k))
        return self.node(name, op, (x,), (x.channels, *out[-sides:]))

    def blur_pool(self, x: Value, stride: int = 2, *, taps: int = 3, name: str = "blur") -> Value:
        """Add a depthwise convolution with a fixed binomial kernel, against aliasing (Zhang 2019, arXiv 1904.11486)."""
        fields = self._window(x, taps, stride, (stride + taps - 2) // 2, 1)
        op = ops.Conv(1, x.channels, 1, 1, *fields)
        _, height, width = (whole(n) for n in op.sides())
        return self.node(name, op, (x,), (x.channels, height, width))

    def global_pool(self, x: Value, *, keep: bool = False, name: str = "pool") -> Value:
        """Add the mean over all positions: a vector of the channels (``keep``: an image of one position)."""
        positions = prod(x.shape[1:], start=1)
        shape = (x.channels, *(1 for _ in x.shape[1:])) if keep else (x.channels,)
        return self.node(name, ops.Pool(1, x.channels, positions, 1, positions), (x,), shape)

    def token_pool(self, x: Value, *, name: str = "pool") -> Value:
        """Add the mean over tokens: a vector of the width."""
        tokens = prod(x.shape[:-1], start=1)
        return self.node(name, ops.Pool(1, x.width, tokens, 1, tokens), (x,), (x.width,))

    def adaptive_pool(self, x: Value, size: Sizes, *, name: str = "pool") -> Value:
        """Add a mean over as many windows as give ``size`` positions a side."""
        out = three_sizes(size, len(x.shape) - 1, 1)
        inputs, outputs = prod(x.shape[1:], start=1), prod(out)
        op = ops.Pool(1, x.channels, inputs, outputs, max(1, inputs // outputs))
        return self.node(name, op, (x,), (x.channels, *out[-(len(x.shape) - 1) :]))

    def resize(self, x: Value, size: Sizes, mode: str = "bilinear", *, name: str = "resize") -> Value:
        """Add an interpolation to ``size``: nearest, bilinear or bicubic."""
        out = three_sizes(size, len(x.shape) - 1, 1)
        taps = {"nearest": 1, "bilinear": 4, "bicubic": 16}[mode]
        op = ops.Resize(1, x.channels, prod(x.shape[1:], start=1), prod(out), taps)
        return self.node(name, op, (x,), (x.channels, *out[-(len(x.shape) - 1) :]))
