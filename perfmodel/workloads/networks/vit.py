"""Plain vision transformers: ViT, DeiT, BEiT, EVA, DINOv2/v3, CLIP and SigLIP towers, AIMv2 and relatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import Bias, BlockStyle, block, norm, position_mlp
from perfmodel.workloads.networks.vit_tokens import classifier, one_of, pooled, positions, sides


@dataclass(frozen=True)
class Relative:
    """How scores are biased by relative positions on a grid, of which ``prefix`` tokens have none.

    ``kind`` is "", "table" (a number a distance, head and block; three more for the class token), "mlp" (two layers,
    the first ``width`` wide, in each block) or "shared" (the same for all blocks).
    """

    kind: str
    width: int
    grid: tuple[int, int]

    @property
    def distances(self) -> int:
        """Return how many relative positions there are."""
        return (2 * self.grid[0] - 1) * (2 * self.grid[1] - 1)


@family("vit")
def vit(
    name: str, width: int, depth: int, heads: int, *, patch: int = 16, mlp: int = 0, gate: str = "", act: str = "gelu",
    normed: str = "layer", bias: str = "qkv", out_bias: bool = True, separate: bool = False, qk_norm: bool = False,
    inner_norm: str = "", layer_scale: str = "", order: str = "pre", differential: bool = False,
    kv_heads: Sequence[Sequence[int]] = (), rope: str = "", relative: str = "", relative_width: int = 128,
    class_token: bool = True, registers: int = 0, distilled: bool = False, position: str = "tokens",
    position_grid: int = 0, embed_norm: bool = False, pre_norm: bool = False, final_norm: str = "tokens",
    pool: str = "token", pool_heads: int = 0, pool_mlp: int = 0, image: int | Sequence[int] = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a plain vision transformer: patches as tokens, ``depth`` blocks, a pooled vector and a classifier.

    ``mlp`` is the width of the feed-forward layer (0: four times ``width``), ``normed`` the kind of norms; the fields
    from ``gate`` to ``differential`` are those of :class:`BlockStyle`, ``kv_heads`` are runs of [blocks, key and
    value heads]. ``rope`` is "", "fixed" or "mixed" (learned frequencies), ``relative`` as in :class:`Relative`,
    ``position`` and ``pool`` as in :func:`positions` and :func:`pooled`. ``distilled`` adds a token and a classifier.
    ``pre_norm`` adds a norm before the blocks and drops the bias of the patches; ``final_norm`` is of "tokens",
    "pooled" or "".

    Source: Dosovitskiy et al. 2020 (arXiv 2010.11929), table 1; timm models/vision_transformer.py, deit.py, beit.py,
    eva.py, vision_transformer_relpos.py, naflexvit.py; torchvision models/vision_transformer.py.
    """
    style = BlockStyle(
        heads, mlp or 4 * width, gate, act, normed, bias, out_bias, separate, qk_norm, inner_norm, layer_scale, order,
        rope, differential,
    )  # fmt: skip
    _check(style, relative, position, final_norm, pool)
    b = Builder(name, "vit", (3, *sides(image)))
    x = b.conv(b.input(), width, patch, patch, 0, bias=not pre_norm, name="patch_embed")
    grid = (int(x.shape[1]), int(x.shape[2]))
    x = b.tokens(x)
    if embed_norm:
        x = norm(b, x, normed, name="patch_embed_norm")
    prefix = class_token + distilled + registers
    x = positions(b, x, grid, prefix, position, position_grid)
    if pre_norm:
        x = norm(b, x, normed, name="norm_pre")
    x = encode(b, x, style, depth, Relative(relative, relative_width, grid), kv_heads)
    if final_norm == "tokens":
        x = norm(b, x, normed)
    x = pooled(b, x, pool, prefix, pool_heads or heads, pool_mlp or style.mlp, normed)
    if final_norm == "pooled":
        x = norm(b, x, normed, name="fc_norm")
    return b.build(classifier(b, x, classes, twice=distilled))


def _check(style: BlockStyle, relative: str, position: str, final_norm: str, pool: str) -> None:
    """Refuse words that no block, position or pooling goes by."""
    one_of("gate", style.gate, "", "packed", "separate", "normed")
    one_of("normed", style.norm, "layer", "rms")
    one_of("inner_norm", style.inner_norm, "", "attention", "mlp", "both")
    one_of("layer_scale", style.layer_scale, "", "both", "attention")
    one_of("order", style.order, "pre", "post", "parallel", "pairs")
    one_of("rope", style.rope, "", "fixed", "mixed")
    one_of("relative", relative, "", "table", "mlp", "shared")
    one_of("position", position, "tokens", "patches", "factored", "none")
    one_of("final_norm", final_norm, "", "tokens", "pooled")
    one_of("pool", pool, "token", "mean", "map", "map-all", "refine")


def encode(
    b: Builder,
    x: Value,
    style: BlockStyle,
    depth: int,
    relative: Relative | None = None,
    kv_heads: Sequence[Sequence[int]] = (),
) -> Value:
    """Add ``depth`` equal blocks, but for their key and value heads where those are given."""
    rule = relative or Relative("", 0, (1, 1))
    shared = position_mlp(b, rule.distances, rule.width, style.heads) if rule.kind == "shared" else None
    grouped = [heads for count, heads in kv_heads for _ in range(count)]
    for index in range(depth):
        each = replace(style, kv_heads=grouped[index]) if grouped else style
        with b.block(f"blocks.{index}"):
            x = block(b, x, each, _bias(b, rule, style.heads, shared))
    return x


def _bias(b: Builder, rule: Relative, heads: int, shared: Value | None) -> Bias | None:
    if rule.kind == "table":
        return Bias((rule.distances + 3) * heads)
    if rule.kind == "mlp":
        return Bias(value=position_mlp(b, rule.distances, rule.width, heads))
    return None if shared is None else Bias(value=shared)
