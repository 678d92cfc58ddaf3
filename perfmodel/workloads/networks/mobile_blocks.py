"""The blocks of mobile networks: convolution, depthwise separable, inverted residual and its kin, mobile attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from perfmodel import ops
from perfmodel.ops.conv import HALF
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.networks.mobile_stages import Item, divisible


@dataclass(frozen=True)
class Style:
    """What all blocks of a network share.

    ``norm`` is "batch", "layer", "rms", or "groupN"/"evoN" of groups of N channels. ``padding`` "same" is TensorFlow's:
    a strided convolution's input is padded first, a pass of its own. ``blur`` is what strides instead of a convolution:
    "avg" (a mean) or "blur" (a fixed depthwise 3x3). Widths inside blocks are multiples of ``mid_divisor``.
    """

    act: str = "relu"
    norm: str = "batch"
    padding: str = ""
    blur: str = ""
    se: str = "se"
    se_act: str = ""
    se_gate: str = "sigmoid"
    se_divisor: int = 0
    se_expanded: bool = False
    round_limit: float = 0.9
    layer_scale: bool = False
    group: int = 0
    mid_divisor: int = 8


def norm_act(b: Builder, style: Style, x: Value, act: str, name: str = "bn") -> Value:
    """Add the style's norm and an activation ("" for none)."""
    kind, size = style.norm.rstrip("0123456789"), style.norm.lstrip("abcdefghijklmnopqrstuvwxyz")
    if kind == "batch":
        x = b.batch_norm(x, name=name)
    elif kind == "layer":
        x = b.layer_norm(x, channels_first=True, name=name)
    elif kind == "rms":
        operator = ops.RmsNorm(prod(x.shape[1:], start=1), x.channels)
        x = b.node(name, operator, (x,), x.shape, x.channels)
    elif kind == "group":
        x = b.group_norm(x, x.channels // int(size), name=name)
    elif kind == "evo":
        groups = x.channels // int(size)
        operator = ops.GroupNorm(groups, prod(x.shape, start=1) // groups)
        return b.node(name, operator, (x,), x.shape, (3 if act else 2) * x.channels, kind="evonorm")
    else:
        raise ValueError(f"norm '{style.norm}' is none of batch, layer, rms, groupN and evoN")
    return b.act(x, act, name=f"{name}_act") if act else x


def conv(
    b: Builder, style: Style, x: Value, channels: int, kernels: Sequence[int] = (1,), stride: int = 1, *,
    groups: int = 1, bias: bool = False, mix: Value | None = None, experts: int = 0, name: str = "conv",
) -> Value:  # fmt: skip
    """Add a convolution; several kernels share the channels, ``mix`` mixes kernels of ``experts``."""
    if len(kernels) > 1:
        ins, outs = _shares(int(x.channels), len(kernels)), _shares(channels, len(kernels))
        parts = b.split(x, ins, name=f"{name}_split")
        done = [
            conv(b, style, part, out, (k,), stride, groups=part.channels if groups > 1 else 1, name=f"{name}.{i}")
            for i, (part, out, k) in enumerate(zip(parts, outs, kernels, strict=True))
        ]
        return b.concat(done, name=f"{name}_concat")
    kernel = kernels[0]
    padding = 0 if style.padding == "valid" else style.padding or None
    if padding == "same" and (stride > 1 or kernel % 2 == 0):
        x, padding = _pad_same(b, x, kernel, stride, name), 0
    if mix is None:
        return b.conv(x, channels, kernel, stride, padding, groups=groups, bias=bias, name=name)
    edges = 0 if padding == 0 else kernel - 1
    operator = _plain_conv(x, groups, channels, kernel, stride, edges)
    count = operator.weights
    mixed = b.node(f"{name}_experts", ops.Linear(1, count, experts, HALF), (mix,), (count,), experts * count)
    return b.node(name, operator, (x, mixed), (channels, *_positions(operator)))


def _plain_conv(x: Value, groups: int, channels: int, kernel: int, stride: int, edges: int) -> ops.Conv:
    """Return a convolution of an image, padded by ``edges`` on both ends together."""
    _, height, width = x.shape
    return ops.Conv(
        1, groups, x.channels // groups, channels // groups, height, width, kernel=(1, kernel, kernel),
        stride=(1, stride, stride), padding=(0, edges, edges),
    )  # fmt: skip


def _positions(operator: ops.Conv) -> tuple[int, int]:
    _, height, width = operator.sides()
    return int(height), int(width)


def _shares(channels: int, parts: int) -> list[int]:
    """Return equal shares of channels, the rest to the first."""
    return [channels // parts + (channels % parts if i == 0 else 0) for i in range(parts)]


def _pad_same(b: Builder, x: Value, kernel: int, stride: int, name: str) -> Value:
    sides = [int(n) + max((-(-int(n) // stride) - 1) * stride + kernel - int(n), 0) for n in x.shape[1:]]
    if tuple(sides) == tuple(x.shape[1:]):
        return x
    return b.copy(x, (x.channels, *sides), name=f"{name}_pad")


def strided(
    b: Builder, style: Style, x: Value, channels: int, kernels: Sequence[int], stride: int, act: str, *,
    groups: int = 1, mix: Value | None = None, experts: int = 0, blurs: bool = True, name: str,
) -> Value:  # fmt: skip
    """Add a convolution, its norm and activation, and what strides behind them where the style blurs."""
    blur = style.blur if stride > 1 and blurs else ""
    y = conv(b, style, x, channels, kernels, 1 if blur else stride, groups=groups, mix=mix, experts=experts, name=name)
    y = norm_act(b, style, y, act, name=f"{name}_bn")
    if blur == "avg":
        return b.avg_pool(y, 2, 2, name=f"{name}_blur")
    if blur:
        y = b.copy(y, (y.channels, y.shape[1] + 2, y.shape[2] + 2), name=f"{name}_blur_pad")
        operator = _plain_conv(y, int(y.channels), int(y.channels), 3, 2, 0)
        return b.node(f"{name}_blur", operator, (y,), (y.channels, *_positions(operator)), kind="blur")
    return y


def squeeze(b: Builder, style: Style, x: Value, item: Item, expand: float, act: str, scale: float = 1.0) -> Value:
    """Add the block's squeeze-and-excitation, of its input's width or the expanded one."""
    if item.squeezed:
        return b.squeeze_excite(x, item.squeezed, act=style.se_act or act, gate=style.se_gate)
    if not item.squeeze:
        return x
    wanted = x.channels * item.squeeze / (1.0 if style.se_expanded else expand) / scale
    if style.se == "gc":
        return _global_context(b, x, int(wanted + 0.5), act)
    reduced = divisible(wanted, style.se_divisor, style.round_limit) if style.se_divisor else round(wanted)
    return b.squeeze_excite(x, reduced, act=style.se_act or act, gate=style.se_gate)


def _global_context(b: Builder, x: Value, reduced: int, act: str) -> Value:
    positions = prod(x.shape[1:], start=1)
    with b.scope("gc"):
        weights = b.view(b.conv(x, 1, name="attn"), (1, positions))
        weights = b.softmax(weights)
        y = b.matmul(x, weights, (x.channels, 1, 1), batch=1, m=x.channels, n=1, k=positions, name="context")
        y = b.act(b.layer_norm(b.conv(y, reduced, name="fc1"), channels_first=True), act)
        return b.scale(x, b.act(b.conv(y, x.channels, name="fc2"), "sigmoid", name="gate"))


def groups_of(size: int, channels: int) -> int:
    """Return the number of groups of ``size`` channels each (0: one group)."""
    return channels // size if size else 1


def plain_conv(b: Builder, style: Style, x: Value, item: Item, out: int) -> Value:
    """Add a "cn" block."""
    groups = groups_of(item.group or style.group, int(x.channels))
    y = strided(b, style, x, out, item.kernels, item.stride, item.act or style.act, groups=groups, name="conv")
    return b.add(y, x) if item.skip and y.shape == x.shape else y


def separable(b: Builder, style: Style, x: Value, item: Item, out: int) -> Value:
    """Add a "ds" or "dsa" block: depthwise, squeeze, pointwise."""
    act, kernels, narrowed, shortcut = item.act or style.act, item.kernels, 1.0, x
    if item.s2d:
        x, kernels, narrowed = _to_depth(b, style, x, act), tuple((k + 1) // 2 for k in kernels), 4.0
    groups = groups_of(item.group or style.group or 1, int(x.channels))
    inner = replace(style, padding="same") if item.s2d and kernels[0] == 2 else style
    y = strided(
        b, inner, x, int(x.channels), kernels, item.stride, act, groups=groups, blurs=not item.s2d, name="conv_dw"
    )
    y = squeeze(b, style, y, item, 1.0, act, narrowed)
    y = conv(b, style, y, out, item.end or (1,), name="conv_pw")
    y = norm_act(b, style, y, act if item.kind == "dsa" else "", name="conv_pw_bn")
    return b.add(y, shortcut) if item.skip and item.stride == 1 and out == shortcut.channels else y


def _to_depth(b: Builder, style: Style, x: Value, act: str) -> Value:
    same = replace(style, padding="same")
    y = conv(b, same, x, int(x.channels) * 4, (2,), 2, name="conv_s2d")
    return norm_act(b, style, y, act, name="conv_s2d_bn")


def inverted(b: Builder, style: Style, x: Value, item: Item, out: int) -> Value:
    """Add an "ir" block: pointwise expansion, depthwise, squeeze, pointwise projection."""
    act, mix, experts = item.act or style.act, None, item.experts
    if experts:
        mix = b.act(b.linear(b.global_pool(x, name="routing_pool"), experts, name="routing"), "sigmoid")
    mid = item.expanded(int(x.channels), style.mid_divisor)
    y = conv(b, style, x, mid, item.start or (1,), mix=mix, experts=experts, name="conv_pw")
    y = norm_act(b, style, y, act, name="conv_pw_bn")
    groups = groups_of(item.group or style.group or 1, mid)
    y = strided(
        b, style, y, mid, item.kernels, item.stride, act, groups=groups, mix=mix, experts=experts, name="conv_dw"
    )
    y = squeeze(b, style, y, item, item.expand, act)
    y = conv(b, style, y, out, item.end or (1,), mix=mix, experts=experts, name="conv_pwl")
    y = norm_act(b, style, y, "", name="conv_pwl_bn")
    return b.add(y, x) if item.skip and y.shape == x.shape and item.stride == 1 else y


def fused_inverted(b: Builder, style: Style, x: Value, item: Item, out: int) -> Value:
    """Add an "er" block: one expanding convolution, squeeze, pointwise projection."""
    act = item.act or style.act
    mid = item.expanded(int(x.channels), style.mid_divisor)
    groups = groups_of(item.group or style.group, mid)
    inner = replace(style, padding="valid") if item.valid else style
    y = strided(b, inner, x, mid, item.kernels, item.stride, act, groups=groups, name="conv_exp")
    y = squeeze(b, style, y, item, item.expand, act)
    y = conv(b, style, y, out, item.end or (1,), name="conv_pwl")
    y = norm_act(b, style, y, "", name="conv_pwl_bn")
    return b.add(y, x) if item.skip and y.shape == x.shape and item.stride == 1 else y


def universal(b: Builder, style: Style, x: Value, item: Item, out: int) -> Value:
    """Add a "ui" block: pointwise expansion and projection, a depthwise convolution before, between or after."""
    act, size = item.act or style.act, item.group or style.group or 1
    first = item.stride if not item.kernels else 1
    last = item.stride if not item.kernels and not item.start else 1
    y, mid = x, item.expanded(int(x.channels), style.mid_divisor)
    if item.start:
        groups = groups_of(size, int(x.channels))
        y = strided(b, style, y, int(x.channels), item.start, first, "", groups=groups, name="dw_start")
    y = norm_act(b, style, conv(b, style, y, mid, name="pw_exp"), act, name="pw_exp_bn")
    if item.kernels:
        groups = groups_of(size, mid)
        y = strided(b, style, y, mid, item.kernels, item.stride, act, groups=groups, name="dw_mid")
    y = squeeze(b, style, y, item, item.expand, act)
    y = norm_act(b, style, conv(b, style, y, out, name="pw_proj"), "", name="pw_proj_bn")
    if item.end:
        y = strided(b, style, y, out, item.end, last, "", groups=groups_of(size, out), blurs=False, name="dw_end")
    if style.layer_scale:
        y = b.scale(y, parameters=out, name="layer_scale")
    return b.add(y, x) if item.skip and y.shape == x.shape and item.stride == 1 else y


def attention(b: Builder, style: Style, x: Value, item: Item, out: int) -> Value:
    """Add an "mq" block: every head has its queries, all share keys and values, of a reduced image perhaps."""
    inner, tokens = item.heads * item.head_dim, prod(x.shape[1:], start=1)
    y = norm_act(b, style, x, "", name="norm")
    query = b.conv(y, inner, bias=False, name="query")
    key, value = (_reduced(b, style, y, item, name) for name in ("key", "value"))
    mixed = b.attend(
        (query, key, value), (inner, *x.shape[1:]), heads=item.heads, head_dim=item.head_dim, q_tokens=tokens,
        kv_tokens=prod(key.shape[1:], start=1), kv_heads=1,
    )  # fmt: skip
    y = b.conv(mixed, out, bias=False, name="proj")
    if style.layer_scale:
        y = b.scale(y, parameters=out, name="layer_scale")
    return b.add(y, x) if item.skip and y.shape == x.shape else y


def _reduced(b: Builder, style: Style, x: Value, item: Item, name: str) -> Value:
    if item.kv_stride > 1:
        groups = int(x.channels)
        x = conv(b, style, x, groups, item.kernels, item.kv_stride, groups=groups, name=f"{name}_down")
        x = norm_act(b, style, x, "", name=f"{name}_norm")
    return b.conv(x, item.head_dim, bias=False, name=name)


BLOCKS = {
    "cn": plain_conv, "ds": separable, "dsa": separable, "ir": inverted, "er": fused_inverted, "ui": universal,
    "mq": attention,
}  # fmt: skip
"""The function that adds a block of each kind: ``(builder, style, input, item, channels out)``."""
