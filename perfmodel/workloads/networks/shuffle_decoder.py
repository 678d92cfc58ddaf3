"""Decoders of videos' latents that upsample by moving channels to positions and frames: LTX-Video, Mochi."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import latent_shape
from perfmodel.workloads.networks.registry import family


@family("ltx_decoder")
def ltx_decoder(
    name: str,
    *,
    channels: Sequence[int] = (128, 256, 512, 512),
    blocks: Sequence[int] = (4, 3, 3, 3, 4),
    doubled: Sequence[bool] = (True, True, True, False),
    latent: int = 128,
    patch: int = 4,
    height: int = 480,
    width: int = 704,
    frames: int = 161,
) -> Network:
    """Return LTX-Video's decoder for one latent of ``frames`` of ``height`` by ``width`` pixels.

    ``channels`` of the encoder's levels and whether each is ``doubled`` in frames, height and width (the decoder's come
    in reverse), ``blocks`` residual blocks of the levels and, last, of the middle, ``patch`` pixels a side of what the
    last convolution leaves. Source: LTX-Video (arXiv 2501.00103), section 2.1; diffusers
    models/autoencoders/autoencoder_kl_ltx.py. Version 0.9.0: later ones also denoise in the decoder.
    """
    times = 2 ** sum(doubled)
    b = Builder(name, "ltx_decoder", latent_shape(latent, height, width, frames, patch * times, times))
    x = b.conv(b.input(), channels[-1], 3, name="conv_in")
    for index in range(blocks[-1]):
        with b.block(f"mid.{index}"):
            x = _ltx_residual(b, x, channels[-1])
    for level in reversed(range(len(channels))):
        out = channels[level]
        if x.channels != out:
            with b.block(f"up{level}.in"):
                x = _ltx_residual(b, x, out)
        if doubled[level]:
            with b.block(f"up{level}.up"):
                t, h, w = (int(n) for n in x.shape[1:])
                y = b.conv(x, 8 * out, 3)
                x = b.copy(y, (out, 2 * t - 1, 2 * h, 2 * w), name="shuffle")
        for index in range(blocks[level]):
            with b.block(f"up{level}.{index}"):
                x = _ltx_residual(b, x, out)
    x = b.act(_rms(b, x, "norm_out"), "silu", name="act_out")
    x = b.conv(x, 3 * patch**2, 3, name="conv_out")
    _, t, h, w = x.shape
    return b.build(b.copy(x, (3, t, h * patch, w * patch), name="unpatch"), sample="video")


def _rms(b: Builder, x: Value, name: str) -> Value:
    return b.node(name, ops.RmsNorm(prod(x.shape[1:], start=1), x.channels), (x,), x.shape)


def _ltx_residual(b: Builder, x: Value, channels: int) -> Value:
    y = b.conv(b.act(_rms(b, x, "norm1"), "silu", name="act1"), channels, 3, name="conv1")
    y = b.conv(b.act(_rms(b, y, "norm2"), "silu", name="act2"), channels, 3, name="conv2")
    if x.channels != channels:
        x = b.conv(b.layer_norm(x, channels_first=True, name="norm3"), channels, 1, name="shortcut")
    return b.add(x, y)


@family("mochi_decoder")
def mochi_decoder(
    name: str,
    *,
    channels: Sequence[int] = (128, 256, 512, 768),
    blocks: Sequence[int] = (3, 3, 4, 6, 3),
    time_factors: Sequence[int] = (1, 2, 3),
    latent: int = 12,
    height: int = 480,
    width: int = 848,
    frames: int = 163,
) -> Network:
    """Return Mochi's decoder for one latent of ``frames`` of ``height`` by ``width`` pixels.

    ``channels`` of the encoder's levels (the decoder's come in reverse), ``blocks`` residual blocks of the end, of the
    levels, and of the beginning, ``time_factors`` by which each level's upsampling multiplies the frames (the first
    ones are dropped at the end). Source: genmoai/mochi (vae/models.py); diffusers
    models/autoencoders/autoencoder_kl_mochi.py.
    """
    scale = 2 ** len(time_factors)
    b = Builder(name, "mochi_decoder", latent_shape(latent, height, width, frames, scale, prod(time_factors)))
    x = b.conv(b.input(), channels[-1], 1, name="conv_in")
    x = _mochi_blocks(b, x, blocks[-1], "in")
    for level in reversed(range(len(time_factors))):
        x = _mochi_blocks(b, x, blocks[level + 1], f"up{level}")
        with b.block(f"up{level}.up"):
            out, factor = channels[level], time_factors[level]
            t, h, w = (int(n) for n in x.shape[1:])
            y = b.linear(b.tokens(x), out * factor * 4)
            x = b.copy(y, (out, t * factor, 2 * h, 2 * w), name="shuffle")
    x = b.act(_mochi_blocks(b, x, blocks[0], "out"), "silu", name="act_out")
    t, h, w = (int(n) for n in x.shape[1:])
    y = b.linear(b.tokens(x), 3, name="out")
    return b.build(b.view(y, (3, t - prod(time_factors) + 1, h, w), name="video"), sample="video")


def _mochi_blocks(b: Builder, x: Value, count: int, name: str) -> Value:
    """Add residual blocks; the norms are of each frame."""
    for index in range(count):
        with b.block(f"{name}.{index}"):
            y = b.conv(b.act(b.group_norm(x, 32, name="norm1"), "silu", name="act1"), x.channels, 3, name="conv1")
            y = b.conv(b.act(b.group_norm(y, 32, name="norm2"), "silu", name="act2"), x.channels, 3, name="conv2")
            x = b.add(x, y)
    return x
