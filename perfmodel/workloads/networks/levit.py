"""LeViT and Visformer: convolutional stems and transformers whose resolution falls from stage to stage."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, plain_attention, positions
from perfmodel.workloads.networks.registry import family


@family("levit")
def levit(
    name: str,
    widths: Sequence[int],
    heads: Sequence[int],
    *,
    depths: Sequence[int] = (4, 4, 4),
    key: int = 32,
    stem: int = 16,
    act: str = "hard_swish",
    conv: bool = False,
    distilled: bool = True,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a LeViT: a stem of ``stem``-fold reduction, three stages of ``widths``, attention that halves between.

    ``heads`` of ``key`` features compare, twice as many are summed (four times where it halves). ``conv``: tokens stay
    an image and layers are 1x1 convolutions. ``distilled``: two classifiers, whose mean is the answer.
    Source: Graham et al. 2021 (arXiv 2104.01136); timm 1.0 models/levit.py.
    """
    b = Builder(name, "levit", (3, image, image))
    x, steps = b.input(), 4 if stem == 16 else 3
    for index in range(steps):
        out = widths[0] // 2 ** (steps - 1 - index)
        x = conv_norm(b, x, out, 3, 2, bias=False, act=act if index < steps - 1 else "", name=f"stem.{index}")
    side = int(x.shape[-1])
    x = x if conv else b.copy(x, (positions(x), widths[0]), name="tokens")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            with b.block(f"stages.{stage}.downsample"):
                x = _halved(b, x, width, key, side, act)
                x = b.add(x, _mlp(b, x, act))
            side = (side - 1) // 2 + 1
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = b.add(x, _attention(b, x, heads[stage], key, side**2, act))
                x = b.add(x, _mlp(b, x, act))
    x = b.global_pool(x) if conv else b.token_pool(x)
    names = ("head", "head_dist")[: 1 + distilled]
    ends = [b.linear(b.batch_norm(x, name=f"{n}_bn"), classes, name=n) for n in names]
    return b.build(b.scale(b.add(*ends), name="mean") if distilled else ends[0])


def _dense(b: Builder, x: Value, out: int, name: str) -> Value:
    """Add a dense layer without bias and its batch norm, over tokens or an image."""
    y = b.conv(x, out, bias=False, name=name) if len(x.shape) > 2 else b.linear(x, out, bias=False, name=name)
    return b.batch_norm(y, name=f"{name}_bn")


def _wide(x: Value) -> int:
    return int(x.channels if len(x.shape) > 2 else x.width)


def _mlp(b: Builder, x: Value, act: str) -> Value:
    width = _wide(x)
    with b.scope("mlp"):
        return _dense(b, b.act(_dense(b, x, 2 * width, "ln1"), act), width, "ln2")


def _attention(b: Builder, x: Value, heads: int, key: int, tokens: int, act: str) -> Value:
    inner = 2 * key * heads
    with b.scope("attn"):
        qkv = _dense(b, x, inner + 2 * key * heads, "qkv")
        shape = (inner, *(int(n) for n in x.shape[1:])) if len(x.shape) > 2 else (tokens, inner)
        y = plain_attention(
            b, (qkv,), shape, heads=heads, key=key, value=2 * key, q_tokens=tokens, biases=heads * tokens
        )
        return _dense(b, b.act(y, act), _wide(x), "proj")


def _halved(b: Builder, x: Value, width: int, key: int, side: int, act: str) -> Value:
    """Add attention of every second position a side over all."""
    half, heads = (side - 1) // 2 + 1, _wide(x) // key
    inner = 4 * key * heads
    with b.scope("attn_downsample"):
        kv = _dense(b, x, inner + key * heads, "kv")
        conv = len(x.shape) > 2
        few = b.avg_pool(x, 1, 2, name="subsample") if conv else b.copy(x, (half**2, _wide(x)), name="subsample")
        query = _dense(b, few, key * heads, "q")
        y = plain_attention(
            b, (query, kv), (inner, half, half) if conv else (half**2, inner), heads=heads, key=key, value=4 * key,
            q_tokens=half**2, kv_tokens=side**2, biases=heads * side**2,
        )  # fmt: skip
        return _dense(b, b.act(y, act), width, "proj")


@family("visformer")
def visformer(
    name: str,
    width: int,
    heads: int,
    stem: int,
    *,
    depths: Sequence[int] = (7, 4, 4),
    groups: int = 8,
    expand: float = 4.0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a Visformer: a stage of grouped convolutions, then two of attention, of half, once and twice ``width``.

    ``heads`` are of both attention stages, ``groups`` of the 3x3 convolutions, ``stem`` the channels of the 7x7 one.
    Source: Chen et al. 2021 (arXiv 2104.12533); timm 1.0 models/visformer.py.
    """
    b = Builder(name, "visformer", (3, image, image))
    x = conv_norm(b, b.input(), stem, 7, 2, bias=False, act="relu", name="stem")
    for stage, depth in enumerate(depths):
        patch = 2 if stage else 4
        x = conv_norm(b, x, width * 2**stage // 2, patch, patch, 0, name=f"patch_embed{stage + 1}")
        x = b.learned(x, int(x.channels) * positions(x), name=f"pos_embed{stage + 1}")
        for index in range(depth):
            with b.block(f"stage{stage + 1}.{index}"):
                if stage:
                    x = b.add(x, _image_attention(b, b.batch_norm(x, name="norm1"), heads))
                x = b.add(x, _spatial(b, b.batch_norm(x, name="norm2"), 0 if stage else groups, expand))
    x = b.batch_norm(x, name="norm")
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


def _image_attention(b: Builder, x: Value, heads: int) -> Value:
    width = int(x.channels)
    each = round(width // heads)
    with b.scope("attn"):
        qkv = b.conv(x, 3 * heads * each, bias=False, name="qkv")
        y = plain_attention(
            b, (qkv,), (heads * each, *(int(n) for n in x.shape[1:])), heads=heads, key=each, value=each,
            q_tokens=positions(x),
        )  # fmt: skip
        return b.conv(y, width, bias=False, name="proj")


def _spatial(b: Builder, x: Value, groups: int, expand: float) -> Value:
    width = int(x.channels)
    hidden = 2 * width if groups else int(expand * width)
    with b.scope("mlp"):
        y = b.act(b.conv(x, hidden, bias=False, name="conv1"), "gelu")
        if groups:
            y = b.act(b.conv(y, hidden, 3, groups=groups, bias=False, name="conv2"), "gelu")
        return b.conv(y, width, bias=False, name="conv3")
