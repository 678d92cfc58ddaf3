"""Segmentation in real time with two or three branches of different resolution: DDRNet, PIDNet, BiSeNet."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, features
from perfmodel.workloads.networks.mobile_layers import conv_norm
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


def _block(b: Builder, x: Value, width: int, stride: int = 1, *, act: bool = True) -> Value:
    """Add a basic residual block."""
    y = b.conv_bn(x, width, 3, stride, name="conv1")
    y = b.conv_bn(y, width, 3, act="", name="conv2")
    if stride > 1 or x.channels != width:
        x = b.conv_bn(x, width, 1, stride, act="", name="downsample")
    return b.act(b.add(y, x)) if act else b.add(y, x)


def _bottleneck(b: Builder, x: Value, width: int, stride: int = 1, *, act: bool = False) -> Value:
    """Add a bottleneck that leaves twice its width."""
    y = b.conv_bn(x, width, name="conv1")
    y = b.conv_bn(y, width, 3, stride, name="conv2")
    y = b.conv_bn(y, 2 * width, act="", name="conv3")
    if stride > 1 or x.channels != 2 * width:
        x = b.conv_bn(x, 2 * width, 1, stride, act="", name="downsample")
    return b.act(b.add(y, x)) if act else b.add(y, x)


def _stage(b: Builder, x: Value, width: int, depth: int, stride: int, name: str) -> Value:
    """Add basic blocks; the last has no activation of its own."""
    for index in range(depth):
        with b.block(f"{name}.{index}"):
            x = _block(b, x, width, 1 if index else stride, act=index < depth - 1)
    return x


def _head(b: Builder, x: Value, width: int, classes: int, name: str) -> Value:
    with b.block(name):
        y = b.conv(b.act(b.batch_norm(x)), width, 3, bias=False, name="conv1")
        return b.conv(b.act(b.batch_norm(y)), classes, name="conv2")


def _like(b: Builder, x: Value, target: Value) -> Value:
    return b.resize(x, [int(n) for n in target.shape[1:]])


def _preact(b: Builder, x: Value, width: int, kernel: int, name: str, groups: int = 1) -> Value:
    y = b.act(b.batch_norm(x, name=f"{name}_bn"), name=f"{name}_act")
    return b.conv(y, width, kernel, groups=groups, bias=False, name=name)


def _pyramid(b: Builder, x: Value, width: int, out: int, *, parallel: bool) -> Value:
    """Add poolings of five sizes, joined one by one (DAPPM) or all at once by a grouped convolution (PAPPM)."""
    found = [_preact(b, x, width, 1, "scale0")]
    for index, kernel in enumerate((5, 9, 17, 0), 1):
        pooled = b.avg_pool(x, kernel, kernel // 2, kernel // 2) if kernel else b.global_pool(x, keep=True)
        y = b.add(_like(b, _preact(b, pooled, width, 1, f"scale{index}"), x), found[0 if parallel else -1])
        found.append(y if parallel else _preact(b, y, width, 3, f"process{index}"))
    if parallel:
        joined = b.concat([found[0], _preact(b, b.concat(found[1:]), 4 * width, 3, "process", groups=4)])
    else:
        joined = b.concat(found)
    return b.add(_preact(b, joined, out, 1, "compress"), _preact(b, x, out, 1, "shortcut"))


def _stem(b: Builder, width: int) -> Value:
    with b.block("conv1"):
        x = conv_norm(b, b.input(), width, 3, 2, act="relu", name="conv1")
        return conv_norm(b, x, width, 3, 2, act="relu", name="conv2")


@family("ddrnet")
def ddrnet(
    name: str,
    *,
    depths: Sequence[int] = (2, 2, 2, 2),
    width: int = 32,
    pyramid: int = 128,
    head: int = 64,
    auxiliary: bool = False,
    image: int | Sequence[int] = (1024, 2048),
    classes: int = 19,
) -> Network:
    """Return a DDRNet: a branch at an eighth of the resolution and one that goes down to 1/64, fused twice.

    ``depths`` of the four stages of blocks, ``width`` of the first, ``pyramid`` channels of each pooled map, ``head``
    of the last 3x3 layer; ``auxiliary``: the classifier of training. Source: Hong et al. 2021 (arXiv 2101.06085),
    table 1; ydhongHIT/DDRNet segmentation/DDRNet_23_slim.py.
    """
    b = Builder(name, "ddrnet", (3, *sides(image)))
    x = _stage(b, _stem(b, width), width, depths[0], 1, "layer1")
    high = x = _stage(b, b.act(x), 2 * width, depths[1], 2, "layer2")
    fine = x
    for number in (3, 4):
        x = _stage(b, b.act(x), 2 ** (number - 1) * width, depths[number - 1], 2, f"layer{number}")
        deep = x
        fine = _stage(b, b.act(fine), 2 * width, 2, 1, f"layer{number}_")
        with b.block(f"fuse{number}"):
            y = b.act(fine)
            for step in range(number - 2):
                last = step == number - 3
                y = b.conv_bn(y, 4 * width * 2**step, 3, 2, act="" if last else "relu", name=f"down{step}")
            x = b.add(x, y)
            fine = b.add(fine, _like(b, b.conv_bn(b.act(deep), 2 * width, act="", name="compress"), fine))
        high = fine if number == 3 else high
    with b.block("layer5_"):
        fine = _bottleneck(b, b.act(fine), 2 * width)
    with b.block("layer5"):
        x = _bottleneck(b, b.act(x), 8 * width, 2)
    with b.block("spp"):
        x = _like(b, _pyramid(b, x, pyramid, 4 * width, parallel=False), fine)
    found = [_head(b, b.add(x, fine), head, classes, "final")]
    if auxiliary:
        found.append(_head(b, high, head, classes, "auxiliary"))
    return b.build(*found)


@family("pidnet")
def pidnet(
    name: str,
    *,
    depths: Sequence[int] = (2, 3),
    width: int = 32,
    pyramid: int = 96,
    head: int = 128,
    auxiliary: bool = False,
    image: int | Sequence[int] = (1024, 2048),
    classes: int = 19,
) -> Network:
    """Return a small PIDNet: branches for details, context and boundaries; the second guides the first.

    ``depths``: blocks of a stage at fine and at coarse resolution, ``width`` of the first stage, ``pyramid`` channels
    of each pooled map, ``head`` of the last 3x3 layer, ``auxiliary`` the classifiers of training. Source: Xu et al.
    2022 (arXiv 2206.02066), table 1; XuJiacong/PIDNet models/pidnet.py (size S).
    """
    b = Builder(name, "pidnet", (3, *sides(image)))
    m, n = depths
    x = b.act(_stage(b, _stem(b, width), width, m, 1, "layer1"))
    x = b.act(_stage(b, x, 2 * width, m, 2, "layer2"))
    fine = _stage(b, x, 2 * width, m, 1, "layer3_")
    with b.block("layer3_d"):
        edge = _block(b, x, width, act=False)
    x = b.act(_stage(b, x, 4 * width, n, 2, "layer3"))
    with b.block("fuse3"):
        fine = _guided(b, fine, b.conv_bn(x, 2 * width, act="", name="compress"), width)
        edge = b.add(edge, _like(b, b.conv_bn(x, width, 3, act="", name="diff"), edge))
    middle = fine
    x = b.act(_stage(b, x, 8 * width, n, 2, "layer4"))
    fine = _stage(b, b.act(fine), 2 * width, m, 1, "layer4_")
    with b.block("layer4_d"):
        edge = _bottleneck(b, b.act(edge), width)
    with b.block("fuse4"):
        fine = _guided(b, fine, b.conv_bn(x, 2 * width, act="", name="compress"), width)
        edge = b.add(edge, _like(b, b.conv_bn(x, 2 * width, 3, act="", name="diff"), edge))
    boundary = edge
    with b.block("layer5_"):
        fine = _bottleneck(b, b.act(fine), 2 * width)
    with b.block("layer5_d"):
        edge = _bottleneck(b, b.act(edge), 2 * width)
    for index in range(2):
        with b.block(f"layer5.{index}"):
            x = _bottleneck(b, x, 8 * width, 1 if index else 2, act=index == 0)
    with b.block("spp"):
        x = _like(b, _pyramid(b, x, pyramid, 4 * width, parallel=True), fine)
    with b.block("dfm"):
        gate = b.act(edge, "sigmoid")
        first = b.conv_bn(b.add(b.multiply(x, gate), fine), 4 * width, act="", name="conv_p")
        second = b.conv_bn(b.add(x, b.multiply(fine, gate)), 4 * width, act="", name="conv_i")
        x = b.add(first, second)
    found = [_head(b, x, head, classes, "final")]
    if auxiliary:
        found += [_head(b, middle, head, classes, "auxiliary"), _head(b, boundary, width, 1, "boundary")]
    return b.build(*found)


def _guided(b: Builder, x: Value, y: Value, width: int) -> Value:
    """Add the sum of two maps, weighed by how alike they are at each position (PIDNet's Pag)."""
    key = _like(b, b.conv_bn(y, width, act="", name="f_y"), x)
    query = b.conv_bn(x, width, act="", name="f_x")
    gate = b.act(b.view(b.multiply(key, query, name="alike"), (1, *x.shape[1:])), "sigmoid")
    return b.add(b.scale(x, gate), b.scale(_like(b, y, x), gate, name="scale_y"))


@family("bisenet")
def bisenet(
    name: str, *, backbone: Backbone = "resnet18", image: int | Sequence[int] = (720, 960), classes: int = 12
) -> Network:  # fmt: skip
    """Return a BiSeNet: three strided convolutions beside a backbone whose last maps are gated, and their fusion.

    Source: Yu et al. 2018 (arXiv 1808.00897), figure 2; ooooverflow/BiSeNet model/build_BiSeNet.py.
    """
    b = Builder(name, "bisenet", (3, *sides(image)))
    space = b.input()
    for index, width in enumerate((64, 128, 256)):
        space = b.conv_bn(space, width, 3, 2, name=f"spatial{index}")
    coarse, deep = features(b, b.input(), backbone, (4, 5))
    with b.block("context"):
        gated = [_refined(b, x, f"arm{index}") for index, x in enumerate((coarse, deep))]
        gated[1] = b.scale(gated[1], b.global_pool(deep, keep=True, name="tail"), name="tail_scale")
        joined = b.concat([space, *(_like(b, x, space) for x in gated)])
    with b.block("fusion"):
        x = conv_norm(b, joined, classes, 3, bias=False, act="relu", name="conv")
        gate = b.act(b.conv(b.global_pool(x, keep=True), classes, name="fc1"))
        gate = b.act(b.conv(gate, classes, name="fc2"), "sigmoid")
        x = b.add(b.scale(x, gate), x)
    with b.block("out"):
        return b.build(b.conv(b.resize(x, sides(image)), classes))


def _refined(b: Builder, x: Value, name: str) -> Value:
    """Add a gate on each channel from the mean of all positions."""
    gate = b.batch_norm(b.conv(b.global_pool(x, keep=True), x.channels, name=name), name=f"{name}_bn")
    return b.scale(x, b.act(gate, "sigmoid"), name=f"{name}_scale")
