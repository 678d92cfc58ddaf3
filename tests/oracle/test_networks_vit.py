"""Plain vision transformers against timm's and torchvision's modules: parameters exact, flops equal."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.oracle.vit_variants import assert_equal, check_timm, timm_variants
from tests.vision_oracle import torchvision_count

pytestmark = pytest.mark.slow

FILES = (
    "aimv2", "beit", "beit3", "deit", "deit3", "dinov2", "dinov3", "eva", "eva02", "naflexvit", "perception-encoder",
    "radio", "sapiens2", "vit", "vit-clip", "vit-relpos", "vit-rope", "vit-siglip",
)  # fmt: skip
SIZED: dict[str, tuple[int, dict[str, Any]]] = {
    "vit_base_patch16_224": (208, {"img_size": 208}),
    "vit_relpos_medium_patch16_cls_224": (208, {"img_size": 208}),
    "beit_base_patch16_224": (176, {"img_size": 176}),
    "eva02_tiny_patch14_224": (182, {"img_size": 182}),
    "vit_small_patch16_dinov3": (304, {}),
    "naflexvit_base_patch16_map": (272, {}),
}
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vit_tiny_patch16_224": (
        {
            "width": 96, "depth": 3, "heads": 4, "mlp": 200, "patch": 8, "qk_norm": True, "layer_scale": "both",
            "registers": 3, "inner_norm": "both", "out_bias": False, "pre_norm": True, "pool": "map-all", "image": 72,
        },
        {
            "embed_dim": 96, "depth": 3, "num_heads": 4, "mlp_ratio": 200 / 96, "patch_size": 8, "qk_norm": True,
            "init_values": 0.1, "reg_tokens": 3, "scale_attn_norm": True, "scale_mlp_norm": True, "proj_bias": False,
            "pre_norm": True, "global_pool": "map", "pool_include_prefix": True, "img_size": 72,
        },
    ),
    "vit_base_patch16_224": (
        {
            "width": 120, "depth": 2, "heads": 5, "pool": "refine", "position": "none", "final_norm": "pooled",
            "bias": "",
        },
        {
            "embed_dim": 120, "depth": 2, "num_heads": 5, "global_pool": "prr", "pos_embed": "none", "fc_norm": True,
            "qkv_bias": False,
        },
    ),
    "vit_pwee_patch16_reg1_gap_256": (
        {"width": 96, "depth": 2, "heads": 6, "mlp": 192, "bias": "", "qk_norm": True, "normed": "rms"},
        {
            "embed_dim": 96, "depth": 2, "num_heads": 6, "mlp_ratio": 2, "qkv_bias": False, "qk_norm": True,
            "norm_layer": "rmsnorm",
        },
    ),
    "vit_base_patch16_sapiens2": (
        {"depth": 4, "kv_heads": [[1, 12], [3, 4]], "image": 192}, {"depth": 4, "num_kv_heads": (12, 4, 4, 4)},
    ),
}  # fmt: skip
TORCHVISION = {
    "vit_base_patch16_224": ("vit_b_16", 224), "vit_base_patch16_384": ("vit_b_16", 384),
    "vit_base_patch32_224": ("vit_b_32", 224), "vit_large_patch16_224": ("vit_l_16", 224),
    "vit_l_16_512": ("vit_l_16", 512), "vit_l_32": ("vit_l_32", 224), "vit_h_14": ("vit_h_14", 224),
    "vit_h_14_518": ("vit_h_14", 518), "vit_b_16": ("vit_b_16", 224),
}  # fmt: skip


@pytest.mark.parametrize("name", timm_variants(*FILES))
def test_timm(name: str) -> None:
    check_timm(name)


@pytest.mark.parametrize("name", SIZED)
def test_another_size(name: str) -> None:
    image, options = SIZED[name]
    check_timm(name, {"image": image}, **options)


@pytest.mark.parametrize("name", CHANGED)
def test_changed_fields(name: str) -> None:
    ours, theirs = CHANGED[name]
    check_timm(name, ours, **theirs)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    oracle, image = TORCHVISION[name]
    assert_equal(load_network(name), torchvision_count(oracle, image, image_size=image))


def test_torchvision_at_another_size() -> None:
    assert_equal(load_network("vit_b_16", image=160), torchvision_count("vit_b_16", 160, image_size=160))
