"""Layers that small convolutional and hybrid networks share: biased convolutions with norms, attention step by step."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel.workloads.building import Builder, Sizes, Value


def conv_norm(
    b: Builder, x: Value, channels: int, kernel: Sizes = 1, stride: int = 1, padding: Sizes | None = None, *,
    groups: int = 1, bias: bool = True, act: str = "", name: str = "conv",
) -> Value:  # fmt: skip
    """Add a convolution (with a bias, unlike ``Builder.conv_bn``), its batch norm and perhaps an activation."""
    y = b.conv(x, channels, kernel, stride, padding, groups=groups, bias=bias, name=name)
    y = b.batch_norm(y, name=f"{name}_bn")
    return b.act(y, act, name=f"{name}_act") if act else y


def depthwise(
    b: Builder, x: Value, kernel: Sizes = 3, stride: int = 1, *, bias: bool = False, act: str = "",
    name: str = "conv_dw",
) -> Value:  # fmt: skip
    """Add a depthwise convolution, its batch norm and perhaps an activation."""
    channels = int(x.channels)
    return conv_norm(b, x, channels, kernel, stride, groups=channels, bias=bias, act=act, name=name)


def layer_scale(b: Builder, x: Value, *, name: str = "layer_scale") -> Value:
    """Add learned factors, one a channel of an image or a feature of tokens."""
    return b.scale(x, parameters=x.channels if len(x.shape) > 2 else x.width, name=name)


def conv_mlp(b: Builder, x: Value, hidden: int, *, act: str = "gelu", norm: bool = False, name: str = "mlp") -> Value:
    """Add two 1x1 convolutions with biases and an activation between them (and a batch norm behind each)."""
    with b.scope(name):
        if norm:
            y = conv_norm(b, x, hidden, act=act, name="fc1")
            return conv_norm(b, y, int(x.channels), name="fc2")
        y = b.act(b.conv(x, hidden, name="fc1"), act)
        return b.conv(y, x.channels, name="fc2")


def plain_attention(
    b: Builder, inputs: Sequence[Value], shape: tuple[int, ...], *, heads: int, key: int, value: int, q_tokens: int,
    kv_tokens: int | None = None, windows: int = 1, biases: int = 0, mixes: bool = False, scaled: bool = True,
    name: str = "attend",
) -> Value:  # fmt: skip
    """Add attention as its steps: scores, their scale (``scaled``), learned ``biases``, softmax, the weighted sum.

    ``inputs`` are the values that hold queries, keys and values. Heads of ``key`` features compare and of ``value``
    features are summed; ``mixes`` adds 1x1 convolutions over the heads before and after the softmax (talking heads).
    ``shape`` is the result's.
    """
    kv = q_tokens if kv_tokens is None else kv_tokens
    batch = windows * heads
    with b.scope(name):
        scores = b.matmul(
            inputs[0],
            inputs[min(1, len(inputs) - 1)],
            (batch, q_tokens, kv),
            batch=batch,
            m=q_tokens,
            n=kv,
            k=key,
            name="scores",
        )
        if scaled:
            scores = b.scale(scores)
        if biases:
            scores = b.scale(scores, parameters=biases, name="biases")
        if mixes:
            scores = b.conv(scores, heads, name="mix1")
        scores = b.softmax(scores)
        if mixes:
            scores = b.conv(scores, heads, name="mix2")
        return b.matmul(scores, inputs[-1], shape, batch=batch, m=q_tokens, n=value, k=kv, name="sum")


def two_heads(b: Builder, x: Value, classes: int, *, distilled: bool = True) -> Value:
    """Add a classifier, or the mean of two: one for labels and one for a teacher's."""
    label = b.linear(x, classes, name="head")
    if not distilled:
        return label
    return b.scale(b.add(label, b.linear(x, classes, name="head_dist")), name="mean")


def positions(x: Value) -> int:
    """Return the positions of an image."""
    return int(prod(x.shape[1:], start=1))


def side(x: Value) -> int:
    """Return the height of an image."""
    return int(x.shape[-2])
