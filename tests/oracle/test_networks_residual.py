"""ResNet's relatives against timm's modules: parameters exact, flops equal, at odd sizes and with other fields too."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.oracle.timm_variants import assert_counts, assert_equals_timm, variants
from tests.vision_oracle import timm_count

pytestmark = pytest.mark.slow

OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"tresnet_{size}_448": (f"tresnet_{size}", {}) for size in ("m", "l", "xl")},
    "tresnet_m_miil_in21k": ("tresnet_m", {"num_classes": 11221}),
    "resnetv2_50x1_bitm": ("resnetv2_50x1_bit", {}), "resnetv2_152x2_bitm": ("resnetv2_152x2_bit", {}),
    "resnetv2_152x2_bit_teacher_384": ("resnetv2_152x2_bit", {}),
    **{
        f"resnetv2_{size}_bitm_in21k": (f"resnetv2_{size}_bit", {"num_classes": 21843})
        for size in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")
    },
}  # fmt: skip
"""Ours that timm has by another name or with options."""
ODD = {
    "resnest14d": 207, "resnest50d_4s2x40d": 207, "skresnet18": 207, "skresnext50_32x4d": 207, "res2net50_14w_8s": 207,
    "res2net50d": 207, "tresnet_m": 228, "resnetv2_18d": 207, "resnetv2_50x1_bit": 209, "resnetv2_50d_evos": 207,
    "regnetx_002": 207, "regnety_008_tv": 207, "regnetz_005": 207, "regnetv_064": 207, "nf_regnet_b0": 207,
    "nf_ecaresnet26": 207, "dm_nfnet_f0": 207, "eca_nfnet_l0": 207,
}  # fmt: skip
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "regnetx_002": (
        {"depth": 15, "w0": 32, "wa": 28.5, "wm": 2.2, "group_width": 12, "squeeze": 0.125, "stem": 24},
        {"depth": 15, "w0": 32, "wa": 28.5, "wm": 2.2, "group_size": 12, "se_ratio": 0.125, "stem_width": 24},
    ),
    "nf_resnet26": (
        {"channels": [96, 192, 320, 640], "width_factor": 0.8, "extra_conv": True, "attention": "eca"},
        {"channels": (96, 192, 320, 640), "width_factor": 0.8, "extra_conv": True, "attn_layer": "eca"},
    ),
    "resnetv2_50": (
        {"depths": [1, 2, 2, 1], "channels": [128, 320, 512, 768], "width_factor": 2},
        {"layers": (1, 2, 2, 1), "channels": (128, 320, 512, 768), "width_factor": 2},
    ),
    "tresnet_m": (
        {"depths": [1, 2, 3, 1], "width_factor": 0.8, "classes": 10},
        {"layers": (1, 2, 3, 1), "width_factor": 0.8, "num_classes": 10},
    ),
}
FILES = ("resnest", "sknet", "res2net", "tresnet", "resnetv2", "regnet", "nfnet")


@pytest.mark.parametrize("name", variants(FILES, without=OTHERS))
def test_timm(name: str) -> None:
    assert_equals_timm(name)


@pytest.mark.parametrize("name", OTHERS)
def test_other_names(name: str) -> None:
    oracle, options = OTHERS[name]
    assert_equals_timm(name, oracle=oracle, **options)


@pytest.mark.parametrize("name", ODD)
def test_odd_size(name: str) -> None:
    assert_equals_timm(name, ODD[name])


@pytest.mark.parametrize("name", CHANGED)
def test_changed_fields(name: str) -> None:
    ours, theirs = CHANGED[name]
    assert_counts(load_network(name, **ours), timm_count.__wrapped__(name, None, **theirs))
