"""Multiscale vision transformers, versions 1 and 2, for images and videos: attention with pooled queries and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import add_tokens, classifier, one_of
from perfmodel.workloads.networks.window_blocks import Grid


@dataclass(frozen=True)
class _Style:
    pool_queries: bool
    relative: bool
    residual_pool: bool
    expand: str
    prefix: int
    mlp_ratio: float


@dataclass(frozen=True)
class _Block:
    """One block: features that leave, of attention and of all; heads; strides of queries and of keys and values."""

    features: int
    out: int
    heads: int
    q_stride: Grid
    kv_stride: Grid


@family("mvit")
def mvit(
    name: str, width: int, depths: Sequence[int], heads: Sequence[int], *, kv_stride: int = 4,
    expand: str = "attention", pool_queries: bool = True, relative: bool = True, residual_pool: bool = True,
    class_token: bool = False, position: bool = False, mlp_ratio: float = 4.0, frames: int = 0, image: int = 224,
    classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a multiscale vision transformer: four stages, each of half the side and twice the width of the last.

    Keys and values are pooled by ``kv_stride`` in the first stage and half as much in each later one, queries at the
    start of a stage (``pool_queries``: convolved in all blocks). ``expand``: where the width grows, in "attention" at a
    stage's start or in the "mlp" at its end. ``relative``: biases from relative positions, ``position``: learned
    positions, ``residual_pool``: queries are added to what attention gives. ``frames`` 0 is for images; otherwise a
    sample is a clip of so many. Source: Fan et al. 2021 (arXiv 2104.11227), table 2; Li et al. 2021 (arXiv
    2112.01526), table 1 and section 3.1; timm models/mvitv2.py; torchvision models/video/mvit.py.
    """
    one_of("expand", expand, "attention", "mlp")
    style = _Style(pool_queries, relative, residual_pool, expand, int(class_token), mlp_ratio)
    video = [1] if frames else []
    b = Builder(name, "mvit", (3, frames, image, image) if frames else (3, image, image))
    kernel, stride, pad = ((3, 7, 7), (2, 4, 4), (1, 3, 3)) if frames else ((7, 7), (4, 4), (3, 3))
    x = b.conv(b.input(), width, kernel, stride, pad, name="patch_embed")
    grid = tuple(int(n) for n in x.shape[1:])
    x = add_tokens(b, b.tokens(x), style.prefix)
    if position:
        learned = prod(grid[-2:]) + (grid[0] if frames else 0) + style.prefix
        x = b.learned(x, learned * width, name="pos_embed")
    for stage, depth in enumerate(depths):
        kv = (*video, *[max(kv_stride // 2**stage, 1)] * 2)
        here, after = width * 2**stage, width * 2 ** min(stage + 1, len(depths) - 1)
        for index in range(depth):
            q = (*video, *[2 if stage and not index else 1] * 2)
            out = after if expand == "mlp" and index + 1 == depth else here
            with b.block(f"stages.{stage}.blocks.{index}"):
                x, grid = _block(b, x, grid, _Block(here, out, heads[stage], q, kv), style)
    x = b.layer_norm(x)
    x = b.view(x, (x.width,), name="token") if class_token else b.token_pool(x)
    return b.build(classifier(b, x, classes), sample="clip" if frames else "image")


def _block(b: Builder, x: Value, grid: Grid, block: _Block, style: _Style) -> tuple[Value, Grid]:
    y = b.layer_norm(x, name="norm1")
    skip = x if x.width == block.features else b.linear(y, block.features, name="shortcut_proj_attn")
    if prod(block.q_stride) > 1:
        skip = _pooled_shortcut(b, skip, grid, block.q_stride, style.prefix)
    y, grid = _attention(b, y, grid, block, style)
    x = b.add(skip, y, name="add1")
    y = b.layer_norm(x, name="norm2")
    if block.out != block.features:
        x = b.linear(y, block.out, name="shortcut_proj_mlp")
    with b.scope("mlp"):
        y = b.act(b.linear(y, int(block.features * style.mlp_ratio), name="fc1"), "gelu")
        y = b.linear(y, block.out, name="fc2")
    return b.add(x, y, name="add2"), grid


def _pooled_shortcut(b: Builder, x: Value, grid: Grid, stride: Grid, prefix: int) -> Value:
    """Return tokens pooled by maxima to a smaller grid; the class token stays."""
    with b.scope("shortcut"):
        y = b.copy(x, (x.width, *grid), name="image")
        y = b.max_pool(
            y, [s + 1 if s > 1 else s for s in stride], stride, [(s + 1) // 2 if s > 1 else 0 for s in stride]
        )
        y = b.tokens(y)
        return b.copy(y, (y.shape[0] + prefix, y.width), name="concat") if prefix else y


def _attention(b: Builder, x: Value, grid: Grid, block: _Block, style: _Style) -> tuple[Value, Grid]:
    features, heads = block.features, block.heads
    head = features // heads
    with b.scope("attn"):
        qkv = b.linear(x, 3 * features, name="qkv")
        k, kv_grid = _pool(b, qkv, grid, block.kv_stride, block, style, "k")
        v, _ = _pool(b, qkv, grid, block.kv_stride, block, style, "v")
        q, q_grid = qkv, grid
        if style.pool_queries or prod(block.q_stride) > 1:
            q, q_grid = _pool(b, qkv, grid, block.q_stride, block, style, "q")
        tokens, keys = prod(q_grid) + style.prefix, prod(kv_grid) + style.prefix
        inputs = [q, k, v]
        if style.relative:
            inputs += relative_biases(b, q, q_grid, kv_grid, heads, head, _reach(grid, block))
        y = b.attend(
            inputs, (tokens, features), heads=heads, head_dim=head, q_tokens=tokens, kv_tokens=keys, fused=False
        )
        if style.residual_pool:
            y = b.add(y, q, name="residual_pool")
        return b.linear(y, features, name="proj"), q_grid


def _pool(
    b: Builder, qkv: Value, grid: Grid, stride: Grid, block: _Block, style: _Style, part: str
) -> tuple[Value, Grid]:
    """Convolve queries, keys or values depthwise with kernels that heads share, and norm each head's."""
    head = block.features // block.heads
    t, h, w = (1,) * (3 - len(grid)) + grid
    kernel, pad = (1 if len(grid) < 3 else 3, 3, 3), (0 if len(grid) < 3 else 2, 2, 2)
    strides = (1 if len(grid) < 3 else stride[0], stride[-2], stride[-1])
    op = ops.Conv(block.heads, head, 1, 1, h, w, t, kernel, strides, pad)
    left = tuple(int(n) for n in op.sides()[3 - len(grid) :])
    with b.scope(f"pool_{part}"):
        y = b.copy(b.view(qkv, (prod(grid), block.features)), (block.features, *grid), name="image")
        y = b.node("conv", op, (y,), (block.features, *left), op.weights)
        tokens = prod(left) + style.prefix
        y = b.copy(y, (tokens, block.features), name="tokens")
        norm = ops.LayerNorm(tokens * block.heads, head)
        return b.node("norm", norm, (y,), y.shape, 2 * head), left


def _reach(grid: Grid, block: _Block) -> Grid:
    """Return the sides of the grids that tables of relative positions are made for."""
    return tuple(max(side // q, side // kv) for side, q, kv in zip(grid, block.q_stride, block.kv_stride, strict=True))


def relative_biases(
    b: Builder, q: Value, q_grid: Grid, kv_grid: Grid, heads: int, head: int, reach: Grid
) -> list[Value]:
    """Return products of queries with learned embeddings of distances along each side (arXiv 2112.01526).

    ``reach`` are the sides that the tables are made for.
    """
    positions, found = prod(q_grid), []
    for axis, (side, keys, far) in enumerate(zip(q_grid, kv_grid, reach, strict=True)):
        op = ops.BatchedMatmul(side, heads * positions // side, keys, head)
        found.append(b.node(f"rel_{axis}", op, (q,), (heads * positions, keys), (2 * far - 1) * head))
    return found
