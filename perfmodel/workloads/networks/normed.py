"""Convolutions with a norm and an activation of any kind, and softened strides.

Shared by the families of residual networks; :meth:`perfmodel.workloads.building.Builder.conv_bn` is the plain case.
"""

from __future__ import annotations

from perfmodel import ops
from perfmodel.workloads.building import Builder, Sizes, Value

ACTIVATING = ("evonorm", "evonorm16", "frn")
"""Norms that are an activation as well, with one learned number a channel more where they act."""


def divisible(value: float, divisor: int = 8, *, least: int = 0, limit: float = 0.9) -> int:
    """Return the multiple of ``divisor`` next to ``value``, not below ``least`` (the divisor) nor ``limit*value``.

    Source: timm layers/helpers.py (make_divisible), after MobileNet's rule.
    """
    found = max(least or divisor, int(value + divisor / 2) // divisor * divisor)
    return found + divisor if found < limit * value else found


def normalise(b: Builder, x: Value, norm: str = "batch", act: str = "relu", *, name: str = "norm") -> Value:
    """Add a norm of an image and its activation (``act`` "" for none).

    ``norm``: "batch", "group" (32 groups), "group16" (groups of 16 channels), "layer" (over the channels of each
    position), "rms" (the same without mean and bias), "evonorm" (EvoNorm-S0, arXiv 2004.02967, of 32
    groups), "evonorm16" (groups of 16 channels) or "frn" (arXiv 1911.09737); the last three activate themselves.
    """
    if norm in ACTIVATING:
        groups = {"evonorm": 32, "evonorm16": int(x.channels) // 16, "frn": int(x.channels)}[norm]
        positions = x.shape[1] * x.shape[2]
        op = ops.GroupNorm(groups, x.channels * positions // groups)
        return b.node(name, op, (x,), x.shape, (3 if act else 2) * x.channels, norm)
    if norm == "batch":
        y = b.batch_norm(x, name=name)
    elif norm == "layer":
        y = b.layer_norm(x, channels_first=True, name=name)
    elif norm == "rms":
        positions = x.shape[1] * x.shape[2]
        y = b.node(name, ops.RmsNorm(positions, x.channels), (x,), x.shape, x.channels)
    else:
        groups = {"group": 32, "group16": int(x.channels) // 16}[norm]
        y = b.group_norm(x, groups, name=name)
    return b.act(y, act, name=f"{name}_act") if act else y


def conv_norm(
    b: Builder, x: Value, channels: int, kernel: Sizes = 1, stride: int = 1, padding: Sizes | str | None = None, *,
    groups: int = 1, dilation: int = 1, norm: str = "batch", act: str = "relu", antialias: str = "",
    name: str = "conv",
) -> Value:  # fmt: skip
    """Add a convolution without bias, its norm and activation; with ``antialias`` they run before the stride."""
    softened = bool(antialias) and stride > 1
    step = 1 if softened else stride
    y = b.conv(x, channels, kernel, step, padding, groups=groups, dilation=dilation, bias=False, name=name)
    y = normalise(b, y, norm, act, name=f"{name}_bn")
    return soften(b, y, antialias, stride, name=f"{name}_aa") if softened else y


def soften(b: Builder, x: Value, kind: str, stride: int = 2, *, name: str = "aa") -> Value:
    """Add a low pass with a stride: "blur", a fixed 3x3 filter of each channel (arXiv 1904.11486), or "avg" (2x2)."""
    if kind == "avg":
        return b.avg_pool(x, stride, name=name)
    channels, height, width = x.shape
    op = ops.Conv(1, channels, 1, 1, height, width, kernel=(1, 3, 3), stride=(1, stride, stride))
    _, h, w = op.sides()
    return b.node(name, op, (x,), (channels, int(h), int(w)), kind="blur")
