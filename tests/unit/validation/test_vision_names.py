"""Names of networks in published vision benchmarks: what a source's word means, and what is not told by it."""

from __future__ import annotations

import pytest

from perfmodel.fitting import vision_spellings
from perfmodel.fitting.vision_names import image_size, network_name
from perfmodel.workloads.networks.library import find_variant, load_network

TABLES = [getattr(vision_spellings, name) for name in ("MLPERF", "NVIDIA", "QUALCOMM", "HAILO", "OTHERS")]
MEANINGS = sorted({repr(meaning): meaning for table in TABLES for meaning in table.values()}.items())


@pytest.mark.parametrize("meaning", [meaning for _, meaning in MEANINGS], ids=[text for text, _ in MEANINGS])
def test_each_spelling_means_a_network_of_the_library(meaning) -> None:
    name, fields = (meaning, {}) if isinstance(meaning, str) else meaning
    assert find_variant(name) is not None
    if fields:
        load_network(name, **fields)


@pytest.mark.parametrize(
    ("published", "task", "size", "expected"),
    [
        ("resnet50", "Offline closed", "", ("resnet50", {})),
        ("resnet", "SingleStream closed v0.5", "", ("resnet50", {})),
        ("resnet50v1.5", "inference", "", ("resnet50", {})),
        ("retinanet", "Server closed", "", ("retinanet-resnext50-32x4d", {})),
        ("efficientnet", 'inference {"Model": "efficientnet-b0", "Batch Size": "4"}', "", ("efficientnet_b0", {})),
        ("efficientnet", 'inference {"Model": "efficientnet-b4"}', "", ("efficientnet_b4", {"image": 380})),
        ("efficientnet_v1", "inference", "380x380", ("efficientnet_b4", {"image": 380})),
        ("3d-unet-99", "Offline closed v0.7", "", ("3d-unet-brats19", {})),
        ("yolov8_det/YOLOv8-Detection", "Object Detection", "640x640", ("yolov8n", {"image": 640})),
        ("yolov5s", "object_detection", "640x640x3", ("yolov5s-2.0", {"image": 640})),
        ("yolov5s", "yolov5", "[1, 3, 640, 640]", ("yolov5s", {"image": 640})),
        ("yolov11m |rocket|", "object_detection", "640x640x3", ("yolov11m", {"image": 640})),
        ("ffnet_40s", "Semantic Segmentation", "2048x1024", ("ffnet-40s", {"image": [1024, 2048]})),
        ("vit", "inference FasterTransformer", "", ("vit_base_patch16_384", {})),
        ("Stable Diffusion 2.1", "Image Generation", "512x512",
         ("stable-diffusion-2.1", {"height": 512, "width": 512})),
    ],
)  # fmt: skip
def test_names(published: str, task: str, size: str, expected) -> None:
    assert network_name(published, task, size) == expected


@pytest.mark.parametrize("published", ["nothing-of-ours", "yolor/Yolo-R", "openai/clip-vit-base-patch32", "cvt"])
def test_what_is_not_known_is_none(published: str) -> None:
    assert network_name(published, "Image Classification", "224x224") is None


def test_cases_of_many_windows_are_not_named() -> None:
    assert network_name("3d-unet-99", "Offline closed v3.0", "") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("384x384x3", (384, 384)), ("[1, 3, 224, 224]", (224, 224)), ("1 x 3 x 256 x 704", (256, 704)),
        ("480x640", (480, 640)), ("416p (416x416)", (416, 416)), ("", None), ("12x250x1280, 12x250x256", None),
    ],
)  # fmt: skip
def test_image_size(text: str, expected) -> None:
    assert image_size(text) == expected
