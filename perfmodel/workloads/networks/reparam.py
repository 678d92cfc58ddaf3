"""Networks whose parallel branches merge to one convolution for deployment: MobileOne, FastViT, RepViT."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, depthwise, layer_scale, positions
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family


def one_block(
    b: Builder, x: Value, out: int, kernel: int, stride: int = 1, *, groups: int = 1, branches: int = 1,
    scale: bool = True, reduced: int = 0, act: str = "relu", fused: bool = False, name: str = "one",
) -> Value:  # fmt: skip
    """Add a MobileOne block: ``branches`` convolutions, a 1x1 one (``scale``) and a norm of the input, summed.

    ``fused``: one convolution with a bias instead. ``reduced``: the width inside squeeze-and-excitation (0: none).
    """
    with b.scope(name):
        if fused:
            y = b.conv(x, out, kernel, stride, groups=groups, name="reparam_conv")
        else:
            parts: list[Value] = []
            if scale and kernel > 1:
                parts.append(conv_norm(b, x, out, 1, stride, 0, groups=groups, bias=False, name="conv_scale"))
            parts += [
                conv_norm(b, x, out, kernel, stride, groups=groups, bias=False, name=f"conv.{index}")
                for index in range(branches)
            ]
            if x.channels == out and stride == 1:
                parts.append(b.batch_norm(x, name="identity"))
            y = parts[0]
            for part in parts[1:]:
                y = b.add(y, part)
        if reduced:
            y = b.squeeze_excite(y, reduced)
        return b.act(y, act) if act else y


@family("mobileone")
def mobileone(
    name: str,
    widths: Sequence[float],
    *,
    depths: Sequence[int] = (2, 8, 10, 1),
    branches: int = 1,
    squeezed: Sequence[int] = (0, 0, 0, 0),
    stem: int = 64,
    fused: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a MobileOne: stages of depthwise and pointwise blocks, ``widths`` times 64, 128, 256 and 512 channels.

    ``branches`` is the number of parallel convolutions; ``squeezed`` how many last blocks of each stage have
    squeeze-and-excitation. ``fused``: branches merged, as for deployment. Source: Vasu et al. 2022 (arXiv 2206.04040);
    timm 1.0 models/byobnet.py (its stem has one branch).
    """
    b = Builder(name, "mobileone", (3, image, image))
    x = one_block(b, b.input(), stem, 3, 2, fused=fused, name="stem")
    for stage, (factor, depth) in enumerate(zip(widths, depths, strict=True)):
        out = divisible(64 * 2**stage * factor)
        for index in range(depth):
            squeezes = index >= depth - squeezed[stage]
            with b.block(f"stages.{stage}.{index}"):
                for part, (width, kernel) in enumerate(((int(x.channels), 3), (out, 1))):
                    x = one_block(
                        b, x, width, kernel, 2 if not index and not part else 1, groups=width if kernel > 1 else 1,
                        branches=branches, reduced=divisible(width / 16, 8, 0.0) if squeezes else 0, fused=fused,
                        name="pw" if part else "dw",
                    )  # fmt: skip
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


