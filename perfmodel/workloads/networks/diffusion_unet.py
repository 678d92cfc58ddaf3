"""UNets of latent diffusion: residual blocks and transformers on the way down and up, with skips between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import cross_attention, embed_vector, waves
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
    middle: int = 1,
    middle_blocks: int = 2,
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
    layers in each block of a level (a list: of each block; ``attention_up``: on the way up), ``middle`` those between
    the ``middle_blocks`` residual blocks of the middle, ``heads`` or ``head_dim``, ``context`` width of the text's
    tokens, ``added`` width of further conditions (pooled text, sizes), ``guidance_waves`` of an embedded guidance.
    Source: Rombach et al. 2021 (arXiv 2112.10752), section 3; SDXL (arXiv 2307.01952), table 1; diffusers
    models/unets/unet_2d_condition.py. Keys and values of the text are computed in each step.
    """
    inputs = [(in_channels, height // 8, width // 8), (1,), (text_tokens, context)]
    inputs += [(n,) for n in (added, guidance_waves) if n]
    b = Builder(name, "diffusion_unet", *inputs)
    with b.block("time"):
        time = _conditions(b, channels[0], added, guidance_waves)
    net = _UNet(b, time, b.input(2), heads, head_dim)
    x, skips = net.down(b.conv(b.input(), channels[0], 3, name="conv_in"), channels, _levels(attention, blocks))
    with b.block("mid"):
        for index in range(middle_blocks):
            x = net.stage(x, channels[-1], middle if index == 0 else 0)
    x = net.up(x, skips, channels, _levels(attention if attention_up is None else attention_up, blocks + 1))
    x = b.act(b.group_norm(x, 32, name="norm_out"), "silu", name="act_out")
    return b.build(b.conv(x, out_channels, 3, name="conv_out"), sample="denoising step")


def _conditions(b: Builder, count: int, added: int, guidance_waves: int) -> Value:
    """Return the vector that the residual blocks are told: the time step, the guidance, what is added."""
    x = waves(b, b.input(1), count)
    if guidance_waves:
        x = b.add(x, b.linear(b.input(4 if added else 3), count, bias=False, name="guidance"), name="guided")
    x = embed_vector(b, x, 4 * count)
    return b.add(x, embed_vector(b, b.input(3), 4 * count, name="added")) if added else x


def _levels(attention: Depths, blocks: int) -> list[list[int]]:
    """Return the transformer layers of each block of each level."""
    found = [[depth] * blocks if isinstance(depth, int) else list(depth) for depth in attention]
    if any(len(level) != blocks for level in found):
        raise ValueError(f"attention is {list(attention)}, but a level has {blocks} blocks")
    return found


@dataclass(frozen=True)
class _UNet:
    b: Builder
    time: Value
    text: Value
    heads: int
    head_dim: int

    def down(self, x: Value, channels: Sequence[int], levels: list[list[int]]) -> tuple[Value, list[Value]]:
        b, skips = self.b, [x]
        for level, (out, depths) in enumerate(zip(channels, levels, strict=True)):
            for index, depth in enumerate(depths):
                with b.block(f"down{level}.{index}"):
                    x = self.stage(x, out, depth)
                skips.append(x)
            if level < len(channels) - 1:
                with b.block(f"down{level}.down"):
                    x = b.conv(x, out, 3, 2, 1)
                skips.append(x)
        return x, skips

    def up(self, x: Value, skips: list[Value], channels: Sequence[int], levels: list[list[int]]) -> Value:
        b = self.b
        for level in reversed(range(len(channels))):
            for index, depth in enumerate(levels[level]):
                with b.block(f"up{level}.{index}"):
                    x = self.stage(b.concat((x, skips.pop())), channels[level], depth)
            if level:
                with b.block(f"up{level}.up"):
                    _, height, width = skips[-1].shape
                    x = b.conv(b.resize(x, (int(height), int(width)), "nearest"), channels[level], 3)
        return x

    def stage(self, x: Value, channels: int, depth: int) -> Value:
        """Add a residual block that is told the time step, and ``depth`` transformer layers, if any."""
        b = self.b
        y = b.conv(b.act(b.group_norm(x, 32, name="norm1"), "silu", name="act1"), channels, 3, name="conv1")
        shift = b.linear(b.act(self.time, "silu", name="time_act"), channels, name="time")
        y = b.scale(y, shift, name="time_add")
        y = b.conv(b.act(b.group_norm(y, 32, name="norm2"), "silu", name="act2"), channels, 3, name="conv2")
        x = x if x.channels == channels else b.conv(x, channels, 1, name="shortcut")
        x = b.add(x, y)
        return self._transformer(x, depth) if depth else x

    def _transformer(self, x: Value, depth: int) -> Value:
        b, channels = self.b, int(x.channels)
        heads = channels // self.head_dim if self.head_dim else self.heads
        _, height, width = x.shape
        y = b.linear(b.tokens(b.group_norm(x, 32, name="attn_norm")), channels, name="proj_in")
        for index in range(depth):
            with b.scope(f"layer{index}"):
                z = b.layer_norm(y, name="norm1")
                y = b.add(y, b.self_attention(z, heads, qkv_bias=False), name="add1")
                z = b.layer_norm(y, name="norm2")
                z = cross_attention(b, z, self.text, heads, channels // heads, bias=False, out_bias=True)
                y = b.add(y, z, name="add2")
                y = b.add(y, self._feed_forward(b.layer_norm(y, name="norm3")), name="add3")
        return b.add(x, b.image(b.linear(y, channels, name="proj_out"), height, width), name="attn_add")

    def _feed_forward(self, x: Value) -> Value:
        b, hidden = self.b, 4 * x.width
        y = b.linear(x, 2 * hidden, name="fc1")
        y = b.node("geglu", ops.GatedActivation(x.shape[0], hidden), (y,), (x.shape[0], hidden), kind="gelu")
        return b.linear(y, x.width, name="fc2")
