"""SwiftFormer and Next-ViT: convolutional stages that end in cheap attention."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_mlp, conv_norm, depthwise, layer_scale, positions, two_heads
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family


@family("swiftformer")
def swiftformer(
    name: str, widths: Sequence[int], depths: Sequence[int], *, expand: float = 4.0, distilled: bool = True,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a SwiftFormer: stages of depthwise blocks, the last block of each with additive attention.

    ``expand`` widens blocks; ``distilled``: two classifiers, whose mean is the answer. Source: Shaker et al. 2023
    (arXiv 2303.15446); timm 1.0 models/swiftformer.py.
    """
    b = Builder(name, "swiftformer", (3, image, image))
    x = conv_norm(b, b.input(), widths[0] // 2, 3, 2, act="relu", name="stem.0")
    x = conv_norm(b, x, widths[0], 3, 2, act="relu", name="stem.3")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            x = conv_norm(b, x, width, 3, 2, name=f"stages.{stage}.downsample")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                if index < depth - 1:
                    x = _local(b, x, int(width * expand), "conv")
                    continue
                x = _local(b, x, width, "local")
                x = b.add(x, layer_scale(b, _additive(b, x), name="layer_scale_1"))
                y = conv_mlp(b, b.batch_norm(x, name="norm1"), int(width * expand))
                x = b.add(x, layer_scale(b, y, name="layer_scale_2"))
    x = b.batch_norm(x, name="norm")
    return b.build(two_heads(b, b.global_pool(x), classes, distilled=distilled))


def _local(b: Builder, x: Value, hidden: int, name: str) -> Value:
    with b.scope(name):
        y = depthwise(b, x, bias=True, name="dwconv")
        return b.add(x, layer_scale(b, conv_mlp(b, y, hidden)))


def _additive(b: Builder, x: Value) -> Value:
    """Add attention by one global query: the weighted mean of all queries gates the keys."""
    width, count = int(x.channels), positions(x)
    with b.scope("attn"):
        tokens = b.copy(x, (count, width), name="tokens")
        query = b.scale(b.linear(tokens, width, name="to_query"), name="unit_query")
        key = b.scale(b.linear(tokens, width, name="to_key"), name="unit_key")
        weights = b.scale(b.linear(query, 1, bias=False, name="w_g"), name="unit_weights")
        context = b.token_pool(b.scale(query, weights, name="weighted"), name="context")
        y = b.add(b.linear(b.scale(key, context, name="gated"), width, name="proj"), query)
        return b.copy(b.linear(y, width, name="final"), x.shape, name="image")


@family("nextvit")
def nextvit(
    name: str,
    depths: Sequence[int],
    *,
    widths: Sequence[Sequence[int]] = ((96, 96), (192, 256), (384, 512), (768, 1024)),
    reductions: Sequence[int] = (8, 4, 2, 1),
    stem: Sequence[int] = (64, 32, 64),
    share: float = 0.75,
    head_dim: int = 32,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a Next-ViT: convolution blocks, and one block with attention after three, four and two of them.

    ``widths`` are of convolution and attention blocks of a stage; the third stage repeats four and one. ``reductions``
    pool keys and values (to one of so many a side), ``share`` is the part of the channels that attends.
    Source: Li et al. 2022 (arXiv 2207.05501); timm 1.0 models/nextvit.py.
    """
    b = Builder(name, "nextvit", (3, image, image))
    x = b.input()
    for index, (channels, stride) in enumerate(zip((*stem, stem[-1]), (2, 1, 1, 2), strict=True)):
        x = b.conv_bn(x, channels, 3, stride, name=f"stem.{index}")
    for stage, depth in enumerate(depths):
        local, mixed = widths[stage]
        for index in range(depth):
            attends = (index % 5 == 4) if stage == 2 else (stage > 0 and index == depth - 1)
            stride = 2 if stage and not index else 1
            with b.block(f"stages.{stage}.{index}"):
                if attends:
                    x = _mixed_block(b, x, mixed, reductions[stage], share, head_dim)
                else:
                    x = _embed(b, x, local, stride)
                    x = b.add(x, _grouped(b, x, head_dim))
                    x = b.add(x, conv_mlp(b, b.batch_norm(x, name="norm"), 3 * local, act="relu"))
    x = b.batch_norm(x, name="norm")
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


def _embed(b: Builder, x: Value, out: int, stride: int, name: str = "patch_embed") -> Value:
    if stride == 1 and x.channels == out:
        return x
    y = b.avg_pool(x, 2, 2, ceil=True, name=f"{name}_pool") if stride > 1 else x
    return conv_norm(b, y, out, bias=False, name=name)


def _grouped(b: Builder, x: Value, head_dim: int) -> Value:
    width = int(x.channels)
    y = conv_norm(b, x, width, 3, groups=width // head_dim, bias=False, act="relu", name="mhca")
    return b.conv(y, width, bias=False, name="mhca_proj")


def _mixed_block(b: Builder, x: Value, out: int, reduction: int, share: float, head_dim: int) -> Value:
    width = divisible(int(out * share), 32)
    x = _embed(b, x, width, 1)
    x = b.add(x, _pooled_attention(b, b.batch_norm(x, name="norm1"), reduction, head_dim))
    y = _embed(b, x, out - width, 1, "projection")
    y = b.add(y, _grouped(b, y, head_dim))
    x = b.concat((x, y))
    return b.add(x, conv_mlp(b, b.batch_norm(x, name="norm2"), 2 * out, act="relu"))


def _pooled_attention(b: Builder, x: Value, reduction: int, head_dim: int) -> Value:
    width, count = int(x.channels), positions(x)
    with b.scope("e_mhsa"):
        tokens = b.copy(x, (count, width), name="tokens")
        query, few = b.linear(tokens, width, name="q"), tokens
        if reduction > 1:
            line = b.view(x, (width, count), name="line")
            few = b.avg_pool(line, reduction**2, name="sr")
            few = b.batch_norm(b.copy(few, (int(few.shape[-1]), width), name="fewer"), name="norm")
        key, value = b.linear(few, width, name="k"), b.linear(few, width, name="v")
        y = b.attend(
            (query, key, value), (count, width), heads=width // head_dim, head_dim=head_dim, q_tokens=count,
            kv_tokens=few.shape[0],
        )  # fmt: skip
        return b.copy(b.linear(y, width, name="proj"), x.shape, name="image")
