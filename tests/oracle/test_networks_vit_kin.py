"""Relatives of vision transformers against timm's and transformers' modules: parameters exact, flops equal."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.oracle.vit_variants import assert_equal, check_timm, module_count, timm_variants

pytestmark = pytest.mark.slow

FILES = (
    "cait", "coat", "convit", "crossvit", "davit", "focalnet", "gcvit", "mixer", "nest", "pit", "pvt-v2", "sequencer",
    "tnt", "twins", "vit-hybrid", "vitamin", "volo", "xcit",
)  # fmt: skip
MISNAMED = {"vitamin_xlarge_336": {"img_size": 336}}
"""timm looks this one up as that of 256, so that its size has to be said."""
SIZED: dict[str, tuple[int, dict[str, Any]]] = {
    "cait_xxs24_224": (208, {"img_size": 208}),
    "coat_tiny": (256, {"img_size": 256}),
    "coat_lite_tiny": (192, {"img_size": 192}),
    "convit_tiny": (192, {"img_size": 192}),
    "crossvit_9_dagger_240": (480, {"img_size": 480}),
    "davit_tiny": (203, {}),
    "focalnet_tiny_lrf": (200, {}),
    "gcvit_xxtiny": (256, {"img_size": 256}),
    "gmixer_12_224": (160, {"img_size": 160}),
    "nest_tiny": (256, {"img_size": 256}),
    "nest_tiny_jx": (192, {"img_size": 192}),
    "pit_ti_distilled_224": (200, {"img_size": 200}),
    "pvt_v2_b0": (203, {}),
    "pvt_v2_b2_li": (256, {}),
    "tnt_s_patch16_224": (160, {"img_size": 160}),
    "twins_svt_small": (256, {"img_size": 256}),
    "twins_pcpvt_small": (256, {"img_size": 256}),
    "vit_small_r26_s32_224": (256, {"img_size": 256}),
    "vit_base_mci_224": (256, {"img_size": 256}),
    "vitamin_small_224": (192, {"img_size": 192}),
    "volo_d1_224": (208, {"img_size": 208}),
    "xcit_nano_12_p8_224": (208, {"img_size": 208}),
    "xcit_tiny_12_p16_224": (176, {"img_size": 176}),
}
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "xcit_tiny_12_p16_224": (
        {"width": 96, "depth": 3, "heads": 6, "mlp_ratio": 3.0, "class_depth": 1},
        {"embed_dim": 96, "depth": 3, "num_heads": 6, "mlp_ratio": 3.0, "cls_attn_layers": 1},
    ),
    "cait_xxs24_224": (
        {"width": 96, "depth": 3, "heads": 6, "class_depth": 1, "patch": 8},
        {"embed_dim": 96, "depth": 3, "num_heads": 6, "depth_token_only": 1, "patch_size": 8},
    ),
    "pvt_v2_b0": (
        {"widths": [16, 40, 48, 96], "depths": [1, 2, 1, 1], "heads": [2, 4, 4, 6], "mlp_ratios": [2, 3, 4, 5]},
        {
            "embed_dims": (16, 40, 48, 96), "depths": (1, 2, 1, 1), "num_heads": (2, 4, 4, 6),
            "mlp_ratios": (2, 3, 4, 5),
        },
    ),
    "focalnet_tiny_srf": (
        {"levels": 3, "window": 5, "overlap": True, "layer_scale": True, "inner_norm": True, "mlp_ratio": 2.0},
        {
            "focal_levels": (3,) * 4, "focal_windows": (5,) * 4, "use_overlap_down": True, "layerscale_value": 0.1,
            "use_post_norm_in_modulation": True, "mlp_ratio": 2.0,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", timm_variants(*FILES))
def test_timm(name: str) -> None:
    check_timm(name, None, **MISNAMED.get(name, {}))


@pytest.mark.parametrize("name", SIZED)
def test_another_size(name: str) -> None:
    image, options = SIZED[name]
    check_timm(name, {"image": image}, **options)


@pytest.mark.parametrize("name", CHANGED)
def test_changed_fields(name: str) -> None:
    ours, theirs = CHANGED[name]
    check_timm(name, ours, **theirs)


@pytest.mark.parametrize("name", [f"mit_b{number}" for number in range(6)])
def test_segformers_encoders(name: str) -> None:
    from transformers import SegformerConfig, SegformerForImageClassification

    depths = {"2": [3, 4, 6, 3], "3": [3, 4, 18, 3], "4": [3, 8, 27, 3], "5": [3, 6, 40, 3]}.get(name[-1], [2, 2, 2, 2])
    widths = [32, 64, 160, 256] if name == "mit_b0" else [64, 128, 320, 512]
    config = SegformerConfig(depths=depths, hidden_sizes=widths, num_labels=1000)
    counted = module_count(SegformerForImageClassification, config, shape=(3, 203, 203))
    assert_equal(load_network(name, image=203), counted)


@pytest.mark.parametrize("name", ["cvt-13", "cvt-21", "cvt-w24"])
def test_cvt(name: str) -> None:
    from transformers import CvtConfig, CvtForImageClassification

    wide = name == "cvt-w24"
    config = CvtConfig(
        depth={"3": [1, 2, 10], "1": [1, 4, 16], "4": [2, 2, 20]}[name[-1]], num_labels=1000,
        embed_dim=[192, 768, 1024] if wide else [64, 192, 384], num_heads=[3, 12, 16] if wide else [1, 3, 6],
    )  # fmt: skip
    for image in (224, 203):
        counted = module_count(CvtForImageClassification, config, shape=(3, image, image))
        assert_equal(load_network(name, image=image), counted)
