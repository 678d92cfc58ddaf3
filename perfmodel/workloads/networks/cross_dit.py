"""Diffusion transformers that see text by cross-attention: PixArt, Wan, LTX-Video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import (
    cross_attention,
    embed_scalar,
    embed_vector,
    gated_add,
    joint_attention,
    latent_shape,
    modulated_norm,
    modulation,
    patches,
    unpatched,
    waves,
)
from perfmodel.workloads.networks.registry import family


@family("cross_dit")
def cross_dit(
    name: str,
    hidden: int,
    depth: int,
    heads: int,
    *,
    mlp: int | None = None,
    context: int = 4096,
    qk_norm: str = "",
    rope: bool = False,
    rms: bool = False,
    cross_norm: bool = False,
    sizes: bool = False,
    token_times: bool = False,
    image_tokens: int = 0,
    image_context: int = 1280,
    latent: int = 16,
    in_channels: int | None = None,
    out_channels: int | None = None,
    patch: Sequence[int] = (1, 2, 2),
    scale: int = 8,
    frame_scale: int = 4,
    height: int = 1024,
    width: int = 1024,
    frames: int = 0,
    text_tokens: int = 512,
) -> Network:
    """Return a diffusion transformer with cross-attention for one latent of an image (or of ``frames``) of pixels.

    All layers share one modulation, to which each adds a learned table. ``mlp`` width of the feed-forward layers (four
    times ``hidden``), ``context`` width of the text's tokens, ``rms`` norms instead of layer norms, ``cross_norm`` a
    norm before the cross-attention, ``sizes``: resolution and aspect ratio are embedded, ``token_times``: each token
    has a time step of its own, ``image_tokens`` of ``image_context`` that are seen beside the text; ``in_channels`` and
    ``out_channels`` where they are not ``latent``; ``scale`` and ``frame_scale`` pixels and frames a latent one.
    Source: PixArt-alpha (arXiv 2310.00426), section 2.3; Wan (arXiv 2503.20314), section 4.2; LTX-Video (arXiv
    2501.00103); diffusers models/transformers/{pixart_transformer_2d,transformer_wan,transformer_ltx}.py. Keys and
    values of the text are computed in each step. Omits PixArt-sigma's compressed keys (2K and 4K images).
    """
    shape = latent_shape(latent if in_channels is None else in_channels, height, width, frames, scale, frame_scale)
    extra = [(3,)] if sizes else [(image_tokens, image_context)] if image_tokens else []
    b = Builder(name, "cross_dit", shape, (1,), (text_tokens, context), *extra)
    x = patches(b, b.input(), hidden, patch)
    with b.block("condition"):
        time, by = _times(b, hidden, sizes, int(x.shape[0]) if token_times else 1)
        text = embed_vector(b, b.input(2), hidden, act="gelu", name="text")
        seen = _image(b, hidden) if image_tokens else None
    layer = _Layer(b, heads, 4 * hidden if mlp is None else mlp, qk_norm, rope, rms, cross_norm)
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            x = layer.add(x, text, seen, b.learned(by, 6 * hidden, name="table"))
    with b.block("final"):
        x = modulated_norm(b, x, b.learned(time, 2 * hidden, name="table"))
        x = unpatched(b, x, b.input(), patch, latent if out_channels is None else out_channels)
    return b.build(x, sample="denoising step")


def _times(b: Builder, hidden: int, sizes: bool, rows: int) -> tuple[Value, Value]:
    """Return the embedded time step (of each of ``rows`` tokens) and the modulation that all layers share."""
    if rows > 1:
        time = embed_vector(b, waves(b, b.input(1), 256, rows=rows), hidden)
    else:
        time = embed_scalar(b, b.input(1), 256, hidden)
    if sizes:
        with b.scope("sizes"):
            resolution, ratio = b.split(waves(b, b.input(3), 256, rows=3), (2, 1))
            sides = b.flatten(embed_vector(b, resolution, hidden // 3, name="resolution"))
            shape = b.flatten(embed_vector(b, ratio, hidden // 3, name="ratio"))
            time = b.add(time, b.concat((sides, shape)))
    return time, modulation(b, time, 6 * hidden)


def _image(b: Builder, hidden: int) -> Value:
    """Return the tokens of an image that is seen beside the text."""
    with b.scope("image"):
        x = b.layer_norm(b.input(3), name="norm1")
        x = b.act(b.linear(x, x.width, name="fc1"), "gelu")
        return b.layer_norm(b.linear(x, hidden, name="fc2"), name="norm2")


@dataclass(frozen=True)
class _Layer:
    b: Builder
    heads: int
    mlp: int
    qk_norm: str
    rope: bool
    rms: bool
    cross_norm: bool

    def add(self, x: Value, text: Value, seen: Value | None, by: Value) -> Value:
        b, heads, head_dim = self.b, self.heads, int(x.width) // self.heads
        y = modulated_norm(b, x, by, rms=self.rms, name="norm1")
        (y,) = joint_attention(b, (y,), heads, head_dim, norm=self.qk_norm, rope=(self.rope,))
        x = gated_add(b, x, y, by, name="add1")
        y = b.layer_norm(x, name="cross_norm") if self.cross_norm else x
        x = b.add(x, cross_attention(b, y, text, heads, head_dim, norm=self.qk_norm, extra=seen), name="add_cross")
        y = b.mlp(modulated_norm(b, x, by, rms=self.rms, name="norm2"), self.mlp)
        return gated_add(b, x, y, by, name="add2")
