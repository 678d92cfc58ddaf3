"""Detectors against torchvision's and effdet's modules: parameters exact, flops equal, at another image size too."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.vision_oracle import Counted, count, torch

pytestmark = pytest.mark.slow

NAMES = {
    "retinanet-resnet50-fpn": "retinanet_resnet50_fpn", "retinanet-resnet50-fpn-v2": "retinanet_resnet50_fpn_v2",
    "fcos-resnet50-fpn": "fcos_resnet50_fpn", "fasterrcnn-resnet50-fpn": "fasterrcnn_resnet50_fpn",
    "fasterrcnn-resnet50-fpn-v2": "fasterrcnn_resnet50_fpn_v2", "maskrcnn-resnet50-fpn": "maskrcnn_resnet50_fpn",
    "maskrcnn-resnet50-fpn-v2": "maskrcnn_resnet50_fpn_v2", "keypointrcnn-resnet50-fpn": "keypointrcnn_resnet50_fpn",
    "fasterrcnn-mobilenet-v3-large-fpn": "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn-mobilenet-v3-large-320-fpn": "fasterrcnn_mobilenet_v3_large_320_fpn", "ssd300-vgg16": "ssd300_vgg16",
    "ssdlite320-mobilenet-v3-large": "ssdlite320_mobilenet_v3_large",
}  # fmt: skip
"""Ours and torchvision's names."""
LEARNED = ("retinanet-resnet50-fpn", "fcos", "fasterrcnn", "maskrcnn", "keypointrcnn")
"""Networks whose norms can be learned: they are without torchvision's weights."""


@lru_cache(maxsize=32)
def module_of(name: str) -> Any:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        return models.get_model(name, weights=None, weights_backbone=None).to("meta").eval()


def counted(module: Any, image: int) -> Counted:
    """Return what the parts of a detector count that do not depend on an image's content."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        maps = list(module.backbone(torch.empty(1, 3, image, image, device="meta")).values())
        if hasattr(module, "rpn"):
            module.rpn.head(maps)
            regions(module.roi_heads, module.rpn.post_nms_top_n())
        else:
            module.head(maps)
    return Counted(sum(p.numel() for p in module.parameters()), counter.get_total_flops())


def regions(heads: Any, proposals: int) -> None:
    heads.box_predictor(heads.box_head(torch.empty(proposals, 256, 7, 7, device="meta")))
    for kind in ("mask", "keypoint"):
        if getattr(heads, f"{kind}_head") is not None:
            y = getattr(heads, f"{kind}_head")(torch.empty(heads.detections_per_img, 256, 14, 14, device="meta"))
            getattr(heads, f"{kind}_predictor")(y)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("image", [0, 416])
def test_counts(name: str, image: int) -> None:
    learned = {"frozen": False} if name.startswith(LEARNED) and not name.endswith("v2") else {}
    own = load_network(name, **learned)
    network = load_network(name, image=image, **learned) if image else own
    found = counted(module_of(NAMES[name]), image or own.inputs[0][-1])
    assert network.parameters == found.parameters
    assert network.matmul_flops == found.flops


@pytest.mark.parametrize("name", ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d7x", "lite0", "lite1", "lite2",
                                  "lite3", "lite3x", "lite4"])  # fmt: skip
def test_efficientdet(name: str) -> None:
    effdet = pytest.importorskip("effdet")
    with torch.device("meta"):
        module = effdet.create_model(f"tf_efficientdet_{name}", pretrained=False, pretrained_backbone=False)
    found = count(module, (1, 3, *module.config.image_size))
    network = load_network(f"efficientdet-{name}")
    assert network.parameters == found.parameters
    assert network.matmul_flops == found.flops


@pytest.mark.parametrize("name", ["detr-resnet50", "detr-resnet101"])
@pytest.mark.parametrize("image", [224])
def test_detr(name: str, image: int) -> None:
    """The module runs, for it asks for values."""
    from torch.utils.flop_counter import FlopCounterMode

    transformers = pytest.importorskip("transformers")
    depths = [3, 4, 23 if "101" in name else 6, 3]
    backbone = transformers.ResNetConfig(depths=depths, out_features=["stage4"])
    config = transformers.DetrConfig(num_labels=91, backbone_config=backbone, use_timm_backbone=False, backbone=None)
    config._attn_implementation = "eager"  # its products are counted one by one
    module = transformers.DetrForObjectDetection(config).eval()
    network = load_network(name, image=image, frozen=False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, image, image))
    norms = sum(2 * m.num_features for m in module.modules() if type(m).__name__ == "BatchNorm2d")
    frozen = sum(p.numel() for p in module.parameters()) + (0 if norms else 2 * _norms(depths))
    assert network.parameters == frozen
    assert network.matmul_flops == counter.get_total_flops()


def _norms(depths: list[int]) -> int:
    """Return the channels of all batch norms of a residual network of bottlenecks."""
    return 64 + sum(d * 6 * w + 4 * w for d, w in zip(depths, (64, 128, 256, 512), strict=True))
