"""Networks of faces: attributes by grouped convolutions, recognition by residual blocks with squeeze-excite."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


def _grouped(
    b: Builder, x: Value, middle: int, out: int, groups: int, stride: int, name: str, *, act: bool = True
) -> Value:
    """Add a grouped 3x3 convolution, a 1x1 one, its norm and perhaps an activation of one learned slope."""
    y = b.conv(x, middle, 3, stride, groups=groups, bias=False, name=f"{name}_grouped")
    y = b.batch_norm(b.conv(y, out, bias=False, name=name), name=f"{name}_bn")
    return b.act(y, "prelu", parameters=1, name=f"{name}_act") if act else y


@family("face-attributes")
def face_attributes(
    name: str,
    *,
    width: int = 64,
    depths: Sequence[int] = (2, 6, 3),
    group: int = 32,
    attributes: int = 5,
    image: int | Sequence[int] = 128,
) -> Network:
    """Return Qualcomm's network of face attributes: stages of grouped blocks, and a branch for each of ``attributes``.

    ``group`` is the channels of a group at a stage's input. Source: quic/ai-hub-models
    qai_hub_models/models/face_attrib_net (layers.py, model.py).
    """
    b = Builder(name, "face-attributes", (3, *sides(image)))
    with b.block("head"):
        x = b.batch_norm(b.conv(b.input(), width, 3, bias=False, name="stem"), name="stem_bn")
        x = b.act(x, "prelu", parameters=1, name="stem_act")
        groups = width // group
        y = _grouped(b, x, width, width, groups, 2, "first1")
        y = _grouped(b, y, width, width, groups, 1, "first2", act=False)
        x = b.add(y, _grouped(b, x, width, width, groups, 2, "second", act=False))
        x = b.act(x, "prelu", parameters=1)
    maps: list[Value] = []
    for stage, depth in enumerate(depths):
        for index in range(depth):
            with b.block(f"stage{stage}.{index}"):
                x = _normal(b, x, group) if index else _halved(b, x, group)
        maps.append(x)
    found: list[Value] = []
    for index in range(attributes):
        with b.block(f"attribute{index}"):
            found.append(_branch(b, maps[-2], maps[-1], width, group))
    return b.build(*found)


def _halved(b: Builder, x: Value, group: int) -> Value:
    width, groups = int(x.channels), int(x.channels) // group
    y = _grouped(b, x, 2 * width, 2 * width, groups, 2, "first")
    z = _grouped(b, x, 4 * width, 2 * width, groups, 2, "second1")
    z = _grouped(b, z, 4 * width, 2 * width, groups, 1, "second2", act=False)
    return b.act(b.add(y, z), "prelu", parameters=1)


def _normal(b: Builder, x: Value, group: int) -> Value:
    width, groups = int(x.channels), int(x.channels) // group
    y = _grouped(b, x, 2 * width, width, groups, 1, "conv1")
    y = _grouped(b, y, 2 * width, width, groups, 1, "conv2", act=False)
    return b.act(b.add(y, x), "prelu", parameters=1)


def _branch(b: Builder, fine: Value, coarse: Value, width: int, group: int) -> Value:
    y = _grouped(b, fine, 2 * width, 2 * width, 4 * width // group, 2, "branch1")
    y = b.concat([y, coarse])
    y = _grouped(b, y, 5 * width, 2 * width, 10 * width // group, 2, "branch2")
    return b.linear(b.global_pool(y), 2, name="class")


@family("face-residual")
def face_residual(
    name: str,
    depths: Sequence[int],
    *,
    widths: Sequence[int] = (64, 128, 256, 512),
    squeeze: int = 16,
    embedding: int = 512,
    image: int | Sequence[int] = 112,
) -> Network:
    """Return an improved residual network of faces: blocks of a norm, two 3x3 convolutions and squeeze-excite.

    ``depths`` of stages, each of which halves the image; ``squeeze`` divides the channels inside squeeze-excite (0:
    none). Source: Deng et al. 2018 (arXiv 1801.07698), section 3.1; ZhaoJ9014/face.evoLVe backbone/model_irse.py.
    """
    b = Builder(name, "face-residual", (3, *sides(image)))
    x = b.batch_norm(b.conv(b.input(), widths[0], 3, bias=False, name="stem"), name="stem_bn")
    x = b.act(x, "prelu", parameters=widths[0], name="stem_act")
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for index in range(depth):
            with b.block(f"stage{stage}.{index}"):
                x = _residual(b, x, width, 1 if index else 2, squeeze)
    with b.block("out"):
        y = b.flatten(b.batch_norm(x))
        return b.build(b.batch_norm(b.linear(y, embedding), name="embedding_bn"))


def _residual(b: Builder, x: Value, width: int, stride: int, squeeze: int) -> Value:
    y = b.conv(b.batch_norm(x, name="bn1"), width, 3, bias=False, name="conv1")
    y = b.act(y, "prelu", parameters=width)
    y = b.batch_norm(b.conv(y, width, 3, stride, bias=False, name="conv2"), name="bn2")
    if squeeze:
        gate = b.act(b.conv(b.global_pool(y, keep=True), width // squeeze, bias=False, name="fc1"), name="fc1_act")
        y = b.scale(y, b.act(b.conv(gate, width, bias=False, name="fc2"), "sigmoid", name="gate"))
    if x.channels != width:
        x = b.conv_bn(x, width, 1, stride, act="", name="shortcut")
    elif stride > 1:
        x = b.max_pool(x, 1, stride, name="shortcut")
    return b.add(y, x)
