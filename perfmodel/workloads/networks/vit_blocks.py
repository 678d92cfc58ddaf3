"""Blocks of vision transformers: attention and feed-forward layers as their implementations arrange them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.ops.conv import HALF
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Shape


@dataclass(frozen=True)
class BlockStyle:
    """What the blocks of a plain vision transformer are made of.

    ``mlp`` is the width inside the feed-forward layer; ``gate`` "" has one layer before the activation, "packed" has
    gate and value in one layer, "separate" in two, "normed" in two after a norm of their own. ``norm`` is "layer" or
    "rms". ``bias`` names those of queries, keys and values that have biases; ``separate`` gives each a layer of its
    own. ``inner_norm`` ("attention", "mlp", "both") are norms before the layers that lead back to the residual stream,
    ``layer_scale`` ("", "both", "attention") the gains after them. ``order`` is "pre" (norms first), "post" (norms of
    what is added), "parallel" (attention and feed-forward layer side by side), "pairs" (two of each side by side).
    ``rope`` rotates queries and keys: "fixed", or "mixed" with learned frequencies. ``differential`` attends twice with
    half the query width and subtracts. ``fused``: scores do not reach memory.
    """

    heads: int
    mlp: int
    gate: str = ""
    act: str = "gelu"
    norm: str = "layer"
    bias: str = "qkv"
    out_bias: bool = True
    separate: bool = False
    qk_norm: bool = False
    inner_norm: str = ""
    layer_scale: str = ""
    order: str = "pre"
    rope: str = ""
    differential: bool = False
    kv_heads: int = 0
    fused: bool = True


@dataclass(frozen=True)
class Bias:
    """A bias of the scores of attention: learned numbers of a table, or the value that computes it."""

    parameters: Number = 0
    value: Value | None = None


def norm(b: Builder, x: Value, kind: str = "layer", *, name: str = "norm") -> Value:
    """Add a norm over the last dimension: "layer" or "rms"."""
    return b.rms_norm(x, name=name) if kind == "rms" else b.layer_norm(x, name=name)


def norm_size(width: Number, kind: str) -> Number:
    """Return the learned numbers of a norm."""
    return width * (1 if kind == "rms" else 2)


def block(b: Builder, x: Value, style: BlockStyle, bias: Bias | None = None) -> Value:
    """Add one block in the order that ``style`` states."""
    if style.order == "parallel":
        return _parallel(b, x, style)
    if style.order == "pairs":
        x = _pair(b, x, style, first=True)
        return _pair(b, x, style, first=False)
    if style.order == "post":
        x = b.add(x, norm(b, attention(b, x, style, bias), style.norm, name="norm1"), name="add1")
        return b.add(x, norm(b, feed_forward(b, x, style), style.norm, name="norm2"), name="add2")
    y = attention(b, norm(b, x, style.norm, name="norm1"), style, bias)
    x = b.add(x, scaled(b, y, style.layer_scale != "", "ls1"), name="add1")
    y = feed_forward(b, norm(b, x, style.norm, name="norm2"), style)
    return b.add(x, scaled(b, y, style.layer_scale == "both", "ls2"), name="add2")


def scaled(b: Builder, x: Value, wanted: bool, name: str = "ls") -> Value:
    """Add a learned gain a feature where one is wanted."""
    return b.scale(x, parameters=x.width, name=name) if wanted else x


def attention(b: Builder, x: Value, style: BlockStyle, bias: Bias | None = None) -> Value:
    """Add attention of tokens with themselves: projections, norms of queries and keys, products, projection back."""
    with b.scope("attn"):
        qkv = _projections(b, x, style)
        y = attended(b, qkv, x.shape, style, bias)
        if style.inner_norm in ("attention", "both"):
            y = norm(b, y, style.norm)
        return b.linear(y, x.width, bias=style.out_bias, name="proj")


def _projections(b: Builder, x: Value, style: BlockStyle) -> list[Value]:
    width = x.width
    keys = width // style.heads * (style.kv_heads or style.heads)
    if style.separate:
        parts = {"q": width, "k": keys, "v": keys}
        return [b.linear(x, n, bias=part in style.bias, name=part) for part, n in parts.items()]
    biases = ("q" in style.bias) * width + (("k" in style.bias) + ("v" in style.bias)) * keys
    return [dense(b, (x,), width, (*x.shape[:-1], width + 2 * keys), biases, name="qkv")]


def dense(b: Builder, inputs: Sequence[Value], k: Number, shape: Shape, extra: Number, *, name: str) -> Value:
    """Add a dense layer from ``k`` features to a result of ``shape``; ``extra`` are its learned numbers but weights."""
    *rows, features = shape
    op = ops.Linear(prod(rows, start=1), features, k, HALF)
    return b.node(name, op, inputs, shape, k * features + extra)


def attended(b: Builder, qkv: list[Value], shape: Shape, style: BlockStyle, bias: Bias | None = None) -> Value:
    """Add what lies between the projections: norms and rotations of queries and keys, scores, softmax, mixing."""
    *rows, width = shape
    if width % style.heads:
        raise ValueError(f"{style.heads} heads do not divide a width of {width}")
    tokens, head = prod(rows, start=1), width // style.heads
    windows = prod(rows[:-1], start=1)
    kv_heads = style.kv_heads or style.heads
    norm_width = head // 2 if style.differential else head
    moved = head * (style.heads + kv_heads)
    if style.qk_norm:
        cls = ops.RmsNorm if style.norm == "rms" else ops.LayerNorm
        op = cls(tokens * moved // norm_width, norm_width)
        qkv = [b.node("qk_norm", op, qkv, (*rows, width + 2 * head * kv_heads), 2 * norm_size(norm_width, style.norm))]
    if style.rope:
        learned = width if style.rope == "mixed" else 0
        qkv = [b.node("rope", ops.Rope(tokens, moved), qkv, (*rows, width + 2 * head * kv_heads), learned)]
    if style.differential:
        return _differential(b, qkv, shape, style)
    return b.attend(
        qkv if bias is None or bias.value is None else [*qkv, bias.value], shape, heads=style.heads, head_dim=head,
        q_tokens=tokens // windows, windows=windows, kv_heads=kv_heads, fused=style.fused and bias is None,
        parameters=0 if bias is None else bias.parameters,
    )  # fmt: skip


def _differential(b: Builder, qkv: list[Value], shape: Shape, style: BlockStyle) -> Value:
    """Add two attentions with half-wide queries and whole values, subtracted (arXiv 2410.05258, equation 1).

    Each does the work of heads three quarters as wide, because its queries are half and its values wholly as wide.
    """
    tokens, width = shape
    head = width // style.heads
    both = [
        b.attend(qkv, shape, heads=style.heads, head_dim=head * 0.75, q_tokens=tokens, name=f"attend{i}")
        for i in (1, 2)
    ]
    op = ops.Add(tokens, width)
    y = b.node("subtract", op, both, shape, 4 * (head // 2), "subtract")
    return b.node("sub_norm", ops.RmsNorm(tokens * style.heads, head), (y,), shape, head)


def feed_forward(b: Builder, x: Value, style: BlockStyle) -> Value:
    """Add the feed-forward layer, with a gate if ``style`` has one."""
    with b.scope("mlp"):
        if style.gate:
            x = norm(b, x, style.norm, name="gate_norm") if style.gate == "normed" else x
            y = gated(b, x, style.mlp, packed=style.gate == "packed", bias=style.out_bias, act=style.act)
        else:
            y = b.act(b.linear(x, style.mlp, bias=style.out_bias, name="fc1"), style.act)
        if style.inner_norm in ("mlp", "both"):
            y = norm(b, y, style.norm)
        return b.linear(y, x.width, bias=style.out_bias, name="fc2")


def gated(b: Builder, x: Value, hidden: int, *, packed: bool, bias: bool = True, act: str = "silu") -> Value:
    """Add ``act(gate) * value`` of two dense layers, which may be one layer of twice the width (``packed``)."""
    if packed:
        both = [b.linear(x, 2 * hidden, bias=bias, name="fc1")]
    else:
        both = [b.linear(x, hidden, bias=bias, name=name) for name in ("fc1_g", "fc1_x")]
    rows = prod(x.shape[:-1], start=1)
    return b.node("act", ops.GatedActivation(rows, hidden), both, (*x.shape[:-1], hidden), 0, act)


def _parallel(b: Builder, x: Value, style: BlockStyle) -> Value:
    """Add a block whose attention and feed-forward layer read one norm and one layer (arXiv 2302.05442, section 2)."""
    tokens, width = x.shape
    y = norm(b, x, style.norm, name="in_norm")
    biases = style.mlp + (3 * width if style.bias else 0)
    y = dense(b, (y,), width, (tokens, 3 * width + style.mlp), biases, name="in_proj")
    hidden, qkv = b.split(y, (style.mlp, 3 * width), axis=-1)
    mixed = attended(b, [qkv], x.shape, style)
    hidden = b.act(hidden, style.act)
    if style.differential:
        both = b.linear(b.concat([mixed, hidden], axis=-1), width, bias=style.out_bias, name="out_proj")
    else:
        mixed = b.linear(mixed, width, bias=style.out_bias, name="attn_out_proj")
        both = b.add(mixed, b.linear(hidden, width, bias=style.out_bias, name="mlp_out_proj"), name="add_out")
    return b.add(x, scaled(b, both, style.layer_scale != ""))


def _pair(b: Builder, x: Value, style: BlockStyle, *, first: bool) -> Value:
    """Add two attentions (or feed-forward layers) of the same input, summed (arXiv 2203.09795, section 3)."""
    total = x
    for index in (0, 1):
        with b.scope(f"{'attns' if first else 'ffns'}.{index}"):
            y = norm(b, x, style.norm)
            y = attention(b, y, style) if first else feed_forward(b, y, style)
            total = b.add(total, scaled(b, y, style.layer_scale != ""))
    return total


def position_mlp(b: Builder, rows: Number, hidden: int, heads: int, *, bias: bool = True) -> Value:
    """Add two dense layers that turn ``rows`` relative positions into a bias of each head's scores.

    They read nothing of the sample, so one run serves a whole batch. Source: Swin v2 (arXiv 2111.09883), section 3.3.
    """
    with b.scope("rel_pos"):
        y = dense(b, (), 2, (rows, hidden), hidden, name="fc1")
        return b.linear(b.act(y, "relu"), heads, bias=bias, name="fc2")


def attention_pool(
    b: Builder, x: Value, heads: int, mlp: int, *, kind: str = "layer", act: str = "gelu", name: str = "attn_pool"
) -> Value:
    """Add pooling by attention of one learned query, and a feed-forward layer (arXiv 2106.04560)."""
    tokens, width = x.shape
    with b.scope(name):
        q = dense(b, (), width, (1, width), 2 * width, name="q")
        kv = b.linear(x, 2 * width, name="kv")
        y = b.attend([q, kv], (1, width), heads=heads, head_dim=width // heads, q_tokens=1, kv_tokens=tokens)
        y = b.linear(y, width, name="proj")
        y = b.add(y, b.mlp(norm(b, y, kind), mlp, act=act))
        return b.view(y, (width,))
