"""InceptionNeXt: blocks of ConvNeXt whose depthwise convolution is split into a square and two bands."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("inception-next")
def inception_next(
    name: str,
    depths: Sequence[int],
    widths: Sequence[int],
    *,
    mlp_ratios: Sequence[float] = (4, 4, 4, 3),
    band: int = 11,
    branch_ratio: float = 0.125,
    head_ratio: float = 3.0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return an InceptionNeXt: ConvNeXt's blocks with a depthwise convolution in parts.

    ``branch_ratio`` of the channels see 3x3, as many 1x``band`` and as many ``band``x1, the rest only themselves.
    ``head_ratio``: the width of the head's hidden layer. Source: Yu et al. 2023 (arXiv 2303.16900), section 3 and
    table 2; timm models/inception_next.py.
    """
    b = Builder(name, "inception-next", (3, image, image))
    with b.scope("stem"):
        x = b.batch_norm(b.conv(b.input(), widths[0], 4, 4, 0))
    for stage, (depth, width, ratio) in enumerate(zip(depths, widths, mlp_ratios, strict=True)):
        if stage:
            with b.scope(f"stages.{stage}.downsample"):
                x = b.conv(b.batch_norm(x), width, 2, 2, 0)
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                y = b.batch_norm(_mixed(b, x, band, int(width * branch_ratio)))
                y = b.act(b.conv(y, int(ratio * width), name="fc1"), "gelu")
                y = b.scale(b.conv(y, width, name="fc2"), parameters=width, name="gamma")
                x = b.add(y, x)
    with b.scope("head"):
        x = b.linear(b.global_pool(x), int(head_ratio * widths[-1]), name="fc1")
        return b.build(b.linear(b.layer_norm(b.act(x, "gelu")), classes, name="fc2"))


def _mixed(b: Builder, x: Value, band: int, part: int) -> Value:
    with b.scope("token_mixer"):
        kept, square, flat, tall = b.split(x, (int(x.channels) - 3 * part, part, part, part))
        seen = (
            b.conv(square, part, 3, groups=part, name="square"),
            b.conv(flat, part, (1, band), groups=part, name="flat"),
            b.conv(tall, part, (band, 1), groups=part, name="tall"),
        )
        return b.concat((kept, *seen))
