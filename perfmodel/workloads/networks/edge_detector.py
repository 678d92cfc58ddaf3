"""Detectors of faces and people of Qualcomm's AI Hub: blocks of 3x3 convolutions, a small pyramid, heads of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("edge-detector")
def edge_detector(
    name: str,
    blocks: Sequence[Sequence[int]],
    keep: Sequence[int],
    heads: Mapping[str, int],
    *,
    width: int = 32,
    channels: int = 3,
    stem: int = 16,
    extended: bool = False,
    normed_input: bool = False,
    image: int | Sequence[int] = (480, 640),
) -> Network:
    """Return a detector whose ``blocks`` are [kernel, expansion's channels, channels, squeeze-excite or not, stride].

    A kernel of 5 means two 3x3 convolutions. The maps of blocks ``keep`` and of the last one are joined from coarse to
    fine at ``width`` channels; ``heads`` are the channels of each map that is predicted, ``extended``: a 3x3
    convolution before each. ``normed_input``: a 1x1 convolution and a norm of the image first. Source:
    quic/ai-hub-models qai_hub_models/models/face_det_lite and foot_track_net (layers.py, model.py).
    """
    b = Builder(name, "edge-detector", (channels, *sides(image)))
    x = b.input()
    if normed_input:
        x = b.batch_norm(b.conv(x, channels, bias=False, name="normalise"), name="normalise_bn")
    x = b.conv_bn(x, stem, 3, 2, name="stem")
    kept: list[Value] = []
    for index, (kernel, expanded, out, squeeze, stride) in enumerate(blocks):
        with b.block(f"blocks.{index}"):
            x = _block(b, x, kernel, expanded, out, bool(squeeze), stride)
        if index in keep:
            kept.append(x)
    x = b.conv_bn(x, width, name="top")
    for index, finer in enumerate(reversed(kept)):
        with b.block(f"up{index}"):
            y = b.conv_bn(b.resize(x, [int(n) for n in finer.shape[1:]], "nearest"), width, 3, name="up")
            x = b.add(y, b.conv_bn(finer, width, name="connect"))
    with b.block("detect"):
        x = _detect(b, x)
    found: list[Value] = []
    for head, outputs in heads.items():
        with b.block(f"heads.{head}"):
            y = b.conv_bn(x, width, 3, name="ext") if extended else x
            found.append(b.conv(y, outputs))
    return b.build(*found)


def _block(b: Builder, x: Value, kernel: int, expanded: int, out: int, squeeze: bool, stride: int) -> Value:
    y = b.conv_bn(x, expanded, name="conv1")
    y = b.conv_bn(y, out, 3, stride if kernel == 3 else 1, name="conv2")
    if kernel == 5:
        y = b.conv_bn(y, out, 3, stride, name="conv3")
    if squeeze:
        gate = b.conv_bn(b.global_pool(y, keep=True), out // 4, name="reduce")
        y = b.scale(y, b.conv_bn(gate, out, act="sigmoid", name="expand"))
    if stride > 1:
        return y
    return b.add(y, x if x.channels == out else b.conv_bn(x, out, act="", name="shortcut"))


def _detect(b: Builder, x: Value) -> Value:
    """Add a 3x3 convolution beside two chains of them, and join the three."""
    width = int(x.channels)
    up = b.conv_bn(x, width // 2, 3, name="up")
    y = b.conv_bn(x, width // 4, 3, name="in")
    first = b.conv_bn(y, width // 4, 3, name="chain1")
    second = b.conv_bn(b.conv_bn(y, width // 4, 3, name="chain2"), width // 4, 3, name="chain3")
    return b.concat([up, first, second])


@family("selfie-segmentation")
def selfie_segmentation(name: str, *, image: int | Sequence[int] = 256) -> Network:
    """Return MediaPipe's segmentation of people: MobileNetV3 blocks, and a decoder that gates the encoder's maps.

    Source: quic/ai-hub-models qai_hub_models/models/mediapipe_selfie/model.py (the square network); norms are folded.
    """
    b = Builder(name, "selfie-segmentation", (3, *sides(image)))
    half = x = b.act(b.conv(b.input(), 16, 3, 2, name="stem"), "hard_swish", name="stem_act")
    with b.block("block0"):
        x = b.act(_depthwise(b, b.act(b.conv(x, 16)), 3, 2))
        quarter = x = b.conv(_squeezed(b, x, 8), 16, name="project")
    with b.block("block1"):
        x = b.conv(b.act(_depthwise(b, b.act(b.conv(x, 72)), 3, 2)), 24, name="project")
    with b.block("block2"):
        eighth = x = b.add(b.conv(b.act(_depthwise(b, b.act(b.conv(x, 88)), 3, 1)), 24, name="project"), x)
    for index, width in enumerate((96, 128, 128, 96, 96), 3):
        with b.block(f"block{index}"):
            y = b.act(b.conv(x, width), "hard_swish")
            y = b.act(_depthwise(b, y, 5, 2 if index == 3 else 1), "hard_swish")
            y = b.conv(_squeezed(b, y, width // 4), 32, name="project")
            x = y if index == 3 else b.add(y, x)
    with b.block("pool"):
        gate = b.act(b.conv(b.global_pool(x, keep=True), 128, name="gate"), "sigmoid")
        x = b.scale(b.act(b.conv(x, 128)), gate)
    for finer, width in ((eighth, 24), (quarter, 16), (half, 16)):
        with b.block(f"decoder{int(finer.shape[1])}"):
            x = _decoded(b, x, finer, width)
    with b.block("out"):
        return b.build(b.act(b.conv_transpose(x, 1, 2, 2), "sigmoid"))


def _depthwise(b: Builder, x: Value, kernel: int, stride: int) -> Value:
    return b.conv(x, x.channels, kernel, stride, groups=x.channels, name="depthwise")


def _squeezed(b: Builder, x: Value, reduced: int) -> Value:
    return b.squeeze_excite(x, reduced)


def _decoded(b: Builder, x: Value, finer: Value, width: int) -> Value:
    """Add upsampling, a gate on the finer map from the mean of both, and a residual depthwise convolution."""
    x = b.conv(b.resize(x, [int(n) for n in finer.shape[1:]]), width, name="reduce")
    y = b.global_pool(b.add(x, finer), keep=True)
    y = b.act(b.conv(b.act(b.conv(y, width, name="fc1")), width, name="fc2"), "sigmoid")
    x = b.act(b.conv(b.add(x, b.scale(finer, y)), width))
    return b.add(x, b.act(_depthwise(b, x, 3, 1)))
