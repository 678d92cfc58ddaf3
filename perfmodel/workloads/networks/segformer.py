"""SegFormer: a transformer of four stages with pooled keys and values, and a decoder of dense layers."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import plain_attention, positions
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("segformer")
def segformer(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    *,
    heads: Sequence[int] = (1, 2, 5, 8),
    reductions: Sequence[int] = (8, 4, 2, 1),
    mlp_ratio: int = 4,
    decoder: int = 256,
    image: int | Sequence[int] = 512,
    classes: int = 150,
) -> Network:
    """Return a SegFormer: stages of ``depths`` blocks of ``widths``, whose keys and values are reduced in size.

    ``reductions`` divide each side of the image that is attended to; ``decoder`` is the width of the dense layers that
    join the stages. Source: Xie et al. 2021 (arXiv 2105.15203), tables 1 and 6; transformers
    models/segformer/modeling_segformer.py.
    """
    b = Builder(name, "segformer", (3, *sides(image)))
    x, maps = b.input(), list[Value]()
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        with b.scope(f"stages.{stage}"):
            x = b.conv(x, width, 3 if stage else 7, 2 if stage else 4, 1 if stage else 3, name="patch_embed")
            height, breadth = (int(n) for n in x.shape[1:])
            x = b.layer_norm(b.tokens(x), name="patch_norm")
            for index in range(depth):
                with b.block(index):
                    x = _block(b, x, (height, breadth), heads[stage], reductions[stage], mlp_ratio * width)
            x = b.image(b.layer_norm(x, name="norm"), height, breadth)
        maps.append(x)
    joined: list[Value] = []
    size = [int(n) for n in maps[0].shape[1:]]
    for index, x in enumerate(maps):
        with b.block(f"decoder.{index}"):
            y = b.linear(b.tokens(x), decoder)
            joined.append(b.resize(b.image(y, *x.shape[1:]), size))
    with b.block("decoder.out"):
        return b.build(b.conv(b.conv_bn(b.concat(list(reversed(joined))), decoder, name="fuse"), classes))


def _block(b: Builder, x: Value, grid: tuple[int, int], heads: int, reduction: int, hidden: int) -> Value:
    x = b.add(x, _attention(b, b.layer_norm(x, name="norm1"), grid, heads, reduction), name="add1")
    y = b.linear(b.layer_norm(x, name="norm2"), hidden, name="fc1")
    y = b.conv(b.image(y, *grid), hidden, 3, groups=hidden, name="depthwise")
    y = b.linear(b.act(b.tokens(y), "gelu"), x.width, name="fc2")
    return b.add(x, y, name="add2")


def _attention(b: Builder, x: Value, grid: tuple[int, int], heads: int, reduction: int) -> Value:
    tokens, width = (int(n) for n in x.shape)
    head, other = width // heads, x
    query = b.linear(x, width, name="query")
    if reduction > 1:
        small = b.conv(b.image(x, *grid), width, reduction, reduction, 0, name="reduce")
        other = b.layer_norm(b.view(small, (positions(small), width), name="reduced"), name="reduce_norm")
    kv = b.linear(other, 2 * width, name="kv")
    y = plain_attention(
        b, [query, kv], (tokens, width), heads=heads, key=head, value=head, q_tokens=tokens, kv_tokens=int(kv.shape[0])
    )
    return b.linear(y, width, name="proj")
