"""Diffusion transformers of two streams, text and image, that attend to each other (MMDiT), and of one stream after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import (
    embed_scalar,
    embed_vector,
    gated_add,
    gated_mlp,
    joint_attention,
    latent_shape,
    modulated_norm,
    modulation,
    normed_qk,
    patches,
    rotated,
    unpatched,
)
from perfmodel.workloads.networks.registry import family


@family("mmdit")
def mmdit(
    name: str,
    hidden: int,
    double: int,
    single: int = 0,
    *,
    heads: int,
    mlp_ratio: float = 4.0,
    gated: bool = False,
    extra_attention: int = 0,
    text_leaves: bool = True,
    qk_norm: str = "rms",
    rope: Sequence[bool] = (True, True),
    shared_modulation: bool = False,
    bias: bool = True,
    context: int = 4096,
    context_norm: bool = False,
    refiner: int = 0,
    pooled: int = 768,
    guidance: bool = False,
    latent: int = 16,
    in_channels: int | None = None,
    patch: Sequence[int] = (1, 2, 2),
    scale: int = 8,
    frame_scale: int = 4,
    height: int = 1024,
    width: int = 1024,
    frames: int = 0,
    text_tokens: int = 512,
) -> Network:
    """Return a multimodal diffusion transformer for one latent of an image (or of a video of ``frames``) of pixels.

    ``double`` layers with weights for the image's and the text's tokens each, then ``single`` layers that join them,
    attention and feed-forward side by side. ``extra_attention``: so many first layers attend over the image alone too;
    ``text_leaves`` False: the last double layer drops the text; ``rope`` of image and text; ``shared_modulation``: all
    layers share one; ``refiner`` layers over the text first; ``pooled`` width of the pooled text (0: none);
    ``guidance``: its strength is embedded (distilled models); ``in_channels`` where they are not ``latent``; ``scale``
    and ``frame_scale`` pixels and frames a latent one. Source: SD3 (arXiv 2403.03206), figure 2; FLUX.1
    (black-forest-labs/flux, model.py); HunyuanVideo (arXiv 2412.03603), section 4.2; Qwen-Image (arXiv 2508.02324);
    diffusers models/transformers/transformer_{sd3,flux,flux2,hunyuan_video,qwenimage}.py. Fixed positions are not
    learned; one sample's text has no padding.
    """
    channels = latent if in_channels is None else in_channels
    shapes = [latent_shape(channels, height, width, frames, scale, frame_scale), (1,), (text_tokens, context)]
    shapes += [(n,) for n in (pooled, 1 if guidance else 0) if n]
    b = Builder(name, "mmdit", *shapes)
    with b.block("condition"):
        condition = _condition(b, hidden, pooled, guidance, bias)
    with b.block("embed"):
        x = patches(b, b.input(), hidden, patch, bias=bias)
        text = _embedded_text(b, hidden, heads, context_norm, refiner, bias)
    net = _Layers(b, condition, heads, mlp_ratio, gated, qk_norm, tuple(rope), bias, shared_modulation, {})
    for index in range(double):
        with b.block(f"double.{index}"):
            x, text = net.double(x, text, index < extra_attention, text_leaves or index < double - 1)
    x = net.singles(x, text, single) if single else x
    with b.block("final"):
        x = modulated_norm(b, x, modulation(b, condition, 2 * hidden, bias=bias))
        x = unpatched(b, x, b.input(), patch, latent, bias=bias)
    return b.build(x, sample="denoising step")


def _condition(b: Builder, hidden: int, pooled: int, guidance: bool, bias: bool) -> Value:
    """Return the vector of the time step, the pooled text and the guidance."""
    found = embed_scalar(b, b.input(1), 256, hidden, bias=bias)
    if pooled:
        found = b.add(found, embed_vector(b, b.input(3), hidden, bias=bias, name="pooled"))
    if guidance:
        found = b.add(
            found, embed_scalar(b, b.input(4 if pooled else 3), 256, hidden, bias=bias, name="guidance")
        )  # fmt: skip
    return found


def _embedded_text(b: Builder, hidden: int, heads: int, norm: bool, refiner: int, bias: bool) -> Value:
    """Return the text's tokens, normed or refined where that is asked for, with ``hidden`` features."""
    text = b.rms_norm(b.input(2), name="text_norm") if norm else b.input(2)
    return _refined(b, text, hidden, heads, refiner) if refiner else b.linear(text, hidden, bias=bias, name="text")


