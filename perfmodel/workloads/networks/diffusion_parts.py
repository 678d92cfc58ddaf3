"""Layers that networks of diffusion share: conditioning vectors, modulated norms, attention of several streams."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.workloads.building import Builder, Value

QK_NORMS = ("", "rms", "layer", "rms_all", "layer_all")
"""How queries and keys are normed: not, each head by its root mean square or layer norm, or all heads at once."""


def waves(b: Builder, x: Value, count: int, *, rows: int = 1, name: str = "waves") -> Value:
    """Add the ``count`` sines and cosines that stand for a number, such as the time step, or of ``rows`` numbers."""
    shape = (count,) if rows == 1 else (rows, count)
    return b.node(name, ops.Activation(rows, count), (x,), shape, kind="sinusoid")


def embed_scalar(
    b: Builder, x: Value, count: int, width: int, *, act: str = "silu", bias: bool = True, name: str = "time"
) -> Value:  # fmt: skip
    """Add the embedding of a number: ``count`` sines and cosines, then two dense layers of ``width``."""
    with b.scope(name):
        return embed_vector(b, waves(b, x, count), width, act=act, bias=bias)


def embed_vector(b: Builder, x: Value, width: int, *, act: str = "silu", bias: bool = True, name: str = "") -> Value:
    """Add two dense layers of ``width`` with an activation between them, over the last dimension."""
    prefix = f"{name}_" if name else ""
    y = b.act(b.linear(x, width, bias=bias, name=f"{prefix}fc1"), act, name=f"{prefix}act")
    return b.linear(y, width, bias=bias, name=f"{prefix}fc2")


def bare_norm(b: Builder, x: Value, *, rms: bool = False, name: str = "norm") -> Value:
    """Add a layer norm (or root-mean-square norm) that learns nothing: a modulation follows it."""
    kind = ops.RmsNorm if rms else ops.LayerNorm
    return b.node(name, kind(prod(x.shape[:-1], start=1), x.width), (x,), x.shape)


def modulation(b: Builder, condition: Value, features: int, *, bias: bool = True, name: str = "modulation") -> Value:
    """Add the dense layer that turns the conditioning vector into ``features`` shifts, scales and gates."""
    return b.linear(b.act(condition, "silu", name=f"{name}_act"), features, bias=bias, name=name)


def modulate(b: Builder, x: Value, by: Value, *, name: str = "modulate") -> Value:
    """Add the scale and shift of each feature that a modulation says: one of all tokens, or one of each."""
    operator = ops.Multiply if len(by.shape) > 1 else ops.Scale
    return b.node(name, operator(prod(x.shape[:-1], start=1), x.width), (x, by), x.shape)


def modulated_norm(b: Builder, x: Value, by: Value, *, rms: bool = False, name: str = "norm") -> Value:
    """Add a norm that learns nothing, scaled and shifted by a modulation."""
    return modulate(b, bare_norm(b, x, rms=rms, name=name), by, name=f"{name}_modulate")


def gated_add(b: Builder, x: Value, y: Value, gate: Value, *, name: str = "residual") -> Value:
    """Add ``x`` and the gated ``y``."""
    return b.add(x, modulate(b, y, gate, name=f"{name}_gate"), name=name)


def join(b: Builder, values: Sequence[Value], *, name: str = "concat") -> Value:
    """Add a concatenation of tokens."""
    tokens = sum(v.shape[0] for v in values)
    return b.node(name, ops.Copy(tokens, values[0].width), values, (tokens, values[0].width))


def normed_qk(b: Builder, x: Value, heads: int, head_dim: int, kind: str, *, parts: int = 2) -> Value:
    """Add the norm of ``parts`` of queries and keys inside ``x``, as :data:`QK_NORMS` names it."""
    if kind not in QK_NORMS:
        raise ValueError(f"a norm of queries and keys is one of {', '.join(map(repr, QK_NORMS))}, not {kind!r}")
    if not kind:
        return x
    tokens = prod(x.shape[:-1], start=1)
    rows, width = (parts * tokens, heads * head_dim) if kind.endswith("_all") else (parts * tokens * heads, head_dim)
    operator = ops.LayerNorm(rows, width) if kind.startswith("layer") else ops.RmsNorm(rows, width)
    learned = parts * width * (2 if kind.startswith("layer") else 1)
    return b.node("qk_norm", operator, (x,), x.shape, learned)


def rotated(b: Builder, x: Value, columns: Number, angles: Value | None = None) -> Value:
    """Add the rotary embedding of ``columns`` query and key elements of each token, by fixed or computed ``angles``."""
    inputs = (x,) if angles is None else (x, angles)
    return b.node("rope", ops.Rope(prod(x.shape[:-1], start=1), columns), inputs, x.shape)


def joint_attention(
    b: Builder, streams: Sequence[Value], heads: int, head_dim: int, *, norm: str = "", rope: Sequence[bool] = (),
    angles: Value | None = None, out_widths: Sequence[int] = (), bias: bool = True, out_bias: bool = True,
    name: str = "attn",
) -> list[Value]:  # fmt: skip
    """Add attention of all streams' tokens over all of them; each stream has weights of its own.

    ``rope`` says which streams are rotated (by ``angles``, if they are computed); ``out_widths`` the width that each is
    projected to (0: its tokens are not used), by default the stream's own. Query, key and value of a stream are one
    product. Returns the streams that leave.
    """
    inner, widths = heads * head_dim, out_widths or [int(s.width) for s in streams]
    labels = [f"_{index}" for index in range(len(streams))] if len(streams) > 1 else [""]
    parts: list[Value] = []
    with b.scope(name):
        for index, (stream, label) in enumerate(zip(streams, labels, strict=True)):
            qkv = b.linear(stream, 3 * inner, bias=bias, name=f"qkv{label}")
            qkv = normed_qk(b, qkv, heads, head_dim, norm)
            parts.append(rotated(b, qkv, 2 * inner, angles) if any(rope[index : index + 1]) else qkv)
        tokens = sum(p.shape[0] for p in parts)
        mixed = b.attend(parts, (tokens, inner), heads=heads, head_dim=head_dim, q_tokens=tokens)
        found = b.split(mixed, [p.shape[0] for p in parts]) if len(parts) > 1 else [mixed]
        return [
            b.linear(value, width, bias=out_bias, name=f"proj{label}")
            for value, width, label in zip(found, widths, labels, strict=True)
            if width
        ]


def cross_attention(
    b: Builder, x: Value, context: Value, heads: int, head_dim: int, *, norm: str = "", bias: bool = True,
    out_bias: bool = True, extra: Value | None = None, name: str = "cross",
) -> Value:  # fmt: skip
    """Add attention of ``x`` over the tokens of ``context``, whose keys and values are computed each time.

    The same queries see the tokens of ``extra`` too, with keys and values of their own; the results are added.
    """
    inner, tokens = heads * head_dim, prod(x.shape[:-1], start=1)
    with b.scope(name):
        q = b.linear(x, inner, bias=bias, name="q")
        q = normed_qk(b, q, heads, head_dim, norm, parts=1)
        found: list[Value] = []
        for label, seen in (("", context), ("_extra", extra)):
            if seen is None:
                continue
            kv = b.linear(seen, 2 * inner, bias=bias, name=f"kv{label}")
            kv = normed_qk(b, kv, heads, head_dim, norm, parts=1)
            found.append(
                b.attend(
                    (q, kv), q.shape, heads=heads, head_dim=head_dim, q_tokens=tokens, kv_tokens=seen.shape[0],
                    name=f"attend{label}",
                )
            )  # fmt: skip
        mixed = found[0] if extra is None else b.add(*found)
        return b.linear(mixed, int(x.width), bias=out_bias, name="proj")


def latent_shape(latent: int, height: int, width: int, frames: int, scale: int, frame_scale: int) -> tuple[int, ...]:
    """Return (channels, [frames,] height, width) of a latent; ``frames`` 0 is an image.

    A video of ``frames`` is ``1 + (frames-1)//frame_scale`` latent ones: causal autoencoders keep the first alone.
    """
    sides = (height // scale, width // scale)
    return (latent, 1 + (frames - 1) // frame_scale, *sides) if frames else (latent, *sides)


def patches(b: Builder, x: Value, hidden: int, patch: Sequence[int], *, bias: bool = True) -> Value:
    """Add the dense layer from patches of a latent, (frames, height, width) positions each, to tokens of ``hidden``."""
    kernel = tuple(patch)[-(len(x.shape) - 1) :]
    return b.tokens(b.conv(x, hidden, kernel, kernel, 0, bias=bias, name="patch"))


def unpatched(b: Builder, x: Value, latent: Value, patch: Sequence[int], channels: int, *, bias: bool = True) -> Value:
    """Add the dense layer from tokens to patches of ``channels``, and bring these to where they lie in the latent."""
    kernel = tuple(patch)[-(len(latent.shape) - 1) :]
    x = b.linear(x, prod(kernel) * channels, bias=bias, name="out")
    sides = tuple(n // k * k for n, k in zip(latent.shape[1:], kernel, strict=True))
    return b.copy(x, (channels, *sides), name="unpatch")


def gated_mlp(b: Builder, x: Value, width: int, *, act: str = "silu", bias: bool = False, name: str = "mlp") -> Value:
    """Add a gate and an up projection of ``width`` (one product), their product through ``act``, and a projection."""
    with b.scope(name):
        rows = prod(x.shape[:-1], start=1)
        y = b.linear(x, 2 * width, bias=bias, name="gate_up")
        y = b.node("gated", ops.GatedActivation(rows, width), (y,), (*x.shape[:-1], width), kind=act)
        return b.linear(y, x.width, bias=bias, name="down")
