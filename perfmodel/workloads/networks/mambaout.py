"""MambaOut: gated convolution blocks, the Mamba block without its state-space model."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.normed import normalise
from perfmodel.workloads.networks.registry import family


@family("mambaout")
def mambaout(
    name: str,
    depths: Sequence[int],
    widths: Sequence[int],
    *,
    expansion: float = 8 / 3,
    conv_ratio: float = 1.0,
    kernel: int = 7,
    stem_norm: bool = True,
    norm_first: bool = False,
    layer_scale: bool = False,
    head_norm: bool = True,
    head_ratio: int = 4,
    act: str = "gelu",
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a MambaOut: a gate of ``expansion`` times the width, a depthwise convolution on ``conv_ratio`` of it.

    ``stem_norm``: a norm between the stem's convolutions. ``norm_first``: norms before the convolutions between
    stages, not after. ``head_ratio`` and ``head_norm``: of the head's hidden layer. Source: Yu and Wang 2024
    (arXiv 2405.07992), section 3.3 and table 6; timm models/mambaout.py. Omits: permutations.
    """
    b = Builder(name, "mambaout", (3, image, image))
    with b.scope("stem"):
        x = b.conv(b.input(), widths[0] // 2, 3, 2, name="conv1")
        x = b.act(normalise(b, x, "layer", "", name="norm1") if stem_norm else x, act)
        x = normalise(b, b.conv(x, widths[0], 3, 2, name="conv2"), "layer", "", name="norm2")
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            with b.scope(f"stages.{stage}.downsample"):
                x = normalise(b, x, "layer", "") if norm_first else x
                x = b.conv(x, width, 3, 2)
                x = x if norm_first else normalise(b, x, "layer", "")
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                y = _gated(b, x, int(expansion * width), int(conv_ratio * width), kernel, act)
                x = b.add(b.scale(y, parameters=width, name="ls") if layer_scale else y, x)
    with b.scope("head"):
        y = b.layer_norm(b.global_pool(x))
        if head_ratio:
            y = b.act(b.linear(y, head_ratio * widths[-1], name="hidden"), act)
            y = b.layer_norm(y, name="hidden_norm") if head_norm else y
        return b.build(b.linear(y, classes, name="fc"))


def _gated(b: Builder, x: Value, hidden: int, convolved: int, kernel: int, act: str) -> Value:
    width, height, breadth = x.shape
    y = b.linear(b.tokens(normalise(b, x, "layer", "")), 2 * hidden, name="fc1")
    gate, plain, local = b.split(y, (hidden, hidden - convolved, convolved), axis=-1)
    local = b.conv(b.image(local, height, breadth), convolved, kernel, groups=convolved)
    mixed = b.concat((plain, b.tokens(local)), axis=-1)
    y = b.linear(b.multiply(b.act(gate, act), mixed), width, name="fc2")
    return b.image(y, height, breadth)
