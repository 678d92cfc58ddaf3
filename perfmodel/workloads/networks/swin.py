"""Swin transformers of versions 1 and 2 and for video: attention in shifted windows, four stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import dense, position_mlp
from perfmodel.workloads.networks.vit_tokens import classifier, one_of, sides
from perfmodel.workloads.networks.window_blocks import Grid, cosine_norm, merge_patches, partition, restore


@dataclass(frozen=True)
class SwinStyle:
    """What distinguishes the versions: "v1", "v2", or "v2-cr", which works out the biases of all pairs of a window.

    ``key_bias``: keys have biases too. ``pads``: windows larger than the grid are kept, and the grid is padded.
    """

    version: str = "v1"
    mlp_ratio: float = 4.0
    key_bias: bool = True
    pads: bool = False

    def window(self, grid: Grid, window: Grid) -> Grid:
        """Return the window that is used on a grid."""
        return window if self.pads else tuple(map(min, grid, window))


@family("swin")
def swin(
    name: str, width: int, depths: Sequence[int], heads: Sequence[int], *, window: int | Sequence[int] = 7,
    version: str = "v1", patch: int = 4, mlp_ratio: float = 4.0, key_bias: bool = True, pads: bool = False,
    norm_period: int = 0, norm_stages: bool = False, image: int | Sequence[int] = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a Swin transformer: four stages of blocks whose windows are shifted in every second one.

    ``heads`` and, if it is a list, ``window`` are of each stage; ``version``, ``key_bias`` and ``pads`` as in
    :class:`SwinStyle`. ``norm_period`` puts a norm after every so many blocks, ``norm_stages`` one after each stage.
    Source: Liu et al. 2021 (arXiv 2103.14030), section 3; Swin v2 (arXiv 2111.09883), sections 3.2 and 3.3; timm
    models/swin_transformer.py, swin_transformer_v2.py, swin_transformer_v2_cr.py; torchvision swin_transformer.py.
    """
    style = SwinStyle(one_of("version", version, "v1", "v2", "v2-cr"), mlp_ratio, key_bias, pads)
    windows = [window] * len(depths) if isinstance(window, int) else list(window)
    b = Builder(name, "swin", (3, *sides(image)))
    x = b.conv(b.input(), width, patch, patch, 0, name="patch_embed")
    grid = tuple(int(n) for n in x.shape[1:])
    x = b.layer_norm(b.tokens(x), name="patch_norm")
    for stage, depth in enumerate(depths):
        if stage:
            with b.scope(f"layers.{stage}"):
                x, grid = merge_patches(b, x, grid, width * 2**stage, norm_first=version != "v2")
        for index in range(depth):
            with b.block(f"layers.{stage}.{index}"):
                x = swin_block(b, x, grid, (windows[stage],) * 2, heads[stage], style, shift=index % 2 == 1)
                last = index + 1 == depth and (norm_stages or (version == "v2-cr" and stage + 1 == len(depths)))
                if last or (norm_period and (index + 1) % norm_period == 0):
                    x = b.layer_norm(x, name="norm3")
    x = x if version == "v2-cr" else b.layer_norm(x)
    return b.build(classifier(b, b.token_pool(x), classes))


@family("swin3d")
def swin3d(
    name: str, width: int, depths: Sequence[int], heads: Sequence[int], *, window: Sequence[int] = (8, 7, 7),
    patch: Sequence[int] = (2, 4, 4), mlp_ratio: float = 4.0, frames: int = 16, image: int = 224, classes: int = 400,
) -> Network:  # fmt: skip
    """Return a video Swin transformer: windows of ``window`` frames, rows and columns; frames are never merged.

    One sample is a clip of ``frames``. Source: Liu et al. 2021 (arXiv 2106.13230), section 3.3; torchvision
    models/video/swin_transformer.py.
    """
    style = SwinStyle("v1", mlp_ratio)
    b = Builder(name, "swin3d", (3, frames, image, image))
    x = b.input()
    whole = tuple(-(-n // p) * p for n, p in zip((frames, image, image), patch, strict=True))
    if whole != (frames, image, image):
        x = b.copy(x, (3, *whole), name="pad")
    x = b.conv(x, width, patch, patch, 0, name="patch_embed")
    grid = tuple(int(n) for n in x.shape[1:])
    x = b.layer_norm(b.tokens(x), name="patch_norm")
    for stage, depth in enumerate(depths):
        if stage:
            with b.scope(f"features.{stage}"):
                x, grid = merge_patches(b, x, grid, width * 2**stage)
        for index in range(depth):
            with b.block(f"features.{stage}.{index}"):
                x = swin_block(b, x, grid, tuple(window), heads[stage], style, shift=index % 2 == 1)
    x = b.token_pool(b.layer_norm(x))
    return b.build(classifier(b, x, classes), sample="clip")


def swin_block(
    b: Builder, x: Value, grid: Grid, window: Grid, heads: int, style: SwinStyle, *, shift: bool
) -> Value:  # fmt: skip
    """Add attention in (shifted) windows and a feed-forward layer; norms before them, or after them in version 2."""
    hidden = int(x.width * style.mlp_ratio)
    if style.version == "v1":
        x = b.add(x, _attention(b, b.layer_norm(x, name="norm1"), grid, window, heads, style, shift), name="add1")
        return b.add(x, b.mlp(b.layer_norm(x, name="norm2"), hidden), name="add2")
    x = b.add(x, b.layer_norm(_attention(b, x, grid, window, heads, style, shift), name="norm1"), name="add1")
    return b.add(x, b.layer_norm(b.mlp(x, hidden), name="norm2"), name="add2")


def _attention(
    b: Builder, x: Value, grid: Grid, window: Grid, heads: int, style: SwinStyle, shift: bool
) -> Value:  # fmt: skip
    if x.width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {x.width}")
    table = prod(2 * n - 1 for n in window if style.version == "v1")
    used = style.window(grid, window)
    shift = shift and any(side > size for side, size in zip(grid, used, strict=True))
    width, head = x.width, x.width // heads
    with b.scope("attn"):
        x = partition(b, x, grid, used, shift=shift)
        count, area, _ = x.shape
        inputs = [dense(b, (x,), width, (count, area, 3 * width), (3 if style.key_bias else 2) * width, name="qkv")]
        if style.version == "v1":
            learned = (table if style.pads or len(window) > 2 else prod(2 * n - 1 for n in used)) * heads
        else:
            learned = 0
            inputs = [cosine_norm(b, inputs[0], heads, head), _position_bias(b, used, heads, style)]
        y = b.attend(
            inputs, x.shape, heads=heads, head_dim=head, q_tokens=area, windows=count, fused=False, parameters=learned
        )
        return restore(b, b.linear(y, width, name="proj"), grid, used, shift=shift)


def _position_bias(b: Builder, window: Grid, heads: int, style: SwinStyle) -> Value:
    if style.version == "v2-cr":
        return position_mlp(b, prod(window) ** 2, 384, heads)
    return position_mlp(b, prod(2 * n - 1 for n in window), 512, heads, bias=False)
