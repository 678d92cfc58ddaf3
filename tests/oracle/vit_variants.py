"""Vision transformers of our files against the modules of timm, torchvision and transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network, load_variants
from tests.vision_oracle import Counted, count, timm_count, torch

FOLDER = Path(__file__).parents[2] / "workloads" / "vit"
OLDER = {
    "mixer_b16_224_miil_in21k": "mixer_b16_224.miil_in21k",
    "swin_base_patch4_window12_384_in22k": "swin_base_patch4_window12_384.ms_in22k",
    "swin_base_patch4_window7_224_in22k": "swin_base_patch4_window7_224.ms_in22k",
    "swin_large_patch4_window12_384_in22k": "swin_large_patch4_window12_384.ms_in22k",
    "swin_large_patch4_window7_224_in22k": "swin_large_patch4_window7_224.ms_in22k",
    "vit_base_patch16_224_dino": "vit_base_patch16_224.dino",
    "vit_base_patch16_224_in21k": "vit_base_patch16_224.augreg_in21k",
    "vit_base_patch32_224_clip_laion2b": "vit_base_patch32_clip_224.laion2b",
    "vit_base_patch32_224_in21k": "vit_base_patch32_224.augreg_in21k",
    "vit_base_patch8_224_dino": "vit_base_patch8_224.dino",
    "vit_base_patch8_224_in21k": "vit_base_patch8_224.augreg_in21k",
    "vit_huge_patch14_224_clip_laion2b": "vit_huge_patch14_clip_224.laion2b",
    "vit_large_patch14_224_clip_laion2b": "vit_large_patch14_clip_224.laion2b",
    "vit_large_patch16_224_in21k": "vit_large_patch16_224.augreg_in21k",
    "vit_large_r50_s32_224_in21k": "vit_large_r50_s32_224.augreg_in21k",
    "vit_small_patch16_224_dino": "vit_small_patch16_224.dino",
    "vit_small_patch16_224_in21k": "vit_small_patch16_224.augreg_in21k",
    "vit_small_patch32_224_in21k": "vit_small_patch32_224.augreg_in21k",
    "vit_small_r26_s32_224_in21k": "vit_small_r26_s32_224.augreg_in21k",
    "vit_tiny_patch16_224_in21k": "vit_tiny_patch16_224.augreg_in21k",
    "vit_tiny_r_s16_p8_224_in21k": "vit_tiny_r_s16_p8_224.augreg_in21k",
}
"""What timm once called its networks of other classifiers, and what it calls them now."""
ELSEWHERE = {
    "maxvit_t", "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t", "vit_base_patch16_reg8_gap_256",
    "vit_h_14", "vit_h_14_518", "vit_l_16_512", "vit_l_32", "vit_medium_patch16_reg4_256",
}  # fmt: skip
"""Variants of torchvision, and those that timm has dropped."""


def timm_variants(*files: str) -> list[str]:
    """Return the names of all variants of files that timm has too."""
    return [name for file in files for name in load_variants(FOLDER / f"{file}.yaml") if name not in ELSEWHERE]


def check_timm(name: str, ours: dict[str, Any] | None = None, **theirs: Any) -> None:
    """Assert that we count what timm counts, at our image size, with fields changed here and options there."""
    network = load_network(name, **ours or {})
    assert isinstance(network, Network)
    _, *sides = network.inputs[0]
    size = int(sides[0]) if len(set(sides)) == 1 else None
    assert_equal(network, timm_count.__wrapped__(OLDER.get(name, name), size, **theirs))


def module_count(cls: Any, *arguments: Any, shape: tuple[int, ...], **options: Any) -> Counted:
    """Return what a module counts for one sample of a shape."""
    with torch.device("meta"):
        module = cls(*arguments, **options)
    return count(module, (1, *shape))


def assert_equal(network: Any, counted: Counted) -> None:
    """Assert equal parameters and flops."""
    assert network.parameters == counted.parameters
    assert network.matmul_flops == counted.flops
