"""Residual networks and modern convolutional ones: published counts, layers worked by hand, names, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError
from perfmodel.workloads.network import Network, Node
from perfmodel.workloads.networks.library import find_variant, load_network, load_variants

FILES = (
    "byobnet", "convmixer", "convnext", "hgnet", "inception-next", "mambaout", "nfnet", "rdnet", "regnet", "repvgg",
    "res2net", "resnest", "resnet", "resnetv2", "sknet", "tresnet",
)  # fmt: skip
FOLDER = Path(__file__).parents[3] / "workloads/cnn"
PUBLISHED = [
    name for file in FILES for name, variant in load_variants(FOLDER / f"{file}.yaml").items() if variant.published
]


def load(name: str, **changes: object) -> Network:
    network = load_network(name, **changes)
    assert isinstance(network, Network)
    return network


def nodes(network: Network, prefix: str) -> list[Node]:
    return [node for node in network.nodes if node.name.startswith(prefix)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    network = load(name)
    assert network.parameters == network.published_parameters
    assert network.published_macs is not None
    assert network.matmul_flops / 2 == pytest.approx(network.published_macs, abs=0.5e6)


@pytest.mark.parametrize("file", FILES)
def test_variants_are_whole(file: str) -> None:
    """Each node but the last is read by another, and the classes leave: of every sixth variant."""
    for name, variant in list(load_variants(FOLDER / f"{file}.yaml").items())[::6]:
        network = load(name)
        unread = [n.name for i, n in enumerate(network.nodes) if i not in network.readers]
        assert unread == [network.nodes[-1].name]
        (classes,) = network.shape_of(network.outputs[0])
        assert classes == variant.fields.get("classes", 1000) or not variant.fields["classes"]


def test_a_bottleneck() -> None:
    """The second stage's first block: 256 to 128 at 56x56, a 3x3 with the stride, 128 to 512 at 28x28, a shortcut."""
    block = nodes(load("resnet50"), "layer2.0.")
    assert [n.shape for n in block if n.name.endswith(("conv1", "conv2", "conv3"))] == [
        (128, 56, 56), (128, 28, 28), (512, 28, 28),
    ]  # fmt: skip
    weights = 256 * 128 + 9 * 128 * 128 + 128 * 512 + 256 * 512
    norms = 2 * (128 + 128 + 512 + 512)
    assert sum(n.parameters for n in block) == weights + norms


def test_stride_on_the_first_convolution() -> None:
    """ResNet V1 as published: the stride on the 1x1, 0.23e9 multiply-accumulates fewer and as many parameters."""
    later, first = load("resnet50"), load("resnet50", stride_on="1x1")
    assert later.parameters == first.parameters
    assert first.matmul_flops / 2 == pytest.approx(3.86e9, rel=0.01)


def test_squeeze_excite_is_rounded_to_eights() -> None:
    """A basic block's 64 channels leave 8 of the 4 that a sixteenth would be."""
    gate = nodes(load("seresnet18"), "layer1.0.se.")
    assert sum(n.parameters for n in gate) == 64 * 8 + 8 + 8 * 64 + 64


def test_eca_has_as_many_weights_as_its_span() -> None:
    """(log2(2048) + 1)/2 = 6, made odd: 7."""
    (conv,) = [n for n in nodes(load("ecaresnet50d"), "layer4.0.se.") if n.parameters]
    assert conv.parameters == 7
    assert conv.operator is not None
    assert conv.operator.counts().total_flops() == 2 * 7 * 2048


def test_a_blur_has_no_parameters() -> None:
    plain, soft = load("resnet50"), load("resnetblur50")
    assert plain.parameters == soft.parameters
    assert soft.matmul_flops > plain.matmul_flops


def test_widths_of_a_regnet() -> None:
    """RegNetX-200MF: depths 1, 1, 4, 7 and widths 24, 56, 152, 368 (paper, table of RegNetX)."""
    network = load("regnetx_002")
    depths = [sum(n.name.endswith("conv3") for n in nodes(network, f"s{stage}.")) for stage in (1, 2, 3, 4)]
    widths = [nodes(network, f"s{stage}.")[-1].shape[0] for stage in (1, 2, 3, 4)]
    assert (depths, widths) == ([1, 1, 4, 7], [24, 56, 152, 368])


@pytest.mark.parametrize(
    ("one", "other"), [("regnet_y_1_6gf", "regnet_y_16gf"), ("regnet_x_3_2gf", "regnet_x_32gf")]
)  # fmt: skip
def test_names_that_differ_in_punctuation(one: str, other: str) -> None:
    assert load(one).parameters < load(other).parameters


@pytest.mark.parametrize(
    ("alias", "name"),
    [("tv_resnet50", "resnet50"), ("swsl_resnext101_32x8d", "resnext101-32x8d"), ("gluon_senet154", "senet154"),
     ("resnet50.a1_in1k", "resnet50"), ("regnety_040s_gn", "regnety_040_sgn")],
)  # fmt: skip
def test_aliases(alias: str, name: str) -> None:
    found = find_variant(alias)
    assert found is not None
    assert found.name == name


def test_folded_branches() -> None:
    """A 3x3 with a bias is what a 3x3, a 1x1 and three batch norms become."""
    network = load("repvgg_a0", fused=True)
    block = nodes(network, "stages.0.1.")
    assert sum(n.parameters for n in block) == 9 * 48 * 48 + 48
    assert network.parameters < load("repvgg_a0").parameters


def test_a_convnext_block() -> None:
    """Depthwise 7x7, norm, four times as wide and back, a scale: of 96 channels."""
    block = nodes(load("convnext_tiny"), "stages.0.0.")
    assert sum(n.parameters for n in block) == 96 * 50 + 2 * 96 + 96 * 384 + 384 + 384 * 96 + 96 + 96


def test_blocks_must_cover_a_halo_networks_image() -> None:
    with pytest.raises(InputError, match="do not cover"):
        load("halonet26t", image=208)
