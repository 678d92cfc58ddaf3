"""Segmentation, depth and video networks against torchvision and transformers: parameters exact, flops equal."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.vision_oracle import count, torch

pytestmark = pytest.mark.slow

SEGMENTATION = {
    "fcn-resnet50": "fcn_resnet50", "fcn-resnet101": "fcn_resnet101", "deeplabv3-resnet50": "deeplabv3_resnet50",
    "deeplabv3-resnet101": "deeplabv3_resnet101", "deeplabv3-mobilenet-v3-large": "deeplabv3_mobilenet_v3_large",
    "lraspp-mobilenet-v3-large": "lraspp_mobilenet_v3_large",
}  # fmt: skip
VIDEO = {"r3d-18": "r3d_18", "mc3-18": "mc3_18", "r2plus1d-18": "r2plus1d_18", "s3d": "s3d"}
SEGFORMER = [f"segformer-b{i}" for i in range(6)]
DEPTHS = [f"depth-anything{version}-{size}" for version in ("", "-v2") for size in ("small", "base", "large")]
VIDEOMAE = {"videomae-small": 384, "videomae-base": 768, "videomae-large": 1024, "videomae-huge": 1280}


def agree(network: Any, module: Any, *inputs: tuple[int, ...], more: int = 0) -> None:
    """Assert that a network counts what a module does; ``more``: parameters that the module never uses."""
    found = count(module, *inputs)
    assert network.parameters == found.parameters - more
    assert network.matmul_flops == found.flops


@pytest.mark.parametrize("name", SEGMENTATION)
@pytest.mark.parametrize("image", [520, 225])
def test_segmentation(name: str, image: int) -> None:
    models = pytest.importorskip("torchvision.models")
    auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
    with torch.device("meta"):
        module = models.get_model(SEGMENTATION[name], weights=None, weights_backbone=None, **auxiliary)
    agree(load_network(name, image=image), module, (1, 3, image, image))


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize(("frames", "image"), [(16, 112), (16, 224), (19, 225)])
def test_video(name: str, frames: int, image: int) -> None:
    if name == "s3d" and image < 224:
        pytest.skip("its last pooling has a fixed size")
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        module = models.get_model(VIDEO[name], weights=None)
    agree(load_network(name, frames=frames, image=image), module, (1, 3, frames, image, image))


@pytest.mark.parametrize("name", SEGFORMER)
@pytest.mark.parametrize("image", [512, (256, 384)])
def test_segformer(name: str, image: Any) -> None:
    transformers = pytest.importorskip("transformers")
    fields = {0: ([2, 2, 2, 2], 256), 1: ([2, 2, 2, 2], 256), 2: ([3, 4, 6, 3], 768), 3: ([3, 4, 18, 3], 768),
              4: ([3, 8, 27, 3], 768), 5: ([3, 6, 40, 3], 768)}  # fmt: skip
    depths, decoder = fields[int(name[-1])]
    widths = [32, 64, 160, 256] if name.endswith("b0") else [64, 128, 320, 512]
    config = transformers.SegformerConfig(
        depths=depths, hidden_sizes=widths, decoder_hidden_size=decoder, num_labels=150
    )  # fmt: skip
    with torch.device("meta"):
        module = transformers.SegformerForSemanticSegmentation(config)
    height, width = (image, image) if isinstance(image, int) else image
    agree(load_network(name, image=image), module, (1, 3, height, width))


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize("image", [518])
def test_depth_anything(name: str, image: int) -> None:
    transformers = pytest.importorskip("transformers")
    size = name.rsplit("-", maxsplit=1)[-1]
    depth, width, heads = {"small": (12, 384, 6), "base": (12, 768, 12), "large": (24, 1024, 16)}[size]
    taps = {12: [3, 6, 9, 12], 24: [5, 12, 18, 24]}[depth] if "v2" in name else list(range(depth - 3, depth + 1))
    neck = {384: [48, 96, 192, 384], 768: [96, 192, 384, 768], 1024: [256, 512, 1024, 1024]}[width]
    backbone = transformers.Dinov2Config(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, image_size=image, patch_size=14,
        out_indices=taps, reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=width, neck_hidden_sizes=neck,
        fusion_hidden_size={384: 64, 768: 128, 1024: 256}[width],
    )  # fmt: skip
    with torch.device("meta"):
        module = transformers.DepthAnythingForDepthEstimation(config)
    fusion = config.fusion_hidden_size
    unused = width + 2 * (9 * fusion**2 + fusion)  # the token of masks, the first fusion's other unit
    agree(load_network(name, image=image), module, (1, 3, image, image), more=unused)


@pytest.mark.parametrize("name", VIDEOMAE)
def test_videomae(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    width = VIDEOMAE[name]
    depth, heads = {384: (12, 6), 768: (12, 12), 1024: (24, 16), 1280: (32, 16)}[width]
    config = transformers.VideoMAEConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=4 * width,
        num_labels=400, use_mean_pooling=True,
    )  # fmt: skip
    with torch.device("meta"):
        module = transformers.VideoMAEForVideoClassification(config)
    agree(load_network(name), module, (1, 16, 3, 224, 224))
