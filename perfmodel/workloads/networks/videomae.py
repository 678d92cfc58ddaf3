"""VideoMAE: a plain vision transformer over patches of several frames."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("videomae")
def videomae(
    name: str,
    *,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp: int = 3072,
    patch: Sequence[int] = (2, 16, 16),
    frames: int = 16,
    image: int | Sequence[int] = 224,
    classes: int = 400,
) -> Network:
    """Return VideoMAE's classifier: a vision transformer over patches of ``patch`` frames, rows and columns.

    Source: Tong et al. 2022 (arXiv 2203.12602), table 9; transformers models/videomae/modeling_videomae.py.
    """
    b = Builder(name, "videomae", (3, frames, *sides(image)))
    x = b.conv(b.input(), width, patch, patch, 0, name="patch_embed")
    x = b.scale(b.tokens(x), name="position")
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            y = b.layer_norm(x, name="norm1")
            qkv = b.scale(b.linear(y, 3 * width, bias=False, name="qkv"), parameters=2 * width, name="qv_bias")
            y = b.attend((qkv,), x.shape, heads=heads, head_dim=width // heads, q_tokens=x.shape[0])
            x = b.add(x, b.linear(y, width, name="proj"), name="add1")
            x = b.add(x, b.mlp(b.layer_norm(x, name="norm2"), mlp), name="add2")
    with b.block("head"):
        return b.build(b.linear(b.layer_norm(b.token_pool(x)), classes), sample="clip")
