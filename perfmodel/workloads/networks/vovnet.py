"""VoVNets: blocks that join all their layers once, at their end."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("vovnet")
def vovnet(
    name: str,
    depths: Sequence[int],
    *,
    layers: int = 5,
    stem: Sequence[int] = (64, 64, 128),
    middle: Sequence[int] = (128, 160, 192, 224),
    widths: Sequence[int] = (256, 512, 768, 1024),
    residual: bool = True,
    depthwise: bool = False,
    attention: str = "ese",
    norm: str = "batch",
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a VoVNet: ``depths`` blocks a stage of ``layers`` 3x3 layers of ``middle`` channels, joined to ``widths``.

    ``residual`` adds a block's input from a stage's second block on, ``depthwise`` makes the layers separable.
    ``attention`` at a stage's end is "ese", "eca" or "" (none); ``norm`` is "batch" or "evo" (EvoNorm-S0, which is an
    activation too; arXiv 2004.02967). Source: Lee et al. 2019 (arXiv 1904.09730), table 1; Lee and Park 2019
    (arXiv 1911.06667), table 1; timm models/vovnet.py.
    """
    b = Builder(name, "vovnet", (3, image, image))
    with b.block("stem"):
        x = _layer(b, b.input(), stem[0], 3, 2, norm=norm, name="conv1")
        x = _layer(b, x, stem[1], 3, 1, depthwise=depthwise, norm=norm, name="conv2")
        x = _layer(b, x, stem[2], 3, 2, depthwise=depthwise, norm=norm, name="conv3")
    for stage, depth in enumerate(depths):
        for index in range(depth):
            with b.block(f"stage{stage + 1}.{index}"):
                x = b.max_pool(x, 3, 2, ceil=True) if stage and index == 0 else x
                y = _block(b, x, middle[stage], widths[stage], layers, depthwise, norm)
                y = _attended(b, y, attention) if index == depth - 1 else y
                x = b.add(y, x) if residual and index else y
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _block(b: Builder, x: Value, middle: int, out: int, layers: int, depthwise: bool, norm: str) -> Value:
    found = [x]
    if depthwise and x.channels != middle:
        x = _layer(b, x, middle, 1, norm=norm, name="reduction")
    for index in range(layers):
        x = _layer(b, x, middle, 3, depthwise=depthwise, norm=norm, name=f"conv{index}")
        found.append(x)
    return _layer(b, b.concat(found), out, 1, norm=norm, name="join")


def _layer(
    b: Builder, x: Value, out: int, kernel: int, stride: int = 1, *, depthwise: bool = False, norm: str, name: str
) -> Value:
    if depthwise:
        x = b.conv(x, x.channels, kernel, stride, groups=x.channels, bias=False, name=f"{name}_dw")
        kernel = stride = 1
    if norm == "batch":
        return b.conv_bn(x, out, kernel, stride, name=name)
    x = b.conv(x, out, kernel, stride, bias=False, name=name)
    return b.node(f"{name}_norm", ops.GroupNorm(32, prod(x.shape) // 32), (x,), x.shape, 3 * out, "evonorm")


def _attended(b: Builder, x: Value, kind: str) -> Value:
    if kind == "eca":
        return b.channel_attention(x)
    if kind == "ese":
        with b.scope("ese"):
            y = b.conv(b.global_pool(x, keep=True), x.channels, 1)
            return b.scale(x, b.act(y, "hard_sigmoid", name="gate"))
    return x
