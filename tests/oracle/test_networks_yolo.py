"""YOLO detectors against ultralytics' modules (which run, for they ask for values): parameters exact, flops equal."""

from __future__ import annotations

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.vision_oracle import torch

ultralytics = pytest.importorskip("ultralytics.nn.tasks")

pytestmark = pytest.mark.slow

MODELS = {"": "DetectionModel", "-seg": "SegmentationModel", "-pose": "PoseModel", "-obb": "OBBModel"}
NAMES = [f"{version}n{task}" for version in ("yolov8", "yolo11") for task in MODELS] + ["yolo11m", "yolov3-tinyu"]
NAMES += ["yolov5nu", "yolov10n", "yolov10s", "yolov10b"]


def deployed(module: torch.nn.Module) -> torch.nn.Module:
    """Return YOLOv10 without the head of training and with its 7x7 convolutions joined."""
    head = module.model[-1]
    head.cv2, head.cv3 = head.one2one_cv2, head.one2one_cv3
    head.one2one_cv2, head.one2one_cv3, head.end2end = None, None, False
    for layer in module.modules():
        if type(layer).__name__ == "RepVGGDW":
            layer.conv1, layer.forward = None, layer.forward_fuse
    return module


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("image", [160])
def test_counts(name: str, image: int) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    task = f"-{name.split('-')[1]}" if name.rsplit("-", maxsplit=1)[-1] in {"seg", "pose", "obb"} else ""
    spelled = name.removesuffix("u")
    module = getattr(ultralytics, MODELS[task])(f"{spelled}.yaml", verbose=False)
    module = (deployed(module) if name.startswith("yolov10") else module).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, image, image))
    network = load_network(name, image=image, classes=module.yaml["nc"])
    assert network.parameters == sum(p.numel() for p in module.parameters())
    assert network.matmul_flops == counter.get_total_flops()
