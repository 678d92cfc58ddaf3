"""SKNet: residual networks whose 3x3 convolution has paths of two reaches that attention chooses between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.normed import divisible
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.residual import Stage, Trunk, add_head, add_stages, add_stem, bottleneck_width

_PATHS = 2


@family("sknet")
def sknet(
    name: str,
    depths: Sequence[int],
    *,
    block: str = "bottleneck",
    groups: int = 1,
    group_width: int = 64,
    split: bool = True,
    ratio: float = 1 / 16,
    divisor: int = 8,
    stem: Sequence[int] = (64,),
    avg_down: bool = False,
    widths: Sequence[int] = (64, 128, 256, 512),
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a selective-kernel network: a 3x3 and a dilated 3x3 path, mixed by a softmax for each channel.

    ``split`` gives each path half of the input's channels. ``ratio`` and ``divisor``: the attention's inner width.
    The other fields are those of the family resnet. Source: Li et al. 2019 (arXiv 1903.06586), section 3; timm
    models/sknet.py and layers/selective_kernel.py.
    """
    b = Builder(name, "sknet", (3, image, image))
    trunk = Trunk(stem, avg_down=avg_down)
    branch = _Selective(block, groups, group_width, split, ratio, divisor)
    wider = 4 if block == "bottleneck" else 1
    stages = [Stage(depth, planes, wider * planes, branch) for depth, planes in zip(depths, widths, strict=True)]
    x = add_stages(b, add_stem(b, b.input(), trunk), stages, trunk)[-1]
    return b.build(add_head(b, x, classes))


@dataclass(frozen=True)
class _Selective:
    kind: str
    groups: int
    group_width: int
    split: bool
    ratio: float
    divisor: int

    def __call__(self, b: Builder, x: Value, planes: int, stride: int, index: int) -> Value:
        if self.kind == "basic":
            return b.conv_bn(self._selected(b, x, planes, stride, "conv1"), planes, 3, act="", name="conv2")
        inner = bottleneck_width(planes, self.groups, self.group_width)
        y = self._selected(b, b.conv_bn(x, inner, name="conv1"), inner, stride, "conv2")
        return b.conv_bn(y, 4 * planes, act="", name="conv3")

    def _selected(self, b: Builder, x: Value, width: int, stride: int, name: str) -> Value:
        with b.scope(name):
            half = int(x.channels) // _PATHS
            parts = b.split(x, (half,) * _PATHS) if self.split else [x] * _PATHS
            groups = min(width, self.groups)
            paths = [
                b.conv_bn(part, width, 3, stride, groups=groups, dilation=number, name=f"path{number}")
                for number, part in enumerate(parts, 1)
            ]
            y = b.conv(b.global_pool(b.add(*paths), keep=True), divisible(width * self.ratio, self.divisor),
                       bias=False, name="reduce")  # fmt: skip
            y = b.act(b.batch_norm(y))
            y = b.conv(y, width * _PATHS, bias=False, name="select")
            gate = b.softmax(b.view(y, (width, _PATHS)))
            return b.add(*(b.scale(path, gate) for path in paths), name="weighed_sum")