def _refined(b: Builder, text: Value, hidden: int, heads: int, depth: int) -> Value:
    """Add layers over the text's tokens, gated by the time step and the text's mean. Source: HunyuanVideo, 4.2.1."""
    with b.scope("refiner"):
        pooled = embed_vector(b, b.token_pool(text), hidden, name="pooled")
        condition = b.add(embed_scalar(b, b.input(1), 256, hidden), pooled)
        x = b.linear(text, hidden)
        for _ in range(depth):
            by = modulation(b, condition, 2 * hidden)
            x = gated_add(b, x, b.self_attention(b.layer_norm(x), heads), by)
            x = gated_add(b, x, b.mlp(b.layer_norm(x), 4 * hidden, act="silu"), by)
    return x


@dataclass(frozen=True)
class _Layers:
    b: Builder
    condition: Value
    heads: int
    mlp_ratio: float
    gated: bool
    qk_norm: str
    rope: tuple[bool, ...]
    bias: bool
    shared: bool
    known: dict[str, Value]

    def by(self, name: str, parts: int, hidden: int) -> Value:
        """Return the modulation of a stream: of this layer, or the one that all layers share."""
        if not self.shared:
            return modulation(self.b, self.condition, parts * hidden, bias=self.bias, name=name)
        if name not in self.known:
            self.known[name] = modulation(self.b, self.condition, parts * hidden, bias=self.bias, name=name)
        return self.known[name]

    def double(self, x: Value, text: Value, extra: bool, text_leaves: bool) -> tuple[Value, Value]:
        """Add a layer of two streams."""
        b, hidden = self.b, int(x.width)
        head_dim = hidden // self.heads
        by = self.by("image_modulation", 9 if extra else 6, hidden)
        text_by = self.by("text_modulation", 6 if text_leaves else 2, hidden)
        normed = modulated_norm(b, x, by, name="norm1")
        mixed = joint_attention(
            b, (normed, modulated_norm(b, text, text_by, name="text_norm1")), self.heads, head_dim,
            norm=self.qk_norm, rope=self.rope, out_widths=(hidden, hidden if text_leaves else 0),
            bias=self.bias, out_bias=self.bias,
        )  # fmt: skip
        x = gated_add(b, x, mixed[0], by, name="add1")
        if extra:
            (y,) = joint_attention(
                b, (b.scale(normed, by, name="norm1_2"),), self.heads, head_dim, norm=self.qk_norm,
                rope=self.rope[:1], name="attn2",
            )  # fmt: skip
            x = gated_add(b, x, y, by, name="add1_2")
        x = gated_add(b, x, self.feed_forward(modulated_norm(b, x, by, name="norm2"), "mlp"), by, name="add2")
        if text_leaves:
            text = gated_add(b, text, mixed[1], text_by, name="text_add1")
            y = self.feed_forward(modulated_norm(b, text, text_by, name="text_norm2"), "text_mlp")
            text = gated_add(b, text, y, text_by, name="text_add2")
        return x, text

    def feed_forward(self, x: Value, name: str) -> Value:
        width = int(x.width * self.mlp_ratio)
        if self.gated:
            return gated_mlp(self.b, x, width, bias=self.bias, name=name)
        return self.b.mlp(x, width, bias=self.bias, name=name)

    def singles(self, x: Value, text: Value, depth: int) -> Value:
        """Add layers of one stream, text before image, and return the image's tokens."""
        b = self.b
        joined = b.concat((text, x), name="join")
        for index in range(depth):
            with b.block(f"single.{index}"):
                joined = self._single(joined)
        return b.view(joined, x.shape, name="image")

    def _single(self, x: Value) -> Value:
        b, hidden, tokens = self.b, int(x.width), x.shape[0]
        width, head_dim = int(hidden * self.mlp_ratio), hidden // self.heads
        by = self.by("modulation", 3, hidden)
        into = 3 * hidden + width * (2 if self.gated else 1)
        y = b.linear(modulated_norm(b, x, by), into, bias=self.bias, name="qkv_mlp")
        qkv, up = b.split(y, (3 * hidden, into - 3 * hidden), axis=1)
        qkv = normed_qk(b, qkv, self.heads, head_dim, self.qk_norm)
        qkv = rotated(b, qkv, 2 * hidden) if any(self.rope) else qkv
        mixed = b.attend((qkv,), (tokens, hidden), heads=self.heads, head_dim=head_dim, q_tokens=tokens)
        if self.gated:
            up = b.node("gated", ops.GatedActivation(tokens, width), (up,), (tokens, width), kind="silu")
        else:
            up = b.act(up, "gelu")
        y = b.linear(b.concat((mixed, up), axis=1), hidden, bias=self.bias, name="proj")
        return gated_add(b, x, y, by)
