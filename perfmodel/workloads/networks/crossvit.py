"""CrossViT and TNT: two branches of patches that exchange class tokens, and a transformer inside each patch."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import BlockStyle, block
from perfmodel.workloads.networks.vit_tokens import add_tokens, classifier


@family("crossvit")
def crossvit(
    name: str, widths: Sequence[int], heads: int, depth: int, *, rounds: int = 3, patches: Sequence[int] = (12, 16),
    scales: Sequence[float] = (1.0, 14 / 15), mlp_ratio: float = 3.0, multi_conv: bool = False, image: int = 240,
    classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a CrossViT: a small branch of one block and a large one of ``depth`` blocks a round, then fusion.

    ``scales`` are the sides of each branch's image, relative to ``image``; ``multi_conv`` embeds patches by three
    convolutions (the dagger models). Source: Chen et al. 2021 (arXiv 2103.14899), table 1; timm models/crossvit.py.
    """
    b = Builder(name, "crossvit", (3, image, image))
    branches: list[Value] = []
    for index, (width, patch, scale) in enumerate(zip(widths, patches, scales, strict=True)):
        x, side = b.input(), int(image * scale)
        if side != image:
            x = b.resize(x, side, "bicubic", name=f"resize.{index}")
        with b.block(f"patch_embed.{index}"):
            x = add_tokens(b, b.tokens(_embed(b, x, width, patch, multi_conv)), 1)
            branches.append(b.learned(x, x.shape[0] * width, name="pos_embed"))
    for turn in range(rounds):
        for index, width in enumerate(widths):
            style = BlockStyle(heads, int(width * mlp_ratio))
            for number in range((1, depth)[index]):
                with b.block(f"blocks.{turn}.blocks.{index}.{number}"):
                    branches[index] = block(b, branches[index], style)
        tokens = [
            _to_width(b, b.view(x, (1, x.width)), int(branches[1 - i].width), f"blocks.{turn}.projs.{i}")
            for i, x in enumerate(branches)
        ]
        branches = [_fused(b, tokens[i], branches[1 - i], branches[i], heads, f"blocks.{turn}", i) for i in (0, 1)]
    logits: list[Value] = []
    for index, x in enumerate(branches):
        y = b.layer_norm(x, name=f"norm.{index}")
        logits.append(b.linear(b.view(y, (y.width,)), classes, name=f"head.{index}"))
    return b.build(b.add(*logits, name="mean"))


