"""PP-LCNetV2: depthwise separable blocks whose depthwise kernels of several sizes merge to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import depthwise
from perfmodel.workloads.networks.mobile_stages import divisible
from perfmodel.workloads.networks.registry import family


@dataclass(frozen=True)
class _Kind:
    """What the blocks of a stage are: kernel, two narrow pointwise layers, branches, squeeze, residual."""

    kernel: int = 3
    split: bool = False
    branches: bool = False
    squeezes: bool = False
    residual: bool = False


KINDS = (_Kind(), _Kind(), _Kind(5, True, True, True), _Kind(5, branches=True, residual=True))


@family("lcnetv2")
def lcnetv2(
    name: str,
    *,
    width: float = 1.0,
    depths: Sequence[int] = (2, 2, 6, 2),
    head: int = 1280,
    fused: bool = False,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a PP-LCNetV2: four stages of ``depths`` blocks, ``width`` scales their channels.

    ``fused``: depthwise kernels of several sizes merged, as for deployment. Source: PaddleClas PP-LCNetV2; timm 1.0
    models/lcnetv2.py.
    """
    b = Builder(name, "lcnetv2", (3, image, image))
    x = b.conv_bn(b.input(), divisible(32 * width), 3, 2, name="stem.0")
    with b.block("stem.1"):
        x = _block(b, x, divisible(64 * width), 1, KINDS[0], fused)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = _block(b, x, divisible(128 * 2**stage * width), 1 if index else 2, KINDS[stage], fused)
    x = b.act(b.conv(b.global_pool(x, keep=True), head, bias=False, name="conv_head"), "relu")
    return b.build(b.linear(b.flatten(x), classes, name="classifier"))


def _block(b: Builder, x: Value, out: int, stride: int, kind: _Kind, fused: bool) -> Value:
    width = int(x.channels)
    if kind.branches and fused:
        y = b.act(b.conv(x, width, kind.kernel, stride, groups=width, name="dw_conv"), "relu")
    else:
        y = depthwise(b, x, kind.kernel, stride, act="" if kind.branches else "relu", name="dw_conv")
        if kind.branches:
            for kernel in range(kind.kernel - 2, 0, -2):
                if kernel > 1 or stride == 1:
                    y = b.add(y, depthwise(b, x, kernel, stride, name=f"dw_conv{kernel}"))
            y = b.act(y, "relu")
    if kind.squeezes:
        y = b.squeeze_excite(y, width // 4)
    if kind.split:
        y = b.conv_bn(y, out // 2, name="pw_narrow")
    y = b.conv_bn(y, out, name="pw_conv")
    return b.add(y, x) if kind.residual and stride == 1 and width == out else y
