"""Mobile and efficient networks against timm's and torchvision's modules: parameters exact, flops equal."""

from __future__ import annotations

import random
from typing import Any

import pytest

from perfmodel.specs.locate import spec_roots
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network, load_variants
from tests.vision_oracle import Counted, count, timm_count, torch, torchvision_count

pytestmark = pytest.mark.slow

FILES = (
    "cnn/efficientnet", "cnn/efficientnet-condconv", "cnn/efficientnet-edgetpu", "cnn/efficientnet-lite",
    "cnn/efficientnet-pruned", "cnn/efficientnet-test", "cnn/efficientnet-x", "cnn/efficientnetv2-b",
    "cnn/efficientnetv2-l", "cnn/efficientnetv2-m", "cnn/efficientnetv2-rw", "cnn/efficientnetv2-s",
    "cnn/efficientnetv2-xl", "cnn/fasternet", "cnn/fbnet", "cnn/ghostnet", "cnn/hardcorenas", "cnn/lcnet",
    "cnn/lcnetv2", "cnn/mixnet-m", "cnn/mixnet-s", "cnn/mnasnet", "cnn/mobilenet-edgetpu", "cnn/mobilenetv1",
    "cnn/mobilenetv2", "cnn/mobilenetv3-large", "cnn/mobilenetv3-small", "cnn/mobilenetv4-conv-large",
    "cnn/mobilenetv4-conv-medium", "cnn/mobilenetv4-conv-small", "cnn/mobilenetv4-hybrid-large",
    "cnn/mobilenetv4-hybrid-medium", "cnn/mobilenetv5", "cnn/mobileone", "cnn/repghost", "cnn/rexnet",
    "cnn/semnasnet", "cnn/spnasnet", "cnn/starnet", "cnn/tinynet", "vit/edgenext", "vit/efficientformer",
    "vit/efficientformerv2", "vit/efficientvit", "vit/efficientvit-m", "vit/fastvit", "vit/levit", "vit/lowformer",
    "vit/metaformer", "vit/mobilevit", "vit/mobilevitv2", "vit/nextvit", "vit/repvit", "vit/shvit", "vit/swiftformer",
    "vit/tinyvit", "vit/visformer",
)  # fmt: skip
BASES = {
    "mnasnet_130": "", "tiny_vit_5m": "", "tiny_vit_11m": "", "tiny_vit_21m": "",
    "mobilevitv2_150_384": "mobilevitv2_150", "mobilevitv2_175_384": "mobilevitv2_175",
    "mobilevitv2_200_384": "mobilevitv2_200",
}  # fmt: skip
"""Variants that timm has under another name, or not at all (""); all others have timm's name."""


def variants() -> list[str]:
    root = spec_roots("workloads")[-1]
    return [name for file in FILES for name in load_variants(root / f"{file}.yaml")]


def agrees(network: Any, oracle: Counted) -> None:
    assert isinstance(network, Network)
    assert network.parameters == oracle.parameters
    assert network.matmul_flops == oracle.flops


@pytest.mark.parametrize("name", [name for name in variants() if BASES.get(name, name)])
def test_counts(name: str) -> None:
    network = load_network(name)
    assert isinstance(network, Network)
    agrees(network, timm_count(BASES.get(name, name), int(network.inputs[0][1])))


TORCHVISION = (
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5",
    "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l", "mnasnet0_5",
    "mnasnet0_75", "mnasnet1_0", "mnasnet1_3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
)  # fmt: skip


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("image", [0, 193])
def test_torchvision(name: str, image: int) -> None:
    network = load_network(name, **({"image": image} if image else {}))
    assert isinstance(network, Network)
    agrees(network, torchvision_count(name, int(network.inputs[0][1])))


ODD = {
    "mobilenetv1_100": 211, "mobilenetv3_large_150d": 211, "mobilenetv4_hybrid_medium": 211,
    "mobilenetv4_conv_aa_medium": 224, "tf_efficientnet_b3": 211, "tf_efficientnet_cc_b0_8e": 200,
    "efficientnet_blur_b0": 211, "efficientnet_x_b3": 212, "gc_efficientnetv2_rw_t": 211, "fbnetv3_d": 211,
    "tf_mixnet_l": 211, "lcnet_100": 211, "lcnetv2_base": 211, "ghostnetv2_100": 213, "ghostnetv3_100": 213,
    "repghostnet_080": 213, "rexnet_130": 211, "mobileone_s0": 211, "repvit_m1_1": 211, "starnet_s3": 211,
    "fasternet_t1": 212, "edgenext_small": 211, "shvit_s2": 211, "efficientvit_b1": 211, "efficientvit_l1": 211,
    "lowformer_b1": 211, "mobilevit_xs": 211, "mobilevitv2_075": 211, "fastvit_sa12": 211, "swiftformer_s": 211,
    "nextvit_small": 211, "poolformer_s12": 211, "poolformerv2_s12": 211, "caformer_s18": 211,
    "convformer_s18": 211, "tiny_vit_21m_384": 260,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_images(name: str) -> None:
    agrees(load_network(name, image=ODD[name]), timm_count(name, ODD[name]))


@pytest.mark.parametrize(
    ("name", "image"), [("levit_256", 256), ("efficientvit_m4", 336), ("efficientformerv2_s1", 256)]
)
def test_images_that_change_learned_positions(name: str, image: int) -> None:
    agrees(load_network(name, image=image), timm_count(name, image, img_size=image))


@pytest.mark.parametrize("name", ["tiny_vit_5m", "tiny_vit_11m", "tiny_vit_21m"])
def test_classes(name: str) -> None:
    agrees(load_network(name), timm_count(f"{name}_224", 224, num_classes=1000))


@pytest.mark.parametrize("seed", range(4))
def test_random_fields(seed: int) -> None:
    draw = random.Random(seed)
    depths, expand = [draw.randint(1, 4) for _ in range(4)], draw.randint(2, 5)
    width, widths = draw.choice((24, 40, 56)), [draw.choice((32, 64, 96)) * 2**stage for stage in range(4)]
    factor = draw.choice((0.4, 0.65, 1.2, 1.7))
    agrees(load_network("mobilenet_v2", width=factor), torchvision_count("mobilenet_v2", width_mult=factor))
    agrees(load_network("rexnet_100", width=factor), timm_count("rexnet_100", width_mult=factor))
    agrees(
        load_network("starnet_s1", width=width, depths=depths, expand=expand),
        timm_count("starnet_s1", base_dim=width, depths=tuple(depths), mlp_ratio=expand),
    )
    agrees(
        load_network("fasternet_t2", width=width, depths=depths, expand=expand),
        timm_count("fasternet_t2", embed_dim=width, depths=tuple(depths), mlp_ratio=expand),
    )
    agrees(
        load_network("swiftformer_s", widths=widths, depths=depths, expand=expand),
        timm_count("swiftformer_s", embed_dims=tuple(widths), layers=tuple(depths), mlp_ratios=expand),
    )


@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4", "repghostnet_100", "fastvit_sa12", "lcnetv2_base"])
def test_fused(name: str) -> None:
    timm = pytest.importorskip("timm")
    reparameterize = pytest.importorskip("timm.utils.model").reparameterize_model
    network = load_network(name, fused=True)
    assert isinstance(network, Network)
    module = reparameterize(timm.create_model(name).eval())
    with torch.no_grad():
        agrees(network, count(module, (1, *network.inputs[0])))
