"""SHViT: 16x16 patches by convolutions, one head of attention over part of the channels."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm, depthwise, plain_attention, positions
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family


@family("shvit")
def shvit(
    name: str,
    widths: Sequence[int],
    depths: Sequence[int],
    parts: Sequence[int],
    *,
    attends: Sequence[bool] = (False, True, True),
    key: int = 16,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return an SHViT: stages of ``widths`` and ``depths`` whose blocks attend over ``parts`` of their channels.

    ``attends``: stages that attend at all; ``key``: features that are compared. Source: Yun and Ro 2024 (arXiv
    2401.16456); timm 1.0 models/shvit.py.
    """
    b = Builder(name, "shvit", (3, image, image))
    x = b.input()
    for index in range(4):
        act = "relu" if index < 3 else ""
        x = conv_norm(b, x, widths[0] // 2 ** (3 - index), 3, 2, bias=False, act=act, name=f"patch_embed.{index}")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if x.channels != width:
            with b.block(f"stages.{stage}.downsample"):
                x = _feed_forward(b, _local(b, x, "conv1"), "ffn1")
                x = _feed_forward(b, _local(b, _merge(b, x, width), "conv2"), "ffn2")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = _local(b, x, "conv")
                if attends[stage]:
                    x = b.add(x, _attend(b, x, parts[stage], key))
                x = _feed_forward(b, x, "ffn")
    x = b.batch_norm(b.global_pool(x), name="head_bn")
    return b.build(b.linear(x, classes, name="head"))


def _local(b: Builder, x: Value, name: str) -> Value:
    return b.add(x, depthwise(b, x, name=name))


def _feed_forward(b: Builder, x: Value, name: str) -> Value:
    with b.scope(name):
        y = conv_norm(b, x, 2 * int(x.channels), bias=False, act="relu", name="pw1")
        return b.add(x, conv_norm(b, y, int(x.channels), bias=False, name="pw2"))


def _merge(b: Builder, x: Value, width: int) -> Value:
    mid = 4 * int(x.channels)
    y = conv_norm(b, x, mid, bias=False, act="relu", name="merge1")
    y = depthwise(b, y, 3, 2, act="relu", name="merge2")
    return conv_norm(b, b.squeeze_excite(y, divisible(mid / 4, 8, 0.0)), width, bias=False, name="merge3")


def _attend(b: Builder, x: Value, part: int, key: int) -> Value:
    width, tokens = int(x.channels), positions(x)
    with b.scope("mixer"):
        mixed, kept = b.split(x, (part, width - part))
        qkv = conv_norm(b, b.group_norm(mixed, 1), 2 * key + part, bias=False, name="qkv")
        y = plain_attention(
            b, (qkv,), (part, *(int(n) for n in x.shape[1:])), heads=1, key=key, value=part, q_tokens=tokens
        )
        return conv_norm(b, b.act(b.concat((y, kept)), "relu"), width, bias=False, name="proj")
