"""Residual networks against torchvision's and timm's modules: parameters exact, flops equal, at odd sizes too."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.oracle.timm_variants import assert_counts, assert_equals_timm, variants
from tests.vision_oracle import timm_count, torchvision_count

pytestmark = pytest.mark.slow

TORCHVISION = {
    "resnet18": "resnet18", "resnet50": "resnet50", "resnext50-32x4d": "resnext50_32x4d",
    "wide-resnet50-2": "wide_resnet50_2",
}  # fmt: skip
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gluon_resnet101_v1d": ("resnet101d", {}), "gluon_resnet152_v1d": ("resnet152d", {}),
    "resnext101_32x48d": ("resnext101_32x32d", {"base_width": 48}),
}  # fmt: skip
"""Ours that timm has by another name or with options."""
ODD = (
    "resnet18d", "resnet26t", "resnet50_gn", "resnetblur18", "resnetblur50d", "resnetrs50", "ecaresnet26t",
    "ecaresnet50d_pruned", "seresnext26t_32x4d", "senet154", "legacy_senet154", "legacy_seresnet50", "test_resnet",
)  # fmt: skip
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "narrow groups": (
        {"depths": [1, 2, 1, 3], "groups": 8, "group_width": 12, "widths": [32, 64, 96, 160]},
        {"layers": (1, 2, 1, 3), "cardinality": 8, "base_width": 12, "channels": (32, 64, 96, 160)},
    ),
    "deep stem": (
        {"stem": [48, 64, 128], "avg_down": True, "antialias": "blur", "stem_pool": "conv"},
        {"stem_type": "deep_tiered", "stem_width": 64, "avg_down": True, "aa_layer": "blur", "replace_stem_pool": True},
    ),
    "reduced": (
        {"reduce_first": 2, "down_kernel": 3, "attention": "ese"},
        {"block_reduce_first": 2, "down_kernel_size": 3, "block_args": {"attn_layer": "ese"}},
    ),
    "global context": ({"attention": "gca"}, {"block_args": {"attn_layer": "gca"}}),
}


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("image", [224, 193])
def test_torchvision(name: str, image: int) -> None:
    assert_counts(load_network(name, image=image), torchvision_count(TORCHVISION[name], image))


@pytest.mark.parametrize("name", variants(["resnet"], without=OTHERS))
def test_timm(name: str) -> None:
    assert_equals_timm(name)


@pytest.mark.parametrize("name", OTHERS)
def test_other_names(name: str) -> None:
    oracle, options = OTHERS[name]
    assert_equals_timm(name, oracle=oracle, **options)


@pytest.mark.parametrize("name", ODD)
def test_odd_size(name: str) -> None:
    assert_equals_timm(name, 207)


@pytest.mark.parametrize("case", CHANGED)
def test_changed_fields(case: str) -> None:
    ours, theirs = CHANGED[case]
    options = dict(theirs)
    if options.get("aa_layer") == "blur":
        from timm.layers import BlurPool2d

        options["aa_layer"] = BlurPool2d
    counted = timm_count.__wrapped__("resnet50", 224, **options)
    assert_counts(load_network("resnet50", **ours), counted)
