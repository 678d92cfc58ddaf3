"""Vision transformers with windows or stages against timm's and torchvision's: parameters exact, flops equal."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.oracle.vit_variants import assert_equal, check_timm, module_count, timm_variants
from tests.vision_oracle import torchvision_count

pytestmark = pytest.mark.slow

FILES = ("coatnet", "hiera", "maxvit", "mvitv2", "sam2-hiera", "samvit", "swin", "swinv2", "swinv2-cr")
SIZED: dict[str, tuple[int, dict[str, Any]]] = {
    "swin_tiny_patch4_window7_224": (168, {"img_size": 168}),
    "swin_s3_tiny_224": (200, {"img_size": 200, "window_size": (7, 7, 14, 7)}),
    "swinv2_tiny_window8_256": (200, {"img_size": 200}),
    "swinv2_cr_tiny_ns_224": (256, {"img_size": 256}),
    "maxvit_tiny_tf_224": (160, {"img_size": 160}),
    "maxvit_rmlp_pico_rw_256": (192, {"img_size": 192}),
    "coatnet_rmlp_nano_rw_224": (192, {"img_size": 192}),
    "coatnet_0_224": (160, {"img_size": 160}),
    "mvitv2_tiny": (192, {"img_size": 192}),
    "mvitv2_small_cls": (256, {"img_size": 256}),
    "hiera_tiny_224": (192, {"img_size": 192}),
    "sam2_hiera_tiny": (640, {}),
    "samvit_base_patch16": (400, {"img_size": 400}),
}
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "swin_tiny_patch4_window7_224": (
        {"width": 48, "depths": [1, 2, 3, 1], "heads": [2, 2, 4, 8], "window": 5, "mlp_ratio": 3.0},
        {
            "embed_dim": 48, "depths": (1, 2, 3, 1), "num_heads": (2, 2, 4, 8), "window_size": 5, "mlp_ratio": 3.0,
        },
    ),
    "maxvit_tiny_tf_224": (
        {"widths": [32, 64, 96, 128], "depths": [1, 1, 2, 1], "layer_scale": True, "squeeze": 0.125, "head": 96},
        {
            "embed_dim": (32, 64, 96, 128), "depths": (1, 1, 2, 1), "transformer_init_values": 0.1,
            "conv_attn_ratio": 0.125, "head_hidden_size": 96,
        },
    ),
    "hiera_tiny_224": (
        {"width": 48, "depths": [1, 1, 2, 1], "heads": 2}, {"embed_dim": 48, "stages": (1, 1, 2, 1), "num_heads": 2},
    ),
}  # fmt: skip
TORCHVISION: dict[str, tuple[int, int, dict[str, Any]]] = {
    "swin_t": (224, 193, {}), "swin_s": (224, 224, {}), "swin_b": (224, 100, {}),
    "swin_v2_t": (256, 203, {}), "swin_v2_s": (256, 256, {}), "swin_v2_b": (256, 100, {}),
    "maxvit_t": (224, 448, {"input_size": (448, 448)}),
}  # fmt: skip


@pytest.mark.parametrize("name", timm_variants(*FILES))
def test_timm(name: str) -> None:
    check_timm(name)


@pytest.mark.parametrize("name", SIZED)
def test_another_size(name: str) -> None:
    image, options = SIZED[name]
    changes: dict[str, Any] = {"image": image}
    if name == "swinv2_cr_tiny_ns_224":
        changes["window"] = 8  # timm's is an eighth of the patches
    check_timm(name, changes, **options)


@pytest.mark.parametrize("name", CHANGED)
def test_changed_fields(name: str) -> None:
    ours, theirs = CHANGED[name]
    check_timm(name, ours, **theirs)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    """At the size of training and at another, which windows do not divide."""
    image, another, options = TORCHVISION[name]
    assert_equal(load_network(name), torchvision_count(name, image))
    changes = {"window": 7} if name == "maxvit_t" else {}
    assert_equal(load_network(name, image=another, **changes), torchvision_count(name, another, **options))


@pytest.mark.parametrize("name", ["swin3d_t", "swin3d_s", "swin3d_b", "mvit_v1_b", "mvit_v2_s"])
def test_videos(name: str) -> None:
    from torchvision.models import get_model

    network = load_network(name)
    assert_equal(network, module_count(get_model, name, shape=(3, 16, 224, 224)))


def test_video_of_another_size() -> None:
    from torchvision.models import get_model

    network = load_network("swin3d_t", frames=13, image=150)
    assert_equal(network, module_count(get_model, "swin3d_t", shape=(3, 13, 150, 150)))
