"""CoAtNet, MaxViT and MaxxViT: stages of inverted bottlenecks and of attention over all, windows and grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network, Shape
from perfmodel.workloads.networks.maxxvit_conv import ConvStyle, conv_block, downsample, normed
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import position_mlp, scaled
from perfmodel.workloads.networks.vit_tokens import classifier, one_of
from perfmodel.workloads.networks.window_blocks import Grid, partition, restore, whole_windows


@dataclass(frozen=True)
class AttentionStyle:
    """How attention is built, with heads of 32; ``norm`` is "layer" or "batch".

    ``relative`` biases scores: "table", "mlp" (two layers, the first ``relative_width`` wide) or "lookup" (a table that
    one-hot products spread). ``expand_late``: a stage's first block attends with the width of its input.
    """

    window: Grid = (7, 7)
    relative: str = "table"
    relative_width: int = 512
    norm: str = "layer"
    expand_late: bool = False
    shortcut_bias: bool = True
    layer_scale: bool = False
    windows: bool = True
    act: str = "gelu"
    pool: str = "avg2"


@family("maxxvit")
def maxxvit(
    name: str, widths: Sequence[int], depths: Sequence[int], *, blocks: Sequence[str] = ("M", "M", "M", "M"),
    stem: Sequence[int] = (64, 64), stem_bias: str = "", conv: str = "mbconv", act: str = "gelu", padding: str = "",
    from_input: bool = False, act_first: bool = False, bias: bool = True, stride: str = "dw", pool: str = "avg2",
    squeeze: float = 0.25, squeeze_early: bool = False, project: bool = False, relative: str = "table",
    relative_width: int = 512, attention_norm: str = "layer", expand_late: bool = False, shortcut_bias: bool = True,
    layer_scale: bool = False, windows: bool = True, window: int = 0, head: int = 0, head_bias: bool = True,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a network of convolution and attention: a stem of two convolutions and stages that halve the side.

    ``blocks`` has letters for each stage, of which the last repeats: "C" convolution, "T" attention over all positions,
    "M" convolution, then attention in windows (unless ``windows`` is off), then on a grid, "P" two convolutions, then
    both side by side. ``stem_bias`` is "", "both" or "second"; ``conv`` to ``project`` are as in :class:`ConvStyle`,
    ``relative`` to ``windows`` as in :class:`AttentionStyle`; ``window`` 0 is a 32nd of the image; ``head`` is the
    width of a layer before the classifier. Source: CoAtNet (arXiv 2106.04803), table 3; MaxViT (arXiv 2204.01697),
    table 1; timm models/maxxvit.py; torchvision models/maxvit.py.
    """
    one_of("conv", conv, "mbconv", "convnext")
    one_of("relative", relative, "table", "mlp", "lookup")
    convs = ConvStyle(
        conv, act, padding or None, from_input, act_first, bias, stride, pool, squeeze, squeeze_early, project
    )
    attention = AttentionStyle(
        ((window or image // 32),) * 2, relative, relative_width, attention_norm, expand_late, shortcut_bias,
        layer_scale, windows, pool=pool,
    )  # fmt: skip
    b = Builder(name, "maxxvit", (3, image, image))
    x = _stem(b, stem, stem_bias, convs)
    for stage, (width, depth, letters) in enumerate(zip(widths, depths, blocks, strict=True)):
        for index in range(depth):
            with b.block(f"stages.{stage}.blocks.{index}"):
                letter = letters[min(index, len(letters) - 1)]
                x = _block(b, x, width, 2 if index == 0 else 1, letter, convs, attention)
    if not head:
        x = normed(b, x, attention_norm)
        return b.build(classifier(b, b.global_pool(x), classes, bias=head_bias))
    x = b.layer_norm(b.global_pool(x), name="head_norm")
    x = b.act(b.linear(x, head, name="pre_logits"), "tanh")
    return b.build(classifier(b, x, classes, bias=head_bias))


def _stem(b: Builder, widths: Sequence[int], bias: str, style: ConvStyle) -> Value:
    with b.scope("stem"):
        x = b.conv(b.input(), widths[0], 3, 2, style.padding, bias=bias == "both", name="conv1")
        x = normed(b, x, "batch" if style.kind == "mbconv" else "layer", style.act)
        return b.conv(x, widths[1], 3, 1, style.padding, bias=bias != "", name="conv2")


def _block(
    b: Builder, x: Value, width: int, stride: int, letter: str, convs: ConvStyle, style: AttentionStyle
) -> Value:  # fmt: skip
    if letter == "T":
        return _global_block(b, x, width, stride, style)
    x = conv_block(b, x, width, stride, convs)
    if letter == "C":
        return x
    if letter == "P":
        x = conv_block(b, x, width, 1, convs)
    grid = (int(x.shape[1]), int(x.shape[2]))
    x = b.tokens(b.copy(x, name="channels_last"))
    if letter == "P":
        x = _partitioned(b, x, grid, style, ("attn_block", "attn_grid"))
    else:
        for name in ("attn_block", "attn_grid") if style.windows else ("attn_grid",):
            with b.scope(name):
                x = _partitioned(b, x, grid, style, ("attn",))
    return b.image(b.copy(x, name="channels_first"), *grid)


def _partitioned(b: Builder, x: Value, grid: Grid, style: AttentionStyle, names: Sequence[str]) -> Value:
    """Add attention in parts of the image, one or two side by side, and a feed-forward layer.

    Windows and grids of one size are the same work: only which tokens go together differs.
    """
    whole_windows(grid, style.window)
    y, parts = b.layer_norm(x, name="norm1"), list[Value]()
    for name in names:
        with b.scope(name):
            z = partition(b, y, grid, style.window)
            z = _attend(b, z.shape, b.linear(z, 3 * x.width, name="qkv"), style.window, style)
            z = b.linear(z, int(x.width) // len(names), name="proj")
            parts.append(restore(b, z, grid, style.window))
    y = parts[0] if len(parts) == 1 else b.concat(parts, axis=-1)
    x = b.add(x, scaled(b, y, style.layer_scale, "ls1"), name="add1")
    y = b.mlp(b.layer_norm(x, name="norm2"), 4 * x.width, act=style.act)
    return b.add(x, scaled(b, y, style.layer_scale, "ls2"), name="add2")


def _attend(b: Builder, shape: Shape, qkv: Value, window: Grid, style: AttentionStyle) -> Value:
    count, area, width = (int(n) for n in shape)
    heads = width // 32
    distances = [2 * side - 1 for side in window]
    inputs = [qkv]
    if style.relative == "mlp":
        inputs.append(position_mlp(b, prod(distances), style.relative_width, heads))
    elif style.relative == "lookup":
        inputs.append(_lookup(b, window, heads))
    return b.attend(
        inputs, (count, area, width), heads=heads, head_dim=32, q_tokens=area, windows=count, fused=False,
        parameters=prod(distances) * heads if style.relative == "table" else 0,
    )  # fmt: skip


def _lookup(b: Builder, window: Grid, heads: int) -> Value:
    """Add two products that spread a table of biases over pairs of tokens; they read nothing of the sample."""
    (rows, columns), (tall, wide) = window, (2 * window[0] - 1, 2 * window[1] - 1)
    with b.scope("rel_pos"):
        first = ops.BatchedMatmul(1, heads * wide, rows**2, tall)
        y = b.node("rows", first, (), (heads * rows**2, wide), heads * tall * wide)
        second = ops.BatchedMatmul(1, heads * rows**2, columns**2, wide)
        return b.node("columns", second, (y,), (heads, (rows * columns) ** 2))


def _global_block(b: Builder, x: Value, width: int, stride: int, style: AttentionStyle) -> Value:
    """Add attention over all positions and a feed-forward layer, as 1x1 convolutions; a stride pools first."""
    skip, channels = x, int(x.channels)
    y = normed(b, x, style.norm, name="norm1")
    if stride == 2:
        skip = downsample(b, x, width, style.pool, bias=style.shortcut_bias)
        y = downsample(b, y, channels, style.pool, name="down")
    grid = (int(y.shape[1]), int(y.shape[2]))
    inner = channels if style.expand_late else width
    with b.scope("attn"):
        qkv = b.copy(b.conv(y, 3 * inner, name="qkv"), name="heads_last")
        y = _attend(b, (1, prod(grid), inner), qkv, grid, style)
        y = b.conv(b.image(b.copy(y, (prod(grid), inner), name="channels_first"), *grid), width, name="proj")
    x = b.add(_gain(b, y, style, "ls1"), skip, name="add1")
    with b.scope("mlp"):
        y = normed(b, x, style.norm, name="norm2")
        y = b.act(b.conv(y, 4 * width, name="fc1"), style.act)
        y = b.conv(y, width, name="fc2")
    return b.add(x, _gain(b, y, style, "ls2"), name="add2")


def _gain(b: Builder, x: Value, style: AttentionStyle, name: str) -> Value:
    return b.scale(x, parameters=x.channels, name=name) if style.layer_scale else x
