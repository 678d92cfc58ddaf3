"""Diffusion transformers of videos with joint attention of text and video: CogVideoX, Mochi."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import (
    bare_norm,
    embed_scalar,
    gated_add,
    gated_mlp,
    joint_attention,
    latent_shape,
    modulate,
    modulated_norm,
    modulation,
    patches,
    unpatched,
)
from perfmodel.workloads.networks.registry import family


@family("cogvideox")
def cogvideox(
    name: str,
    hidden: int,
    depth: int,
    heads: int,
    *,
    context: int = 4096,
    time_width: int = 512,
    rope: bool = False,
    mlp_ratio: float = 4.0,
    latent: int = 16,
    in_channels: int | None = None,
    patch: Sequence[int] = (1, 2, 2),
    height: int = 480,
    width: int = 720,
    frames: int = 49,
    text_tokens: int = 226,
) -> Network:
    """Return CogVideoX's transformer for one latent of a video of ``frames`` of ``height`` by ``width`` pixels.

    Text and video share all weights but for the modulations (expert adaptive layer norms). ``context`` width of the
    text's tokens, ``time_width`` of the embedded time step, ``rope``: positions are rotary (else fixed and added);
    latent frames are padded to whole patches. Source: Yang et al. 2024 (arXiv 2408.06072), section 2.2; diffusers
    models/transformers/cogvideox_transformer_3d.py.
    """
    channels, count, *sides = latent_shape(in_channels or latent, height, width, frames, 8, 4)
    b = Builder(name, "cogvideox", (channels, -(-count // patch[0]) * patch[0], *sides), (1,), (text_tokens, context))
    video = patches(b, b.input(), hidden, patch)
    with b.block("condition"):
        condition = embed_scalar(b, b.input(1), hidden, time_width)
        text = b.linear(b.input(2), hidden, name="text")
    x = b.concat((text, video), name="join")
    x = x if rope else b.learned(x, 0)
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            by = modulation(b, condition, 6 * hidden, name="modulation1")
            y = modulate(b, b.layer_norm(x, name="norm1"), by, name="modulate1")
            (y,) = joint_attention(b, (y,), heads, hidden // heads, norm="layer", rope=(rope,))
            x = gated_add(b, x, y, by, name="add1")
            by = modulation(b, condition, 6 * hidden, name="modulation2")
            y = modulate(b, b.layer_norm(x, name="norm2"), by, name="modulate2")
            x = gated_add(b, x, b.mlp(y, int(hidden * mlp_ratio)), by, name="add2")
    with b.block("final"):
        x = b.layer_norm(b.view(x, video.shape), name="norm_final")
        x = modulate(b, b.layer_norm(x), modulation(b, condition, 2 * hidden))
        x = unpatched(b, x, b.input(), patch, latent)
    return b.build(x, sample="denoising step")


@family("mochi")
def mochi(
    name: str,
    hidden: int = 3072,
    depth: int = 48,
    heads: int = 24,
    *,
    text_hidden: int = 1536,
    context: int = 4096,
    pool_heads: int = 8,
    latent: int = 12,
    patch: int = 2,
    height: int = 480,
    width: int = 848,
    frames: int = 163,
    text_tokens: int = 256,
) -> Network:
    """Return Mochi's asymmetric transformer for one latent of a video of ``frames`` of ``height`` by ``width`` pixels.

    Two streams of ``hidden`` and ``text_hidden`` features that attend to each other in ``heads`` of the wider one;
    gated feed-forward layers of 8/3 of the width; norms after attention and feed-forward too. The text is pooled by
    attention; the frequencies of rotary positions are learned. Source: genmoai/mochi
    (dit/joint_model/asymm_models_joint.py); diffusers models/transformers/transformer_mochi.py. Padding of the text is
    not left out.
    """
    shape = latent_shape(latent, height, width, frames, 8, 6)
    tokens = shape[1] * (shape[2] // patch) * (shape[3] // patch)
    b = Builder(name, "mochi", shape, (1,), (text_tokens, context), (tokens, 3))
    x = patches(b, b.input(), hidden, (1, patch, patch))
    angles = b.linear(b.input(3), hidden // 2, bias=False, name="angles")
    with b.block("condition"):
        condition = b.add(embed_scalar(b, b.input(1), 256, hidden), _pooled(b, b.input(2), pool_heads, hidden))
        text = b.linear(b.input(2), text_hidden, name="text")
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            x, text = _mochi_layer(b, x, text, condition, angles, heads, index < depth - 1)
    with b.block("final"):
        x = modulated_norm(b, x, modulation(b, condition, 2 * hidden))
        x = unpatched(b, x, b.input(), (1, patch, patch), latent)
    return b.build(x, sample="denoising step")


def _pooled(b: Builder, text: Value, heads: int, features: int) -> Value:
    """Add attention of the text's mean over the mean and all tokens."""
    width, tokens = int(text.width), text.shape[0] + 1
    with b.scope("pool"):
        mean = b.token_pool(text)
        x = b.node("join", ops.Copy(tokens, width), (mean, text), (tokens, width))
        kv = b.linear(x, 2 * width, name="kv")
        q = b.linear(mean, width, name="q")
        y = b.attend(
            (q, kv), (width,), heads=heads, head_dim=width // heads, q_tokens=1, kv_tokens=tokens
        )  # fmt: skip
        return b.linear(y, features, name="proj")


@dataclass(frozen=True)
class _Stream:
    """One stream of a layer of Mochi: its tokens, its modulation, and how its names begin."""

    x: Value
    by: Value
    name: str


def _mochi_layer(
    b: Builder, x: Value, text: Value, condition: Value, angles: Value, heads: int, text_leaves: bool
) -> tuple[Value, Value]:  # fmt: skip
    hidden, narrow = int(x.width), int(text.width)
    video = _Stream(x, modulation(b, condition, 4 * hidden), "")
    by = modulation(b, condition, (4 if text_leaves else 1) * narrow, name="text_modulation")
    words = _Stream(text, by, "text_")
    mixed = joint_attention(
        b, [modulated_norm(b, s.x, s.by, rms=True, name=f"{s.name}norm1") for s in (video, words)], heads,
        hidden // heads, norm="rms", rope=(True, False), out_widths=(hidden, narrow if text_leaves else 0), bias=False,
        angles=angles,
    )  # fmt: skip
    left = [_mochi_rest(b, s, y) for s, y in zip((video, words), mixed, strict=False)]
    return left[0], left[1] if text_leaves else text


def _mochi_rest(b: Builder, stream: _Stream, mixed: Value) -> Value:
    """Add what follows attention: a gated norm, and the feed-forward layer between two norms."""
    x, by, name = stream.x, stream.by, stream.name
    x = b.add(x, modulate(b, bare_norm(b, mixed, rms=True, name=f"{name}norm2"), by, name=f"{name}gate1"))
    y = modulated_norm(b, x, by, rms=True, name=f"{name}norm3")
    y = gated_mlp(b, y, 8 * int(x.width) // 3, name=f"{name}mlp")
    return b.add(x, modulate(b, bare_norm(b, y, rms=True, name=f"{name}norm4"), by, name=f"{name}gate2"))
