"""NesT, PiT and ConViT: vision transformers with nested blocks, with pooled tokens and with positional heads."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import BlockStyle, attention, block
from perfmodel.workloads.networks.vit_tokens import add_tokens, classifier
from perfmodel.workloads.networks.window_blocks import partition, restore, whole_windows


@family("nest")
def nest(
    name: str, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], *, patch: int = 4,
    padding: str = "", mlp_ratio: float = 4.0, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a nested transformer: attention inside blocks of the image, of which each level has a quarter.

    ``padding`` is "" or "same" (TensorFlow's). Source: Zhang et al. 2021 (arXiv 2105.12723), table A1; timm
    models/nest.py.
    """
    pad = padding or None
    b = Builder(name, "nest", (3, image, image))
    x = b.conv(b.input(), widths[0], patch, patch, 0, name="patch_embed")
    side = image // patch // 2 ** (len(depths) - 1)
    for level, width in enumerate(widths):
        if level:
            with b.block(f"levels.{level}.pool"):
                x = b.layer_norm(b.conv(x, width, 3, padding=pad), channels_first=True)
                x = b.max_pool(x, 3, 2, pad or 1)
        grid = (int(x.shape[1]), int(x.shape[2]))
        whole_windows(grid, (side, side))
        x = partition(b, b.tokens(x), grid, (side, side))
        x = b.learned(x, grid[0] * grid[1] * width, name=f"levels.{level}.pos_embed")
        for index in range(depths[level]):
            with b.block(f"levels.{level}.transformer_encoder.{index}"):
                x = block(b, x, BlockStyle(heads[level], int(width * mlp_ratio)))
        x = restore(b, x, grid, (side, side))
        x = b.image(b.copy(x, name=f"levels.{level}.channels_first"), *grid)
    x = b.global_pool(b.layer_norm(x, channels_first=True))
    return b.build(classifier(b, x, classes))


@family("pit")
def pit(
    name: str, head_width: int, depths: Sequence[int], heads: Sequence[int], *, patch: int = 16, stride: int = 8,
    distilled: bool = False, mlp_ratio: float = 4.0, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a pooling-based vision transformer: stages of ``heads`` of ``head_width``, each of half the side.

    Patches overlap where ``stride`` is less than ``patch``. Source: Heo et al. 2021 (arXiv 2103.16302), table 1; timm
    models/pit.py.
    """
    b = Builder(name, "pit", (3, image, image))
    prefix = 1 + distilled
    x = b.conv(b.input(), head_width * heads[0], patch, stride, 0, name="patch_embed")
    x = b.learned(x, x.shape[0] * x.shape[1] * x.shape[2], name="pos_embed")
    tokens: Value | None = None
    for stage, count in enumerate(heads):
        width = head_width * count
        if tokens is not None:
            with b.block(f"transformers.{stage}.pool"):
                x = b.conv(x, width, 3, 2, groups=x.channels)
                tokens = b.linear(tokens, width, name="fc")
        grid = (int(x.shape[1]), int(x.shape[2]))
        x = b.tokens(x)
        x = b.concat([tokens, x]) if tokens is not None else add_tokens(b, x, prefix)
        for index in range(depths[stage]):
            with b.block(f"transformers.{stage}.blocks.{index}"):
                x = block(b, x, BlockStyle(count, int(width * mlp_ratio)))
        tokens = b.view(x, (prefix, width), name="cls_tokens")
        if stage + 1 < len(heads):
            x = b.image(b.copy(x, (grid[0] * grid[1], width), name="channels_first"), *grid)
    assert tokens is not None
    x = b.layer_norm(tokens)
    return b.build(classifier(b, b.view(x, (x.width,)), classes, twice=distilled))


@family("convit")
def convit(
    name: str, width: int, heads: int, *, depth: int = 12, local: int = 10, patch: int = 16, image: int = 224,
    classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a ConViT: ``local`` blocks mix attention with a softmax of positions, the others are plain.

    The class token comes after the local blocks. Source: d'Ascoli et al. 2021 (arXiv 2103.10697), section 3;
    timm models/convit.py.
    """
    b = Builder(name, "convit", (3, image, image))
    x = b.tokens(b.conv(b.input(), width, patch, patch, 0, name="patch_embed"))
    x = b.learned(x, x.shape[0] * width, name="pos_embed")
    style = BlockStyle(heads, 4 * width, bias="", fused=False)
    for index in range(depth):
        if index == local:
            x = add_tokens(b, x, 1)
        with b.block(f"blocks.{index}"):
            y = b.layer_norm(x, name="norm1")
            y = _positional(b, y, heads) if index < local else attention(b, y, style)
            x = b.add(x, y, name="add1")
            x = b.add(x, b.mlp(b.layer_norm(x, name="norm2"), style.mlp), name="add2")
    if depth == local:
        x = add_tokens(b, x, 1)
    return b.build(classifier(b, b.view(b.layer_norm(x), (width,)), classes))


def _positional(b: Builder, x: Value, heads: int) -> Value:
    """Add gated positional self-attention; its scores of positions are worked out for each image, as in timm."""
    tokens, width = x.shape
    head = width // heads
    with b.scope("attn"):
        q, k = b.split(b.linear(x, 2 * width, bias=False, name="qk"), (width, width), axis=-1)
        rows = (heads * tokens, tokens)
        scores = b.softmax(b.matmul(q, k, rows, batch=heads, m=tokens, n=tokens, k=head, name="scores"))
        places = b.view(b.linear(b.copy(x, (tokens * tokens, 3), name="rel_indices"), heads, name="pos_proj"), rows)
        places = b.softmax(places, name="pos_softmax")
        scores = b.add(b.scale(scores, parameters=heads, name="gate"), b.scale(places, name="pos_gate"), name="mix")
        scores = b.scale(scores, name="normalise")
        v = b.linear(x, width, bias=False, name="v")
        y = b.matmul(scores, v, (tokens, width), batch=heads, m=tokens, n=head, k=tokens, name="values")
        return b.linear(y, width, name="proj")
