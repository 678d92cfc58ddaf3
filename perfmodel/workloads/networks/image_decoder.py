"""Decoders of images' latents: the second half of the autoencoders of latent diffusion."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("image_decoder")
def image_decoder(
    name: str,
    *,
    channels: Sequence[int] = (128, 256, 512, 512),
    blocks: int = 2,
    latent: int = 4,
    quantised: bool = True,
    patch: int = 1,
    height: int = 512,
    width: int = 512,
) -> Network:
    """Return the decoder of an autoencoder for one latent of an image of ``height`` by ``width`` pixels.

    ``channels`` of the encoder's levels (the decoder's come in reverse), ``blocks`` residual blocks a level of the
    encoder (the decoder has one more), ``latent`` channels, ``quantised`` whether a 1x1 convolution comes first,
    ``patch`` pixels a side of what the latent packs (the network then reads ``patch**2 * latent`` channels, which it
    unpacks). Source: Rombach et al. 2021 (arXiv 2112.10752), appendix G; diffusers models/autoencoders/vae.py, Decoder.
    """
    scale = 2 ** (len(channels) - 1)
    b = Builder(name, "image_decoder", (latent * patch**2, height // scale // patch, width // scale // patch))
    x = b.input()
    x = b.copy(x, (latent, height // scale, width // scale), name="unpack") if patch > 1 else x
    x = b.conv(x, latent, 1, name="post_quant") if quantised else x
    x = b.conv(x, channels[-1], 3, name="conv_in")
    with b.block("mid"):
        x = _attention(b, _residual(b, x, channels[-1]))
        x = _residual(b, x, channels[-1])
    for level, out in enumerate(reversed(channels)):
        for index in range(blocks + 1):
            with b.block(f"up{level}.{index}"):
                x = _residual(b, x, out)
        if level < len(channels) - 1:
            with b.block(f"up{level}.up"):
                _, h, w = x.shape
                x = b.conv(b.resize(x, (int(2 * h), int(2 * w)), "nearest"), out, 3)
    x = b.act(b.group_norm(x, 32, name="norm_out"), "silu", name="act_out")
    return b.build(b.conv(x, 3, 3, name="conv_out"))


def _residual(b: Builder, x: Value, channels: int) -> Value:
    y = b.conv(b.act(b.group_norm(x, 32, name="norm1"), "silu", name="act1"), channels, 3, name="conv1")
    y = b.conv(b.act(b.group_norm(y, 32, name="norm2"), "silu", name="act2"), channels, 3, name="conv2")
    return b.add(x if x.channels == channels else b.conv(x, channels, 1, name="shortcut"), y)


def _attention(b: Builder, x: Value) -> Value:
    """Add attention of one head over all positions."""
    _, height, width = x.shape
    y = b.self_attention(b.tokens(b.group_norm(x, 32, name="attn_norm")), 1)
    return b.add(x, b.image(y, height, width), name="attn_add")
