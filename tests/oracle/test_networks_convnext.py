"""ConvNeXt and other modern networks against timm's and torchvision's modules: parameters exact, flops equal."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.oracle.timm_variants import assert_counts, assert_equals_timm, variants
from tests.vision_oracle import timm_count, torchvision_count

pytestmark = pytest.mark.slow

SIZES = ("tiny", "small", "base", "large", "xlarge")
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"convnext_{size}_384_in22ft1k": (f"convnext_{size}", {}) for size in SIZES},
    **{f"convnext_{size}_in22k": (f"convnext_{size}", {"num_classes": 21841}) for size in SIZES},
}
"""Ours that timm has by another name or with options."""
ODD = (
    "convnext_atto", "convnext_femto_ols", "convnext_zepto_rms_ols", "convnextv2_atto", "test_convnext3",
    "inception_next_atto", "convmixer_1024_20_ks9_p14", "mambaout_femto", "mambaout_small_rw", "rdnet_tiny",
    "hgnet_tiny", "hgnetv2_b0", "hgnetv2_b4", "repvgg_a0", "repvgg_b1g4", "gernet_s", "regnetz_b16", "resnet51q",
    "resnet61q", "gcresnext26ts", "eca_resnet33ts", "test_byobnet",
)  # fmt: skip
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "convnext_tiny": (
        {"depths": [1, 2, 3, 1], "widths": [40, 72, 136, 200], "kernels": [3, 5, 7, 9], "conv_mlp": True},
        {"depths": (1, 2, 3, 1), "dims": (40, 72, 136, 200), "kernel_sizes": (3, 5, 7, 9), "conv_mlp": True},
    ),
    "mambaout_tiny": (
        {"depths": [1, 1, 2, 1], "widths": [32, 64, 96, 128], "expansion": 3.5, "conv_ratio": 0.5, "kernel": 5},
        {
            "depths": (1, 1, 2, 1), "dims": (32, 64, 96, 128), "expansion_ratio": 3.5, "conv_ratio": 0.5,
            "kernel_size": 5,
        },
    ),
    "rdnet_tiny": (
        {"stem": 48, "growth": [40, 56, 64, 72, 80, 88, 96], "expansion": 3.0},
        {
            "num_init_features": 48, "growth_rates": (40, 56, 64, 72, 80, 88, 96), "bottleneck_width_ratio": 3.0,
        },
    ),
}  # fmt: skip
FILES = ("convnext", "inception-next", "convmixer", "mambaout", "rdnet", "hgnet", "repvgg", "byobnet")


@pytest.mark.parametrize("name", variants(FILES, without=OTHERS))
def test_timm(name: str) -> None:
    assert_equals_timm(name)


@pytest.mark.parametrize("name", OTHERS)
def test_other_names(name: str) -> None:
    oracle, options = OTHERS[name]
    assert_equals_timm(name, oracle=oracle, **options)


@pytest.mark.parametrize(
    ("name", "image"),
    [*((name, 207) for name in ODD), ("lambda_resnet26t", 192), ("eca_halonext26ts", 512), ("resnet50_mlp", 288)],
)
def test_other_size(name: str, image: int) -> None:
    assert_equals_timm(name, image)


@pytest.mark.parametrize("name", CHANGED)
def test_changed_fields(name: str) -> None:
    ours, theirs = CHANGED[name]
    assert_counts(load_network(name, **ours), timm_count.__wrapped__(name, None, **theirs))


def test_torchvision() -> None:
    assert_counts(load_network("convnext_tiny", image=199), torchvision_count("convnext_tiny", 199))


@pytest.mark.parametrize("name", ["repvgg_a0", "repvgg_b1g4"])
def test_fused_branches(name: str) -> None:
    import timm
    from timm.utils.model import reparameterize_model

    from tests.vision_oracle import count

    module = reparameterize_model(timm.create_model(name))
    assert_counts(load_network(name, fused=True), count(module, (1, 3, 224, 224)))
