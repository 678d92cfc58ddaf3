"""CvT: overlapping patches before each of three stages, queries, keys and values after depthwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import add_tokens, classifier


@family("cvt")
def cvt(
    name: str, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], *, mlp_ratio: float = 4.0,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a convolutional vision transformer; the last stage has a class token.

    Source: Wu et al. 2021 (arXiv 2103.15808); transformers modeling_cvt.py (CvtForImageClassification).
    """
    b = Builder(name, "cvt", (3, image, image))
    x, prefix = b.input(), 0
    for stage, width in enumerate(widths):
        with b.block(f"stages.{stage}.embedding"):
            kernel, stride, padding = (3, 2, 1) if stage else (7, 4, 2)
            x = b.conv(x, width, kernel, stride, padding, name="projection")
            grid = (int(x.shape[1]), int(x.shape[2]))
            x = b.layer_norm(b.tokens(x))
        if stage + 1 == len(widths):
            x, prefix = add_tokens(b, x, 1), 1
        for index in range(depths[stage]):
            with b.block(f"stages.{stage}.layers.{index}"):
                y = _attention(b, b.layer_norm(x, name="norm1"), grid, heads[stage], prefix)
                x = b.add(x, y, name="add1")
                x = b.add(x, b.mlp(b.layer_norm(x, name="norm2"), int(width * mlp_ratio)), name="add2")
        if not prefix:
            x = b.image(b.copy(x, name=f"stages.{stage}.channels_first"), *grid)
    x = b.layer_norm(b.view(x, (1, x.width), name="token"))
    return b.build(classifier(b, b.view(x, (x.width,)), classes))


def _attention(b: Builder, x: Value, grid: tuple[int, int], heads: int, prefix: int) -> Value:
    """Add attention whose keys and values are of every second position."""
    tokens, width = x.shape
    patches = b.view(x, (tokens - prefix, width), name="patches")
    image = b.image(b.copy(patches, name="channels_first"), *grid)
    projected: dict[str, Value] = {}
    with b.scope("attn"):
        for part, stride in (("k", 2), ("q", 1), ("v", 2)):
            y = b.conv(image, width, 3, stride, groups=width, bias=False, name=f"conv_{part}")
            y = b.tokens(b.batch_norm(y, name=f"bn_{part}"))
            if prefix:
                y = b.concat([b.view(x, (prefix, width)), y], name=f"concat_{part}")
            projected[part] = b.linear(y, width, name=f"linear_{part}")
        y = b.attend(
            list(projected.values()), x.shape, heads=heads, head_dim=width // heads, q_tokens=tokens,
            kv_tokens=projected["k"].shape[0], fused=False,
        )  # fmt: skip
        return b.linear(y, width, name="proj")
