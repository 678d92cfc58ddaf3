"""UNets of latent diffusion: residual blocks and transformers on the way down and up, with skips between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import cross_attention, embed_scalar, embed_vector
from perfmodel.workloads.networks.registry import family

Depths = Sequence[int | Sequence[int]]


@family("diffusion_unet")
def diffusion_unet(
    name: str,
    *,
    channels: Sequence[int] = (320, 640, 1280, 1280),
    blocks: int = 2,
    attention: Depths = (1, 1, 1, 0),
    attention_up: Depths | None = None,
    middle: int | None = None,
    middle_block: bool = True,
    heads: int = 8,
    head_dim: int = 0,
    context: int = 768,
    added: int = 0,
    guidance_waves: int = 0,
    in_channels: int = 4,
    out_channels: int = 4,
    height: int = 512,
    width: int = 512,
    text_tokens: int = 77,
) -> Network:
    """Return the UNet of a latent diffusion model for one latent of an image of ``height`` by ``width`` pixels.

    ``channels`` of each level, ``blocks`` residual blocks a level (one more on the way up), ``attention`` transformer
    layers in each block of a level (a list: of each block; ``attention_up``: on the way up), ``middle`` those of the
    middle (None: of the deepest level that has any; ``middle_block`` False: no middle), ``heads`` or ``head_dim``,
    ``context`` width of the text's tokens, ``added`` width of further conditioning (pooled text and sizes),
    ``guidance_waves`` of an embedding of the guidance (consistency models). Source: Rombach et al. 2021 (arXiv
    2112.10752), section 3; SDXL (arXiv 2307.01952), table 1; diffusers models/unets/unet_2d_condition.py. Keys and
    values of the text are computed in each step.
    """
    inputs = [(in_channels, height // 8, width // 8), (1,), (text_tokens, context)]
    inputs += [(added,)] if added else []
    inputs += [(guidance_waves,)] if guidance_waves else []
    b = Builder(name, "diffusion_unet", *inputs)
    time = _conditioning(b, channels[0], added, guidance_waves)
    levels = _levels(channels, attention, blocks)
    net = _UNet(b, time, b.input(2), heads, head_dim)
    x = b.conv(b.input(), channels[0], 3, name="conv_in")
    x, skips = net.down(x, channels, levels)
    if middle_block:
        depth = next((d for level in reversed(levels) for d in level if d), 0) if middle is None else middle
        with b.block("mid"):
            x = net.residual(x, channels[-1], "res1")
            for index in range(1 if depth else 0):
                x = net.transformer(x, depth, f"transformer{index}")
            x = net.residual(x, channels[-1], "res2")
    upward = _levels(channels, attention if attention_up is None else attention_up, blocks + 1)
    x = net.up(x, skips, channels, upward)
    x = b.act(b.group_norm(x, 32, name="norm_out"), "silu", name="act_out")
    return b.build(b.conv(x, out_channels, 3, name="conv_out"), sample="denoising step")


def _conditioning(b: Builder, waves: int, added: int, guidance_waves: int) -> Value:
    width = 4 * waves
    with b.block("time"):
        with b.scope("time"):
            waved = embed_scalar_waves(b, waves)
            if guidance_waves:
                index = 4 if added else 3
                waved = b.add(waved, b.linear(b.input(index), waves, bias=False, name="guidance"), name="add_guidance")
            time = embed_vector(b, waved, width)
        if added:
            time = b.add(time, embed_vector(b, b.input(3), width, name="added"), name="add_added")
    return time


def _levels(channels: Sequence[int], attention: Depths, blocks: int) -> list[list[int]]:
    """Return the transformer layers of each block of each level."""
    found = [[depth] * blocks if isinstance(depth, int) else list(depth) for depth in attention]
    if len(found) != len(channels) or any(len(level) != blocks for level in found):
        raise ValueError(f"attention says {attention} for {len(channels)} levels of {blocks} blocks")
    return found
