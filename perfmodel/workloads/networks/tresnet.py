"""TResNet: residual networks made for the throughput of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.normed import conv_norm
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import Stage, Trunk, add_head, add_stages

_LEAKY = "leaky_relu"


@family("tresnet")
def tresnet(
    name: str,
    depths: Sequence[int],
    *,
    width_factor: float = 1.0,
    blocks: Sequence[str] = ("basic", "basic", "bottleneck", "bottleneck"),
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a TResNet: 4x4 positions become channels, blocks with a blur before strides and squeeze-excite.

    ``blocks``: each stage's, "basic" or "bottleneck"; the last stage has no squeeze-excite. ``width_factor`` times 64
    are the first stage's planes (V2 with bottlenecks alone: a multiple of 8). Source: Ridnik et al. 2020
    (arXiv 2003.13630), section 2 and table 2; timm models/tresnet.py.
    """
    b = Builder(name, "tresnet", (3, image, image))
    planes = int(64 * width_factor)
    if set(blocks) == {"bottleneck"}:
        planes = planes // 8 * 8
    x = b.copy(b.input(), (48, image // 4, image // 4), name="space_to_depth")
    x = conv_norm(b, x, planes, 3, act=_LEAKY, name="conv1")
    stages: list[Stage] = []
    for number, (depth, kind) in enumerate(zip(depths, blocks, strict=True)):
        width = planes * 2**number
        out = width * (4 if kind == "bottleneck" else 1)
        stages.append(Stage(depth, width, out, _Softened(kind, number < len(depths) - 1)))
    x = add_stages(b, x, stages, Trunk(avg_down=True))[-1]
    return b.build(add_head(b, x, classes, name="head"))


@dataclass(frozen=True)
class _Softened:
    kind: str
    excited: bool

    def __call__(self, b: Builder, x: Value, planes: int, stride: int, index: int) -> Value:
        if self.kind == "basic":
            y = conv_norm(b, x, planes, 3, stride, act=_LEAKY, antialias="blur", name="conv1")
            y = b.conv_bn(y, planes, 3, act="", name="conv2")
            return b.squeeze_excite(y, max(planes // 4, 64)) if self.excited else y
        y = b.conv_bn(x, planes, act=_LEAKY, name="conv1")
        y = conv_norm(b, y, planes, 3, stride, act=_LEAKY, antialias="blur", name="conv2")
        y = b.squeeze_excite(y, max(planes * 4 // 8, 64)) if self.excited else y
        return b.conv_bn(y, 4 * planes, act="", name="conv3")
