"""One-stage detectors over a feature pyramid: RetinaNet with anchors, FCOS without."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.feature_pyramid import feature_pyramid, shared_head, tower
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("retinanet")
def retinanet(
    name: str,
    *,
    backbone: Backbone = "resnet50",
    taps: Sequence[Tap] = (3, 4, 5),
    width: int = 256,
    extra: str = "p6p7",
    depth: int = 4,
    norm: str = "",
    anchors: int = 9,
    frozen: bool = False,
    image: int | Sequence[int] = 800,
    classes: int = 91,
) -> Network:
    """Return a RetinaNet: ``taps`` of a ``backbone``, a pyramid, and towers of ``depth`` for classes and boxes.

    ``extra``: see :func:`.feature_pyramid.feature_pyramid`; ``norm`` "group" puts group norms (and no biases) into the
    towers; ``frozen`` batch norms of the backbone have nothing that is learned. Source: Lin et al. 2017 (arXiv
    1708.02002), section 4; torchvision models/detection/retinanet.py; MLPerf's: mlcommons/inference
    vision/classification_and_detection/python/models/resnext50. Omits: selection and suppression of boxes.
    """
    b = Builder(name, "retinanet", (3, *sides(image)))
    maps = features(b, b.input(), backbone, taps, fixed=frozen)
    maps = feature_pyramid(b, maps, width, extra=extra)

    def head(outputs: int, act: str) -> list[Value]:
        def one(inside: Builder, x: Value) -> list[Value]:
            y = tower(inside, x, depth, width, norm=norm, bias=not norm)
            y = inside.conv(y, anchors * outputs, 3, name="out")
            return [inside.act(y, act, name="out_act") if act else y]

        return shared_head(b, maps, one, "classification" if act else "regression")

    return b.build(*head(classes, "sigmoid"), *head(4, ""))


@family("fcos")
def fcos(
    name: str,
    *,
    backbone: Backbone = "resnet50",
    taps: Sequence[Tap] = (3, 4, 5),
    width: int = 256,
    extra: str = "p6p7",
    depth: int = 4,
    frozen: bool = False,
    image: int | Sequence[int] = 800,
    classes: int = 91,
) -> Network:
    """Return an FCOS: a RetinaNet with one box a position, its centre-ness, and group norms in the towers.

    Source: Tian et al. 2019 (arXiv 1904.01355), section 3; torchvision models/detection/fcos.py. Omits: selection and
    suppression of boxes.
    """
    b = Builder(name, "fcos", (3, *sides(image)))
    maps = features(b, b.input(), backbone, taps, fixed=frozen)
    maps = feature_pyramid(b, maps, width, extra=extra)

    def classify(inside: Builder, x: Value) -> list[Value]:
        y = tower(inside, x, depth, width, norm="group")
        return [inside.act(inside.conv(y, classes, 3, name="out"), "sigmoid", name="out_act")]

    def locate(inside: Builder, x: Value) -> list[Value]:
        y = tower(inside, x, depth, width, norm="group")
        boxes = inside.act(inside.conv(y, 4, 3, name="boxes"), name="boxes_act")
        return [boxes, inside.act(inside.conv(y, 1, 3, name="centre"), "sigmoid", name="centre_act")]

    return b.build(*shared_head(b, maps, classify, "classification"), *shared_head(b, maps, locate, "regression"))
