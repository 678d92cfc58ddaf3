"""Classic convolutional networks: published counts, layers worked by hand, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network, load_variants
from perfmodel.workloads.networks.towers import towers

FILES = (
    "alexnet", "bn-inception", "cspnet", "densenet", "dla", "dpn", "googlenet", "hrnet", "inception-resnet-v2",
    "inception-v3", "inception-v4", "nasnet", "pnasnet", "selecsls", "shufflenet", "shufflenet-v2", "squeezenet", "vgg",
    "vovnet", "xception", "xception-aligned",
)  # fmt: skip
FOLDER = Path(__file__).parents[3] / "workloads/cnn"
PUBLISHED = [
    name for file in FILES for name, variant in load_variants(FOLDER / f"{file}.yaml").items() if variant.published
]


def load(name: str, **changes: object) -> Network:
    network = load_network(name, **changes)
    assert isinstance(network, Network)
    return network


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    """Multiply-accumulates are within half of the last digit printed, or 1 %: some sources add batch norms."""
    network = load(name)
    if network.published_parameters is not None:
        assert network.parameters == network.published_parameters
    if network.published_macs is not None:
        share = 0.0 if "torchvision" in network.published_source else 0.01
        rounding = max(0.5e6, share * network.published_macs)
        assert network.matmul_flops / 2 == pytest.approx(network.published_macs, abs=rounding)


@pytest.mark.parametrize("file", FILES)
def test_every_variant_is_whole(file: str) -> None:
    """Each node but the last is read by another, but for what is kept and never runs."""
    for name in load_variants(FOLDER / f"{file}.yaml"):
        network = load(name)
        unread = [n.name for i, n in enumerate(network.nodes) if i not in network.readers and n.kind != "unused"]
        assert unread == [network.nodes[-1].name]
        assert network.shape_of(network.outputs[0]) == (1000,)


def test_alexnets_first_layer() -> None:
    """Caffe's: 96 filters of 11x11x3 at stride 4 leave 55x55 of 227x227; half of them see half of its results."""
    first, second = (n for n in load("alexnet-caffe").nodes[:5] if n.name.endswith("conv"))
    assert first.shape == (96, 55, 55)
    assert first.parameters == 96 * (11 * 11 * 3 + 1)
    assert second.parameters == 256 * (5 * 5 * 48 + 1)


def test_googlenets_first_module() -> None:
    """3a of table 1 in arXiv 1409.4842, with biases."""
    module = [n for n in load("inception-v1").nodes if n.block == "inception3a"]
    widths = 64 * 193 + 96 * 193 + 128 * (96 * 9 + 1) + 16 * 193 + 32 * (16 * 25 + 1) + 32 * 193
    assert sum(n.parameters for n in module) == widths
    assert module[-1].shape == (256, 28, 28)


def test_shuffled_halves_pass_unconvolved() -> None:
    """Half of a stride-1 unit's 116 channels meet two 1x1 and a depthwise 3x3 of 58 channels, with batch norms."""
    unit = [n for n in load("shufflenet-v2-x1.0").nodes if n.block == "stage2.1"]
    assert sum(n.parameters for n in unit) == 2 * 58 * 58 + 9 * 58 + 3 * 2 * 58
    assert unit[-1].kind == ""
    assert unit[-1].shape == (116, 28, 28)


def test_a_dense_block_adds_its_growth() -> None:
    network = load("densenet121")
    channels = [n.shape[0] for n in network.nodes if n.name.startswith("denseblock1") and n.name.endswith("concat")]
    assert channels == [96, 128, 160, 192, 224, 256]


def test_blurring_learns_nothing() -> None:
    """A blur of 64 channels at stride 2 from 112x112 to 56x56 takes 9 multiplications for each result."""
    blur = next(n for n in load("densenetblur121d").nodes if n.name == "stem.blur")
    assert blur.operator is not None
    assert blur.parameters == 0
    assert blur.shape == (64, 56, 56)
    assert blur.operator.counts().total_flops() == 2 * 9 * 64 * 56 * 56


def test_an_unused_head_costs_memory_only() -> None:
    kept, left = load("inception-v3"), load("inception-v3", auxiliary=False)
    assert kept.parameters - left.parameters == 768 * 128 + 2 * 128 + 128 * 768 * 25 + 2 * 768 + 769 * 1000
    assert kept.flops == left.flops


def test_towers() -> None:
    b = Builder("test", "test", (8, 15, 15))
    x = towers(b, b.input(), "4 3x3/2v | max/2c, 6 1x1 + 2 1x1 | max/2v")
    assert x.shape == (4 + (6 + 2) + 8, 7, 7)
    assert sum(1 for n in b.build(x).nodes if n.operator is not None and n.operator.KIND == "conv2d") == 3


def test_towers_that_do_not_exist_are_refused() -> None:
    b = Builder("test", "test", (8, 15, 15))
    with pytest.raises(ValueError, match="no step of a tower"):
        towers(b, b.input(), "4 3by3")


def test_residuals_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="block_ratio"):
        load("cs3darknet-l", block_ratio=1.0)
