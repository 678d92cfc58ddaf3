"""Diffusion transformers that are told a class: DiT, SiT."""

from __future__ import annotations

from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import (
    embed_scalar,
    gated_add,
    modulated_norm,
    modulation,
    patches,
    unpatched,
)
from perfmodel.workloads.networks.registry import family


@family("dit")
def dit(
    name: str,
    hidden: int,
    depth: int,
    heads: int,
    *,
    patch: int = 2,
    mlp_ratio: float = 4.0,
    latent: int = 4,
    learned_variance: bool = True,
    classes: int = 1000,
    height: int = 256,
    width: int | None = None,
) -> Network:
    """Return a diffusion transformer for one latent of an image of ``height`` pixels (``width`` as many, by default).

    ``hidden`` features of a token of ``patch`` latent positions a side, ``learned_variance`` doubles the channels that
    leave. A class (or none) and the time step modulate each layer (adaLN-Zero). Source: Peebles and Xie 2022 (arXiv
    2212.09748), table 1 and section 3.2; facebookresearch/DiT models.py, which embeds time and class once. Fixed
    positions are not learned.
    """
    b = Builder(name, "dit", (latent, height // 8, (width or height) // 8), (1,), (1,))
    x = b.learned(patches(b, b.input(), hidden, (patch, patch)), 0)
    with b.block("condition"):
        label = b.view(b.embedding(b.input(2), classes + 1, hidden, 1, name="label"), (hidden,))
        condition = b.add(embed_scalar(b, b.input(1), 256, hidden), label)
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            by = modulation(b, condition, 6 * hidden)
            y = b.self_attention(modulated_norm(b, x, by, name="norm1"), heads)
            x = gated_add(b, x, y, by, name="add1")
            y = b.mlp(modulated_norm(b, x, by, name="norm2"), int(hidden * mlp_ratio))
            x = gated_add(b, x, y, by, name="add2")
    with b.block("final"):
        x = modulated_norm(b, x, modulation(b, condition, 2 * hidden))
        x = unpatched(b, x, b.input(), (patch, patch), latent * (2 if learned_variance else 1))
    return b.build(x, sample="denoising step")
