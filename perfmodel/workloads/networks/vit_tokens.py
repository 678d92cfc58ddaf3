"""What stands around the blocks of vision transformers: added tokens, positions, pooling, classifier."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.networks.vit_blocks import attention_pool


def sides(image: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of an image stated as one number or as both."""
    height, width = (image, image) if isinstance(image, int) else image
    return height, width


def one_of(field: str, value: str, *allowed: str) -> str:
    """Return a field's value; ValueError if it is none of those that are allowed."""
    if value not in allowed:
        raise ValueError(f"{field} must be one of {', '.join(repr(word) for word in allowed)}, not {value!r}")
    return value


def add_tokens(b: Builder, x: Value, count: int, *, name: str = "cls_token") -> Value:
    """Put ``count`` learned tokens before the others."""
    if not count:
        return x
    tokens, width = x.shape
    return b.node(name, ops.Copy(tokens + count, width), (x,), (tokens + count, width), count * width)


def positions(b: Builder, x: Value, grid: tuple[int, int], prefix: int, kind: str, side: int = 0) -> Value:
    """Add learned positions and ``prefix`` learned tokens.

    ``kind``: of all "tokens", of "patches" only, "factored" into rows and columns, "none". A ``side`` says that the
    positions are of a grid of that many a side, resized to the image's.
    """
    width = x.width
    rows, columns = (side, side) if side else grid
    count: Number = rows + columns if kind == "factored" else rows * columns
    if kind == "none":
        return add_tokens(b, x, prefix)
    if kind == "tokens":
        return b.learned(add_tokens(b, x, prefix), (count + prefix) * width, name="pos_embed")
    return add_tokens(b, b.learned(x, count * width, name="pos_embed"), prefix)


def pooled(b: Builder, x: Value, kind: str, prefix: int, heads: int, mlp: int, norm: str = "layer") -> Value:
    """Return one vector: the first token, the mean of patches, or attention over them.

    ``kind`` is "token", "mean", "map" (attention of a learned query), "map-all" (over added tokens too) or "refine"
    (attention of tokens without learned weights, then the first).
    """
    tokens, width = x.shape
    if kind == "refine":
        x = b.attend([x], x.shape, heads=heads, head_dim=width // heads, q_tokens=tokens, name="refine")
    if kind in ("token", "refine"):
        return b.view(x, (width,), name="token")
    if prefix and kind != "map-all":
        x = b.view(x, (tokens - prefix, width), name="patches")
    if kind == "mean":
        return b.token_pool(x)
    return attention_pool(b, x, heads, mlp, kind=norm)


def classifier(b: Builder, x: Value, classes: int, *, bias: bool = True, twice: bool = False) -> Value:
    """Add a classifier unless there are no classes; ``twice`` adds one for a distillation token and takes the mean."""
    if not classes:
        return x
    y = b.linear(x, classes, bias=bias, name="head")
    if not twice:
        return y
    return b.add(y, b.linear(x, classes, name="head_dist"), name="mean")
