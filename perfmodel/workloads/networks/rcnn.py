"""Two-stage detectors: Faster, Mask and Keypoint R-CNN over a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.feature_pyramid import feature_pyramid, shared_head, tower
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("rcnn")
def rcnn(
    name: str,
    *,
    backbone: Backbone = "resnet50",
    taps: Sequence[Tap] = (2, 3, 4, 5),
    frozen: bool = False,
    width: int = 256,
    pyramid_norm: bool = False,
    proposal_depth: int = 1,
    anchors: int = 3,
    proposals: int = 1000,
    detections: int = 100,
    box_convs: int = 0,
    box_hidden: Sequence[int] = (1024, 1024),
    masks: bool = False,
    mask_convs: int = 4,
    head_norm: str = "",
    keypoints: int = 0,
    keypoint_convs: Sequence[int] = (512,) * 8,
    image: int | Sequence[int] = 800,
    classes: int = 91,
) -> Network:
    """Return an R-CNN: a backbone's pyramid, a proposal network, and heads over a fixed number of regions.

    The box head sees ``proposals`` regions (7x7): ``box_convs`` convolutions, dense layers of ``box_hidden``. Heads for
    ``masks`` (``mask_convs`` at 14x14) and ``keypoints`` see ``detections`` regions. ``head_norm`` "batch": of the
    convolutions of box and mask heads. Source: Ren et al. 2015 (arXiv 1506.01497); He et al. 2017 (arXiv 1703.06870);
    torchvision models/detection/{faster,mask,keypoint}_rcnn.py, whose test settings are the numbers of regions. An
    image with fewer regions takes less. Omits: selection and suppression of boxes, pasting of masks.
    """
    b = Builder(name, "rcnn", (3, *sides(image)))
    maps = features(b, b.input(), backbone, taps, fixed=frozen)
    maps = feature_pyramid(b, maps, width, extra="pool", norm=pyramid_norm)
    proposed = shared_head(b, maps, lambda inside, x: _proposals(inside, x, proposal_depth, anchors), "rpn")
    regions = _Regions(maps[:-1], proposed, head_norm)
    with b.block("box_head"):
        x = regions.pool(b, proposals, 7)
        x = regions.convolve(b, x, (width,) * box_convs)
        x = b.view(x, (proposals, prod(x.shape, start=1) // proposals), name="regions")
        for index, hidden in enumerate(box_hidden):
            x = b.act(b.linear(x, hidden, name=f"fc{index + 6}"), name=f"fc{index + 6}_act")
        found = [b.softmax(b.linear(x, classes, name="classes")), b.linear(x, 4 * classes, name="boxes")]
    if masks:
        with b.block("mask_head"):
            x = regions.convolve(b, regions.pool(b, detections, 14), (width,) * mask_convs)
            x = b.act(b.conv_transpose(x, width, (1, 2, 2), (1, 2, 2), name="up"))
            found.append(b.act(b.conv(x, classes, name="masks"), "sigmoid"))
    if keypoints:
        with b.block("keypoint_head"):
            x = _Regions(maps[:-1], proposed, "").convolve(b, regions.pool(b, detections, 14), keypoint_convs)
            x = b.conv_transpose(x, keypoints, (1, 4, 4), (1, 2, 2), (0, 1, 1), name="up")
            found.append(b.resize(x, (detections, 56, 56)))
    return b.build(*proposed, *found)


@family("proposals")
def proposal_network(
    name: str,
    *,
    backbone: Backbone = "resnet50",
    tap: Tap = "layer3",
    frozen: bool = True,
    depth: int = 1,
    anchors: int = 15,
    image: int | Sequence[int] = 800,
) -> Network:
    """Return the first half of a Faster R-CNN without a pyramid: a backbone's map and ``anchors`` boxes a position.

    Source: Ren et al. 2015 (arXiv 1506.01497), section 3.1; detectron2 configs/COCO-Detection/faster_rcnn_R_50_C4_3x.
    """
    b = Builder(name, "proposals", (3, *sides(image)))
    x = features(b, b.input(), backbone, [tap], fixed=frozen)[0]
    with b.block("rpn"):
        return b.build(*_proposals(b, x, depth, anchors), covers="backbone and proposals, without the heads of regions")


def _proposals(b: Builder, x: Value, depth: int, anchors: int) -> list[Value]:
    y = tower(b, x, depth, int(x.channels))
    return [b.conv(y, anchors, name="objects"), b.conv(y, 4 * anchors, name="boxes")]


@dataclass(frozen=True)
class _Regions:
    """Regions of the pyramid as frames of an image: (channels, regions, height, width)."""

    maps: Sequence[Value]
    proposed: Sequence[Value]
    norm: str

    def pool(self, b: Builder, count: int, side: int) -> Value:
        """Add the sampling of regions: 2x2 points a position, each from four neighbours (RoIAlign)."""
        width = int(self.maps[0].channels)
        positions = sum(int(prod(x.shape[1:])) for x in self.maps)
        op = ops.Resize(1, width, positions, count * side**2, 16)
        return b.node("roi_align", op, (*self.maps, *self.proposed), (width, count, side, side))

    def convolve(self, b: Builder, x: Value, widths: Sequence[int]) -> Value:
        """Add 3x3 convolutions of each region."""
        for index, width in enumerate(widths):
            x = b.conv(x, width, (1, 3, 3), bias=not self.norm, name=f"conv{index}")
            x = b.batch_norm(x, name=f"norm{index}") if self.norm else x
            x = b.act(x, name=f"act{index}")
        return x
