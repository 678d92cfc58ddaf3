"""Decoders of videos' latents with causal convolutions over frames: Wan, HunyuanVideo, CogVideoX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import latent_shape
from perfmodel.workloads.networks.registry import family


@family("video_decoder")
def video_decoder(
    name: str,
    *,
    channels: Sequence[int] = (128, 256, 512, 512),
    blocks: int = 2,
    latent: int = 16,
    quantised: bool = True,
    norm: str = "group",
    attention: str = "video",
    upsampler: str = "conv3d",
    time_levels: Sequence[int] = (1, 2),
    halve: bool = False,
    shortcuts: bool = False,
    patch: int = 1,
    height: int = 480,
    width: int = 832,
    frames: int = 81,
) -> Network:
    """Return the decoder of a video's autoencoder for one latent of ``frames`` of ``height`` by ``width`` pixels.

    ``channels`` of the encoder's levels (the decoder's come in reverse), ``blocks`` residual blocks a level of the
    encoder (the decoder has one more), ``norm`` "group", "rms" or "latent" (a group norm scaled and shifted by the
    latent), ``attention`` in the middle over each "frame", over the whole "video", or "". ``upsampler``: nearest
    positions and frames, then a "conv3d" or "conv2d", or a "time_conv" that doubles the frames first; ``time_levels``
    whose upsampling doubles the frames (but the first); ``halve``: upsampling halves the channels; ``shortcuts``
    past each level; ``patch`` pixels a side of what the last convolution leaves. Source: Wan (arXiv 2503.20314),
    section 4.1; HunyuanVideo (arXiv 2412.03603), section 4.1; CogVideoX (arXiv 2408.06072), section 2.1; diffusers
    models/autoencoders/autoencoder_kl_{wan,hunyuan_video,cogvideox}.py. The video is decoded at once: what
    implementations compute again at the edges of tiles is not counted.
    """
    scale = 2 ** (len(channels) - 1) * patch
    b = Builder(name, "video_decoder", latent_shape(latent, height, width, frames, scale, 2 ** len(time_levels)))
    z = b.conv(b.input(), latent, 1, name="post_quant") if quantised else b.input()
    net = _Decoder(b, z, norm, upsampler, halve, shortcuts)
    x = b.conv(z, channels[-1], 3, name="conv_in")
    with b.block("mid"):
        x = net.residual(x, channels[-1])
        x = net.attention(x, attention) if attention else x
        x = net.residual(x, channels[-1])
    for level, out in enumerate(reversed(channels)):
        start = x
        for index in range(blocks + 1):
            with b.block(f"up{level}.{index}"):
                x = net.residual(x, out)
        if level < len(channels) - 1:
            with b.block(f"up{level}.up"):
                x = net.up(x, start, level in time_levels)
    x = b.act(net.norm_of(x, "norm_out"), "silu", name="act_out")
    x = b.conv(x, 3 * patch**2, 3, name="conv_out")
    if patch > 1:
        _, t, h, w = x.shape
        x = b.copy(x, (3, t, h * patch, w * patch), name="unpatch")
    return b.build(x, sample="video")


@dataclass(frozen=True)
class _Decoder:
    b: Builder
    z: Value
    norm: str
    upsampler: str
    halve: bool
    shortcuts: bool

    def norm_of(self, x: Value, name: str) -> Value:
        """Add the norm of all convolutions."""
        b = self.b
        if self.norm == "rms":
            rows = prod(x.shape[1:], start=1)
            return b.node(name, ops.RmsNorm(rows, x.channels), (x,), x.shape, x.channels)
        y = b.group_norm(x, 32, name=name)
        if self.norm == "group":
            return y
        t, h, w = (int(n) for n in x.shape[1:])
        z = b.resize(self.z, (t, h, w), "nearest", name=f"{name}_resize")
        scale, shift = (b.conv(z, x.channels, 1, name=f"{name}_{part}") for part in ("scale", "shift"))
        return b.add(b.multiply(y, scale, name=f"{name}_multiply"), shift, name=f"{name}_add")

    def residual(self, x: Value, channels: int) -> Value:
        """Add a residual block."""
        b = self.b
        y = b.conv(b.act(self.norm_of(x, "norm1"), "silu", name="act1"), channels, 3, name="conv1")
        y = b.conv(b.act(self.norm_of(y, "norm2"), "silu", name="act2"), channels, 3, name="conv2")
        return b.add(x if x.channels == channels else b.conv(x, channels, 1, name="shortcut"), y)

    def attention(self, x: Value, over: str) -> Value:
        """Add attention of one head over all positions of each frame, or of the video up to a position's frame."""
        b, channels = self.b, x.channels
        t, h, w = (int(n) for n in x.shape[1:])
        y = b.tokens(self.norm_of(x, "attn_norm"))
        y = b.self_attention(y, 1, windows=t if over == "frame" else 1)
        return b.add(x, b.view(y, (channels, t, h, w)), name="attn_add")

    def up(self, x: Value, start: Value, time: bool) -> Value:
        """Add the doubling of height and width, and (``time``) of all frames but the first."""
        b, channels = self.b, int(x.channels)
        t, h, w = (int(n) for n in x.shape[1:])
        doubled = 2 * t - 1 if time else t
        out = channels // 2 if self.halve else channels
        y = x
        if self.upsampler == "time_conv" and time:
            y = self._time_conv(x, channels, t, h, w)
        y = b.resize(y, (doubled, 2 * h, 2 * w), "nearest")
        y = b.conv(y, out, 3 if self.upsampler == "conv3d" else (1, 3, 3))
        if self.shortcuts:
            y = b.add(y, b.copy(start, y.shape, name="shortcut"))
        return y

    def _time_conv(self, x: Value, channels: int, t: int, h: int, w: int) -> Value:
        """Add the convolution that makes two frames of each but the first; of an image it is held and does not run."""
        b = self.b
        if t == 1:
            return b.node("time_conv", None, (x,), x.shape, 2 * channels * (3 * channels + 1))
        rest = b.view(x, (channels, t - 1, h, w), name="rest")
        rest = b.conv(rest, 2 * channels, (3, 1, 1), name="time_conv")
        rest = b.view(rest, (channels, 2 * (t - 1), h, w), name="frames")
        return b.concat((b.view(x, (channels, 1, h, w), name="first"), rest), axis=1)