def _embed(b: Builder, x: Value, width: int, patch: int, multi_conv: bool) -> Value:
    if not multi_conv:
        return b.conv(x, width, patch, patch, 0, name="proj")
    x = b.act(b.conv(x, width // 4, 7, 4, name="proj.0"))
    x = b.act(b.conv(x, width // 2, 3, 3 if patch == 12 else 2, 0 if patch == 12 else 1, name="proj.2"))
    return b.conv(x, width, 3, 1 if patch == 12 else 2, name="proj.4")


def _to_width(b: Builder, x: Value, width: int, name: str) -> Value:
    """Project a class token to the other branch's width."""
    with b.block(name):
        return b.linear(b.act(b.layer_norm(x), "gelu"), width)


def _fused(b: Builder, token: Value, other: Value, own: Value, heads: int, name: str, index: int) -> Value:
    """Let the class token of one branch attend to the other's patches, and put it back before its own."""
    width, patches = int(other.width), other.shape[0] - 1
    with b.block(f"{name}.fusion.{index}"):
        x = b.concat([token, b.view(other, (patches, width))])
        y = b.layer_norm(x, name="norm1")
        q = b.linear(b.view(y, (1, width)), width, name="wq")
        k, v = b.linear(y, width, name="wk"), b.linear(y, width, name="wv")
        y = b.attend(
            [q, k, v], (1, width), heads=heads, head_dim=width // heads, q_tokens=1, kv_tokens=patches + 1, fused=False
        )
        x = b.add(b.view(x, (1, width)), b.linear(y, width, name="proj"))
    x = _to_width(b, x, int(own.width), f"{name}.revert_projs.{index}")
    return b.concat([x, b.view(own, (own.shape[0] - 1, own.width))], name=f"{name}.cat.{index}")


@family("tnt")
def tnt(
    name: str, width: int, inner: int, depth: int, heads: int, *, inner_heads: int = 4, patch: int = 16,
    stride: int = 4, legacy: bool = False, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a Transformer in Transformer: pixels of each patch attend to each other, and patches to each other.

    ``inner`` is the width of a pixel (a position of a convolution of ``stride``). ``legacy`` convolves the image before
    it is cut into patches, and norms pixels singly. Source: Han et al. 2021 (arXiv 2103.00112), table 1; timm
    models/tnt.py.
    """
    b = Builder(name, "tnt", (3, image, image))
    side = image // patch
    patches, pixels = side * side, (-(-patch // stride)) ** 2
    if legacy:
        x = b.copy(b.conv(b.input(), inner, 7, stride, name="pixel_embed"), (patches, pixels, inner), name="unfold")
    else:
        x = b.copy(b.input(), (patches, 3, patch * patch), name="unfold")
        op = ops.Conv(patches, 1, 3, inner, patch, patch, 1, (1, 7, 7), (1, stride, stride), (0, 6, 6))
        x = b.node("pixel_embed", op, (x,), (patches, pixels, inner), op.weights + inner)
    x = b.learned(x, pixels * inner, name="pixel_pos")
    y = b.view(x, (patches, pixels * inner))
    y = b.layer_norm(b.linear(b.layer_norm(y, name="norm1_proj"), width, name="proj"), name="norm2_proj")
    y = add_tokens(b, y, 1)
    y = b.learned(y, y.shape[0] * width, name="patch_pos")
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            x, y = _tnt_block(b, x, y, (inner_heads, heads), legacy)
    return b.build(classifier(b, b.view(b.layer_norm(y), (width,)), classes))


def _tnt_block(b: Builder, x: Value, y: Value, heads: tuple[int, int], legacy: bool) -> tuple[Value, Value]:
    patches, pixels, inner = x.shape
    x = b.add(x, _plain_attention(b, b.layer_norm(x, name="norm_in"), heads[0], "attn_in"), name="add_in1")
    x = b.add(x, b.mlp(b.layer_norm(x, name="norm_mlp_in"), 4 * inner, name="mlp_in"), name="add_in2")
    z = b.view(b.layer_norm(x, name="norm1_proj") if legacy else x, (patches, pixels * inner))
    if legacy:
        z = b.linear(z, y.width, name="proj")
    else:
        z = b.linear(b.layer_norm(z, name="norm1_proj"), y.width, bias=False, name="proj")
        z = b.layer_norm(z, name="norm2_proj")
    z = b.add(b.view(y, (patches, y.width)), z, name="add_proj")
    y = b.concat([b.view(y, (1, y.width)), z])
    y = b.add(y, _plain_attention(b, b.layer_norm(y, name="norm_out"), heads[1], "attn_out"), name="add1")
    return x, b.add(y, b.mlp(b.layer_norm(y, name="norm_mlp"), 4 * y.width), name="add2")


def _plain_attention(b: Builder, x: Value, heads: int, name: str) -> Value:
    """Add attention of each group of tokens with itself, without biases of queries, keys and values."""
    *groups, tokens, width = x.shape
    with b.scope(name):
        qk, v = b.linear(x, 2 * width, bias=False, name="qk"), b.linear(x, width, bias=False, name="v")
        windows = groups[0] if groups else 1
        y = b.attend(
            [qk, v], x.shape, heads=heads, head_dim=width // heads, q_tokens=tokens, windows=windows, fused=False
        )
        return b.linear(y, width, name="proj")