@family("repvit")
def repvit(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    *,
    expand: int = 2,
    legacy: bool = False,
    distilled: bool = True,
    fused: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a RepViT: depthwise 3x3 and 1x1 branches and the input summed, every second block squeezes, then an MLP.

    ``legacy``: norms inside the branches instead of one after them. ``distilled``: two classifiers, whose mean is the
    answer. ``fused``: branches merged, as for deployment. Source: Wang et al. 2023 (arXiv 2307.09283); timm 1.0
    models/repvit.py.
    """
    b = Builder(name, "repvit", (3, image, image))
    x = conv_norm(b, b.input(), widths[0] // 2, 3, 2, bias=False, act="gelu", name="stem.conv1")
    x = conv_norm(b, x, widths[0], 3, 2, bias=False, name="stem.conv2")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            with b.block(f"stages.{stage}.downsample"):
                x = _narrow(b, _mixed(b, x, legacy, fused), expand, "mlp1")
                x = depthwise(b, x, 3, 2, name="spatial")
                x = _narrow(b, conv_norm(b, x, width, bias=False, name="channel"), expand, "mlp2")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = _mixed(b, x, legacy, fused)
                if index % 2 == 0:
                    x = b.squeeze_excite(x, divisible(width / 4, 8, 0.0))
                x = _narrow(b, x, expand, "mlp")
    x = b.global_pool(x)
    heads = [b.linear(b.batch_norm(x, name=f"{n}_bn"), classes, name=n) for n in ("head", "head_dist")[: 1 + distilled]]
    return b.build(b.scale(b.add(*heads), name="mean") if distilled else heads[0])


def _mixed(b: Builder, x: Value, legacy: bool, fused: bool) -> Value:
    width = int(x.channels)
    if fused:
        return b.conv(x, width, 3, groups=width, name="token_mixer")
    y = depthwise(b, x, name="conv")
    z = depthwise(b, x, 1, name="conv1") if legacy else b.conv(x, width, groups=width, name="conv1")
    y = b.add(b.add(y, z), x)
    return y if legacy else b.batch_norm(y, name="token_mixer_bn")


def _narrow(b: Builder, x: Value, expand: int, name: str) -> Value:
    """Add a residual MLP of two 1x1 convolutions with norms."""
    with b.scope(name):
        y = conv_norm(b, x, int(x.channels) * expand, bias=False, act="gelu", name="conv1")
        return b.add(x, conv_norm(b, y, int(x.channels), bias=False, name="conv2"))


@family("fastvit")
def fastvit(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    expand: float,
    *,
    attention_stages: int = 0,
    squeezed: Sequence[bool] = (False, False, False, False, False),
    down_act: bool = False,
    stem_scale: bool = True,
    norm: str = "batch",
    head_dim: int = 32,
    fused: bool = False,
    image: int = 256,
    classes: int = 1000,
) -> Network:
    """Return a FastViT: stages of reparameterised depthwise mixers, the last ``attention_stages`` attend instead.

    ``expand`` widens the MLPs, ``squeezed`` are stages whose downsampling has squeeze-and-excitation, ``down_act``
    activates inside it, ``stem_scale`` keeps the stem's 1x1 branches, ``norm`` is that of attention blocks. ``fused``:
    branches merged, as for deployment. Source: Vasu et al. 2023 (arXiv 2303.14189), mci: MobileCLIP (arXiv 2311.17049);
    timm 1.0 models/fastvit.py.
    """
    b = Builder(name, "fastvit", (3, image, image))
    x, first = b.input(), widths[0]
    for index, (kernel, stride, groups) in enumerate(((3, 2, 1), (3, 2, first), (1, 1, 1))):
        x = one_block(
            b, x, first, kernel, stride, groups=groups, scale=stem_scale, act="gelu", fused=fused, name=f"stem.{index}"
        )
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        attends = stage >= len(widths) - attention_stages
        if stage:
            with b.block(f"stages.{stage}.downsample"):
                x = _downsample(b, x, width, squeezed[stage], down_act, fused)
        if attends:
            x = _positions(b, x, fused, f"stages.{stage}.pos_emb")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = _attention(b, x, norm, head_dim) if attends else _rep_mixer(b, x, fused)
                y = depthwise(b, x, 7, name="mlp_dw")
                y = b.act(b.conv(y, int(width * expand), name="fc1"), "gelu")
                x = b.add(x, layer_scale(b, b.conv(y, width, name="fc2")))
    out = 2 * widths[-1]
    x = one_block(b, x, out, 3, groups=widths[-1], reduced=out // 16, act="gelu", fused=fused, name="final_conv")
    return b.build(b.linear(b.global_pool(x), classes, name="head"))


def _downsample(b: Builder, x: Value, width: int, squeezes: bool, act: bool, fused: bool) -> Value:
    groups = int(x.channels)
    if fused:
        y = b.conv(x, width, 7, 2, groups=groups, name="large_conv")
    else:
        y = conv_norm(b, x, width, 7, 2, groups=groups, bias=False, name="large_conv")
        y = b.add(y, conv_norm(b, x, width, 3, 2, groups=groups, bias=False, name="small_conv"))
    if squeezes:
        y = b.squeeze_excite(y, divisible(width / 4, 8, 0.0))
    y = b.act(y, "gelu", name="large_act") if act else y
    return one_block(b, y, width, 1, act="gelu", fused=fused)


def _positions(b: Builder, x: Value, fused: bool, name: str) -> Value:
    y = b.conv(x, x.channels, 7, groups=x.channels, name=name)
    return y if fused else b.add(y, x, name=f"{name}_add")


def _rep_mixer(b: Builder, x: Value, fused: bool) -> Value:
    width = int(x.channels)
    if fused:
        return b.conv(x, width, 3, groups=width, name="token_mixer")
    mixed = one_block(b, x, width, 3, groups=width, act="", name="mixer")
    normed = b.batch_norm(x, name="norm")
    return b.add(x, layer_scale(b, b.add(mixed, normed, name="subtract"), name="mixer_scale"))


def _attention(b: Builder, x: Value, norm: str, head_dim: int) -> Value:
    width, count = int(x.channels), positions(x)
    y = b.layer_norm(x, channels_first=True) if norm == "layer" else b.batch_norm(x, name="norm")
    y = b.copy(y, (count, width), name="tokens")
    y = b.self_attention(y, width // head_dim, qkv_bias=False)
    return b.add(x, layer_scale(b, b.copy(y, x.shape, name="image"), name="attn_scale"))
