"""Detectors, dense prediction, video and benchmarks' networks: published counts, and layers worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError
from perfmodel.specs.locate import spec_roots
from perfmodel.workloads.network import Network, Node
from perfmodel.workloads.networks.library import load_network, load_variants

FOLDERS = ("detection", "segmentation", "restoration", "pose", "tiny", "video")
FILES = ("cnn/gpunet.yaml", "cnn/midas.yaml", "vit/depth-anything.yaml")


def _files() -> list[Path]:
    root = next(root for root in spec_roots("workloads") if (root / "detection").is_dir())
    return [path for folder in FOLDERS for path in sorted((root / folder).glob("*.yaml"))] + [root / f for f in FILES]


PUBLISHED = {name: v.published for path in _files() for name, v in load_variants(path).items() if v.published}


def network(name: str, **fields) -> Network:
    found = load_network(name, **fields)
    assert isinstance(found, Network)
    return found


def node(found: Network, name: str) -> Node:
    return next(n for n in found.nodes if n.name == name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    found, published = network(name), PUBLISHED[name]
    stated, macs = published.get("parameters"), published.get("macs")
    if isinstance(stated, int):
        assert found.parameters == stated
    elif stated is not None:
        assert found.parameters == pytest.approx(stated, rel=0.015)
    if macs is not None:
        assert found.matmul_flops / 2 == pytest.approx(macs, rel=0.021)


def test_the_heads_of_a_pyramid_share_their_weights() -> None:
    found = network("retinanet-resnet50-fpn")
    first, second = node(found, "classification.0.conv0"), node(found, "classification.1.conv0")
    assert first.parameters == 9 * 256 * 256 + 256
    assert second.parameters == 0
    assert first.operator is not None
    assert first.operator.counts().total_flops() == 2 * 100 * 100 * 9 * 256 * 256  # 1/8 of 800 pixels
    assert node(found, "classification.4.out").shape == (9 * 91, 7, 7)
    assert found.parameters == network("retinanet-resnet50-fpn", image=320).parameters


def test_a_frozen_backbone_has_nothing_to_learn_in_its_norms() -> None:
    norms = 2 * 26560  # channels of all batch norms of ResNet-50
    learned = network("fcos-resnet50-fpn", frozen=False)
    assert learned.parameters - network("fcos-resnet50-fpn").parameters == norms


def test_heads_of_regions_work_on_a_fixed_number_of_them() -> None:
    whole, half = network("fasterrcnn-resnet50-fpn"), network("fasterrcnn-resnet50-fpn", proposals=500)
    each = 2 * (256 * 49 * 1024 + 1024 * 1024 + 1024 * 91 + 1024 * 4 * 91)
    assert whole.matmul_flops - half.matmul_flops == 500 * each
    assert whole.parameters == half.parameters


def test_a_single_shot_detector_has_the_boxes_that_mlperf_says() -> None:
    found = network("ssd-resnet34")
    boxes = [found.shape_of(value) for value in found.outputs[1::2]]
    assert sum(c * h * w for c, h, w in boxes) / 4 == 15130
    found = network("ssd-mobilenet-v1")
    assert sum(c * h * w for c, h, w in (found.shape_of(v) for v in found.outputs[1::2])) / 4 == 1917


def test_a_yolo_is_scaled_in_width_and_depth() -> None:
    small, wide = network("yolov8n"), network("yolov8n", width=0.5)
    assert node(small, "model.0.conv").shape == (16, 320, 320)
    assert node(wide, "model.0.conv").shape == (32, 320, 320)
    assert sum(n.block == "model.4" for n in network("yolov8n", depth=1.0).nodes) > sum(
        n.block == "model.4" for n in small.nodes
    )


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (["blob 3", "detect @0"], "blob"), (["conv 8 q3", "detect @0"], "q3"),
        (["conv 8", "cat @-1,7", "detect @0"], "7"),
    ],
)  # fmt: skip
def test_a_layer_that_is_none_is_refused(layers: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_network("yolov8n", layers=layers)


def test_an_unpadded_unet_crops_what_it_takes_over() -> None:
    found = network("unet-medical")
    assert found.shape_of(found.outputs[0]) == (2, 388, 388)
    assert node(found, "up0.crop").shape == (64, 392, 392)


def test_a_backbone_is_named_with_its_taps() -> None:
    light = network("retinanet-resnet50-fpn", backbone="mobilenetv2_100", frozen=False)
    assert light.parameters < network("retinanet-resnet50-fpn").parameters
    with pytest.raises(InputError, match="no block or node 'nowhere'"):
        load_network("retinanet-resnet50-fpn", taps=["nowhere"])
    with pytest.raises(InputError, match="does not say the name"):
        load_network("retinanet-resnet50-fpn", backbone={"image": 3})
    with pytest.raises(InputError, match="no feature map of 1/512"):
        load_network("retinanet-resnet50-fpn", taps=[9])


def test_a_window_of_a_volume_is_a_sample() -> None:
    found = network("3d-unet-kits19")
    assert node(found, "down0.conv2").operator.counts().total_flops() == 2 * 128**3 * 27 * 32 * 32
    assert found.shape_of(found.outputs[0]) == (3, 128, 128, 128)


def test_tiny_networks_by_hand() -> None:
    dense = network("dense-autoencoder")
    assert dense.matmul_flops / 2 == 2 * 640 * 128 + 6 * 128 * 128 + 2 * 128 * 8
    assert network("ds-cnn").matmul_flops / 2 == 125 * (40 * 64 + 4 * (9 * 64 + 64 * 64)) + 64 * 12
