"""PP-HGNet V1 and V2: stages of chains of 3x3 convolutions whose results are all put together."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


class _Layers:
    """Convolution, batch norm and activation; with ``affine`` a learned scale and shift of everything after it."""

    def __init__(self, b: Builder, affine: bool) -> None:
        self.b, self.affine = b, affine

    def add(
        self, x: Value, channels: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act: str = "relu",
        padding: int | None = None, name: str = "conv",
    ) -> Value:  # fmt: skip
        y = self.b.conv_bn(x, channels, kernel, stride, padding, groups=groups, act=act, name=name)
        return self.b.scale(y, parameters=2, name=f"{name}_lab") if act and self.affine else y


@family("hgnet")
def hgnet(
    name: str,
    stem: Sequence[int],
    inner: Sequence[int],
    widths: Sequence[int],
    blocks: Sequence[int],
    layers: int,
    *,
    version: int = 2,
    kernels: Sequence[int] = (3, 3, 5, 5),
    light: Sequence[bool] = (False, False, True, True),
    affine: bool = False,
    hidden: int = 2048,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a PP-HGNet: blocks of ``layers`` convolutions in a chain, put together and reduced.

    ``inner``, ``widths`` and ``blocks`` are each stage's channels in the chains and after them, and its blocks.
    ``version`` 1 has a stem of three 3x3 convolutions and effective squeeze-excite, 2 a stem of two paths and two
    1x1 convolutions. ``light``: stages whose convolutions are a 1x1 and a depthwise one. ``affine``: learned scale
    and shift after activations. ``hidden``: of the head. Source: PaddleClas PP-HGNet (no paper); RT-DETR
    (arXiv 2304.08069) names V2 its backbone; timm models/hgnet.py.
    """
    b = Builder(name, "hgnet", (3, image, image))
    add = _Layers(b, affine)
    with b.scope("stem"):
        x = _stem1(add, b.input(), stem) if version == 1 else _stem2(add, b.input(), *stem)
    plan = zip(inner, widths, blocks, kernels, light, strict=True)
    for stage, (mid, width, depth, kernel, thin) in enumerate(plan):
        if stage:
            x = add.add(x, int(x.channels), 3, 2, groups=int(x.channels), act="", name=f"stages.{stage}.downsample")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                y = _block(add, x, mid, width, layers, kernel, thin, version)
                x = b.add(y, x) if index else y
    y = b.act(b.conv(b.global_pool(x, keep=True), hidden, bias=False, name="head.conv"), name="head.act")
    y = b.scale(y, parameters=2, name="head.lab") if affine else y
    return b.build(b.linear(b.flatten(y), classes, name="head.fc"))


def _stem1(add: _Layers, x: Value, widths: Sequence[int]) -> Value:
    for index, width in enumerate(widths):
        x = add.add(x, width, 3, 1 if index else 2, name=str(index))
    return add.b.max_pool(x, 3, 2, 1)


def _stem2(add: _Layers, x: Value, mid: int, out: int) -> Value:
    b = add.b
    x = _padded(b, add.add(x, mid, 3, 2, name="stem1"))
    y = _padded(b, add.add(x, mid // 2, 2, padding=0, name="stem2a"))
    y = add.add(y, mid, 2, padding=0, name="stem2b")
    x = b.concat((b.max_pool(x, 2, 1, ceil=True), y))
    return add.add(add.add(x, mid, 3, 2, name="stem3"), out, name="stem4")


def _padded(b: Builder, x: Value) -> Value:
    channels, height, width = x.shape
    return b.copy(x, (channels, height + 1, width + 1), name="pad")


def _block(
    add: _Layers, x: Value, mid: int, width: int, layers: int, kernel: int, thin: bool, version: int
) -> Value:  # fmt: skip
    b, found = add.b, [x]
    for index in range(layers):
        y = found[-1]
        if thin:
            y = add.add(y, mid, act="", name=f"layers.{index}.conv1")
            y = add.add(y, mid, kernel, groups=mid, name=f"layers.{index}.conv2")
        else:
            y = add.add(y, mid, kernel, name=f"layers.{index}")
        found.append(y)
    y = b.concat(found)
    if version == 1:
        y = add.add(y, width, name="aggregation")
        return b.scale(y, b.act(b.conv(b.global_pool(y, keep=True), width, name="ese"), "sigmoid", name="gate"))
    return add.add(add.add(y, width // 2, name="squeeze"), width, name="excite")
