"""CoaT: attention by factors with depthwise convolutions of positions, in one scale after another or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.ops.conv import HALF
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import add_tokens, classifier

WINDOWS = {3: 2, 5: 3, 7: 3}
"""Sides of the convolutions of relative positions, and how many of eight heads use each."""


@dataclass(frozen=True)
class _Scale:
    """One scale: its grid, and whether its convolutions of positions are counted here (all blocks share them)."""

    grid: tuple[int, int]
    heads: int
    own: bool


@family("coat")
def coat(
    name: str, widths: Sequence[int], depths: Sequence[int], *, parallel: int = 0, heads: int = 8,
    mlp_ratios: Sequence[float] = (4, 4, 4, 4), patch: int = 4, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a CoaT: four scales one after the other, then ``parallel`` blocks in which the last three exchange maps.

    Weights that blocks of a scale share are counted once. Source: Xu et al. 2021 (arXiv 2104.06399); timm
    models/coat.py.
    """
    b = Builder(name, "coat", (3, image, image))
    x, found = b.input(), list[tuple[Value, _Scale]]()
    for index, width in enumerate(widths):
        side = 2 if index else patch
        with b.block(f"patch_embed{index + 1}"):
            x = b.conv(x, width, side, side, 0, name="proj")
            scale = _Scale((int(x.shape[1]), int(x.shape[2])), heads, True)
            x = add_tokens(b, b.layer_norm(b.tokens(x)), 1)
        for number in range(depths[index]):
            with b.block(f"serial_blocks{index + 1}.{number}"):
                x = _serial(b, x, replace(scale, own=number == 0), int(width * mlp_ratios[index]))
        found.append((x, scale))
        if index + 1 < len(widths):
            x = _image(b, x, scale)
    if not parallel:
        x = b.layer_norm(x)
        return b.build(classifier(b, b.view(x, (x.width,), name="token"), classes))
    values, scales = [x for x, _ in found[1:]], [s for _, s in found[1:]]
    for number in range(parallel):
        with b.block(f"parallel_blocks.{number}"):
            values = _parallel(b, values, scales, int(widths[1] * mlp_ratios[1]))
    tokens = [b.view(b.layer_norm(x, name=f"norm{i + 2}"), (1, x.width)) for i, x in enumerate(values)]
    op = ops.Conv(1, 1, len(tokens), 1, 1, widths[-1], kernel=(1, 1, 1), padding=(0, 0, 0))
    x = b.node("aggregate", op, (b.concat(tokens, name="stack"),), (widths[-1],), len(tokens) + 1)
    return b.build(classifier(b, x, classes))


def _image(b: Builder, x: Value, scale: _Scale) -> Value:
    """Return the patches without the class token as an image."""
    return b.copy(x, (x.width, *scale.grid), name="image")


def _depthwise(b: Builder, x: Value, side: int, own: bool, name: str) -> Value:
    """Add a depthwise convolution whose weights are counted here only if they are its own."""
    channels, height, width = x.shape
    op = ops.Conv(
        1, channels, 1, 1, height, width, kernel=(1, side, side), padding=(0, side - 1, side - 1)
    )  # fmt: skip
    return b.node(name, op, (x,), x.shape, op.weights + channels if own else 0)


def _positions(b: Builder, x: Value, scale: _Scale, own: bool) -> Value:
    with b.scope("cpe"):
        y = _image(b, x, scale)
        y = b.tokens(b.add(_depthwise(b, y, 3, own, "proj"), y))
        return b.concat([b.view(x, (1, x.width)), y])


def _serial(b: Builder, x: Value, scale: _Scale, hidden: int) -> Value:
    x = _positions(b, x, scale, scale.own)
    x = b.add(x, _factor_attention(b, b.layer_norm(x, name="norm1"), scale), name="add1")
    return b.add(x, b.mlp(b.layer_norm(x, name="norm2"), hidden), name="add2")


def _factor_attention(b: Builder, x: Value, scale: _Scale) -> Value:
    """Add ``Q (softmax(K)^T V)`` and products of queries with convolved values."""
    tokens, width = x.shape
    heads, head = scale.heads, width // scale.heads
    with b.scope("attn"):
        q, k, v = b.split(b.linear(x, 3 * width, name="qkv"), (width,) * 3, axis=-1)
        weights = b.node("softmax", ops.Softmax(width, tokens), (k,), (width, tokens))
        context = b.matmul(weights, v, (width, head), batch=heads, m=head, n=head, k=tokens, name="context")
        mixed = b.matmul(q, context, (tokens, width), batch=heads, m=tokens, n=head, k=head, name="mix")
        y = _relative_positions(b, q, v, scale)
        y = b.add(mixed, b.copy(y, (tokens, width), name="pad"))
        return b.linear(y, width, name="proj")


def _relative_positions(b: Builder, q: Value, v: Value, scale: _Scale) -> Value:
    tokens, width = q.shape
    image = _image(b, v, scale)
    each: Number = width // sum(WINDOWS.values())
    parts = b.split(image, tuple(each * heads for heads in WINDOWS.values()))
    with b.scope("crpe"):
        parts = [_depthwise(b, part, side, scale.own, f"conv{side}") for part, side in zip(parts, WINDOWS, strict=True)]
        y = b.copy(b.concat(parts), (tokens - 1, width), name="tokens")
    return b.multiply(b.view(q, (tokens - 1, width)), y)


def _parallel(b: Builder, values: Sequence[Value], scales: Sequence[_Scale], hidden: int) -> list[Value]:
    """Add attention in each scale, sums with the others' results resized, and one MLP for all."""
    attended: list[Value] = []
    found: list[Value] = []
    for index, (x, scale) in enumerate(zip(values, scales, strict=True)):
        with b.scope(index + 2):
            y = _positions(b, x, scale, False)
            found.append(y)
            attended.append(_factor_attention(b, b.layer_norm(y, name="norm1"), replace(scale, own=False)))
    left: list[Value] = []
    for index, x in enumerate(found):
        with b.scope(index + 2):
            total = attended[index]
            for other, y in enumerate(attended):
                if other != index:
                    total = b.add(total, _resized(b, y, scales[other], scales[index]), name=f"add{other + 2}")
            summed = b.add(x, total, name="add1")
            y = _mlp(b, b.layer_norm(summed, name="norm2"), hidden, index == 0)
            left.append(b.add(summed, y, name="add_mlp"))
    return left


def _resized(b: Builder, x: Value, scale: _Scale, to: _Scale) -> Value:
    y = b.tokens(b.resize(_image(b, x, scale), to.grid))
    return b.concat([b.view(x, (1, x.width)), y])


def _mlp(b: Builder, x: Value, hidden: int, own: bool) -> Value:
    """Add a feed-forward layer whose weights are counted here only if they are its own."""
    tokens, width = x.shape
    with b.scope("mlp"):
        op = ops.Linear(tokens, hidden, width, HALF)
        y = b.act(b.node("fc1", op, (x,), (tokens, hidden), width * hidden + hidden if own else 0), "gelu")
        op = ops.Linear(tokens, width, hidden, HALF)
        return b.node("fc2", op, (y,), (tokens, width), width * hidden + width if own else 0)
