"""Residual networks of chosen blocks: GENet, ResNet of timm's "ts" and "q", RegNetZ, CLIP's ResNet, BoTNet, HaloNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.byobnet_blocks import Blocks
from perfmodel.workloads.networks.normed import conv_norm, divisible, normalise
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import add_head
from perfmodel.workloads.networks.spatial_attention import SpatialAttention

_HEAD_DIM = 64


@family("byobnet")
def byobnet(
    name: str, depths: Sequence[int], widths: Sequence[int], *,
    kinds: str | Sequence[str] = "bottle", strides: Sequence[int] = (), group_widths: int | Sequence[int] = 0,
    ratios: float | Sequence[float] = 0.25, width_factor: float = 1.0,
    stem: Sequence[int] = (24, 32, 64), stem_kernel: int = 3, stem_pool: str = "max", stem_bare: int = 0,
    shortcut: str = "conv", wide_in: bool = False, linear_out: bool = False, extra_conv: bool = False,
    attention: str = "", attention_fields: Mapping[str, float] | None = None,
    attend: Sequence[Sequence[int]] = (), spatial: str | Sequence[str] = "",
    spatial_fields: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
    act: str = "relu", norm: str = "batch", antialias: str = "",
    features: int = 0, head: str = "mean", head_hidden: int = 0, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a residual network whose stages are lists of blocks; a field is one for all stages or one a stage.

    ``kinds``: "bottle" (1x1, 3x3, 1x1), "basic" (3x3, 3x3), "edge" (3x3, 1x1) or "dark" (1x1, 3x3); ``ratios``: their
    inner width, of what they read if ``wide_in``; ``group_widths`` 0: no groups. ``strides``: 1 and then 2, if empty.
    ``stem``: widths of its convolutions, of which the first ``stem_bare`` have no norm; ``stem_pool`` "max", "avg"
    (2x2) or "" (the last convolution has a stride). ``shortcut`` "conv", "avg" or "none". ``attention``:
    :func:`.channel_attention.channel_attention`. ``attend``: the blocks of each stage that have the attention over
    positions ``spatial`` for their 3x3 (:class:`.spatial_attention.SpatialAttention`). ``head``: "mean", "mlp" (norm
    and a layer of ``head_hidden``) or "attention" (CLIP's). ``features``: of a last 1x1 convolution, if any.

    Source: timm models/byobnet.py and byoanet.py; GENet (arXiv 2006.14090); CLIP (arXiv 2103.00020), section 2.4.
    """
    b = Builder(name, "byobnet", (3, image, image))
    count = len(depths)
    blocks = Blocks(shortcut, wide_in, linear_out, extra_conv, attention, attention_fields or {}, act, norm, antialias)
    x = _stem(b, [round(w * width_factor) for w in stem], stem_kernel, stem_pool, stem_bare, act, norm)
    kind, group, ratio = (_each(v, count) for v in (kinds, group_widths, ratios))
    places, where = _each(spatial, count), _each(spatial_fields or {}, count)
    steps = strides or (1, *(2,) * (count - 1))
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        mixer = SpatialAttention.of(places[stage], where[stage]) if places[stage] else None
        for index in range(depth):
            mixed = mixer if attend and index in attend[stage] else None
            out, stride = divisible(width * width_factor), 1 if index else steps[stage]
            with b.block(f"stages.{stage}.{index}"):
                x = blocks.add(b, x, "attend" if mixed else kind[stage], out, stride, group[stage], ratio[stage], mixed)
    if features:
        x = conv_norm(b, x, round(width_factor * features), norm=norm, act=act, name="final_conv")
    return b.build(_head(b, x, head, head_hidden, act, classes))


def _each(value: Any, count: int) -> Sequence[Any]:
    """Return a field's value for each stage."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * count


def _stem(
    b: Builder, widths: Sequence[int], kernel: int, pool: str, bare: int, act: str, norm: str
) -> Value:  # fmt: skip
    x = b.input()
    with b.scope("stem"):
        for index, width in enumerate(widths):
            last = index == len(widths) - 1 and index > 0 and not pool
            stride = 2 if last or not index else 1
            if index < bare:
                x = b.conv(x, width, kernel, stride, bias=False, name=f"conv{index + 1}")
            else:
                x = conv_norm(b, x, width, kernel, stride, norm=norm, act=act, name=f"conv{index + 1}")
        if pool == "avg":
            return b.avg_pool(x, 2)
        return b.max_pool(x, 3, 2, 1) if pool else x


def _head(b: Builder, x: Value, kind: str, hidden: int, act: str, classes: int) -> Value:
    if kind == "mlp":
        with b.scope("head"):
            y = b.flatten(normalise(b, b.global_pool(x, keep=True), "batch", ""))
            return b.linear(b.act(b.linear(y, hidden, name="hidden"), act), classes, name="fc")
    return _attended(b, x, classes) if kind == "attention" else add_head(b, x, classes, name="head")


def _attended(b: Builder, x: Value, classes: int) -> Value:
    """Add CLIP's pooling: a mean as a token in front, attention of all tokens, the first one's class."""
    with b.scope("head"):
        mean = b.view(b.global_pool(x), (1, int(x.channels)))
        tokens = b.concat((mean, b.tokens(x)))
        count, width = int(tokens.shape[0]), int(tokens.width)
        tokens = b.learned(tokens, count * width)
        q, k, v = (b.linear(tokens, width, name=name) for name in "qkv")
        y = b.attend(
            (q, k, v), tokens.shape, heads=width // _HEAD_DIM, head_dim=_HEAD_DIM, q_tokens=count, name="attn"
        )  # fmt: skip
        return b.view(b.linear(y, classes, name="proj"), (classes,), name="first")
