"""Vision transformers: published counts, layers worked by hand, whole graphs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError, SpecError
from perfmodel.workloads.network import Network, Node
from perfmodel.workloads.networks.library import load_network, load_variants
from perfmodel.workloads.networks.vit_tokens import one_of

FOLDER = Path(__file__).parents[3] / "workloads"
FAMILIES = {
    "cait", "coat", "convit", "crossvit", "cvt", "davit", "focalnet", "gcvit", "hiera", "hieradet", "maxxvit", "mixer",
    "mvit", "nest", "pit", "pvt", "samvit", "sequencer", "swin", "swin3d", "tnt", "twins", "vit", "vit-hybrid",
    "vitamin", "volo", "xcit",
}  # fmt: skip
VARIANTS = {
    name: variant
    for folder in ("vit", "video")
    for path in sorted((FOLDER / folder).glob("*.yaml"))
    for name, variant in load_variants(path).items()
    if variant.family in FAMILIES
}


def load(name: str, **changes: object) -> Network:
    network = load_network(name, **changes)
    assert isinstance(network, Network)
    return network


def node(network: Network, name: str) -> Node:
    return next(node for node in network.nodes if node.name == name)


def flops(node: Node) -> float:
    assert node.operator is not None
    return float(node.operator.counts().filter_flops(engine="tensor").total_flops())


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.published])
def test_published_counts(name: str) -> None:
    """torchvision's numbers have attention's two products and the layers of position biases, as ours; norms neither."""
    network = load(name)
    assert network.published_macs is not None
    assert network.parameters == network.published_parameters
    assert network.matmul_flops / 2 == pytest.approx(network.published_macs, abs=0.5e6)


def test_published_counts_have_attentions_products() -> None:
    """ViT-B/16 without them would print 16.85, not 17.564 thousand million."""
    attention = sum(flops(n) for n in load("vit_b_16").nodes if n.name.endswith("attend"))
    assert attention == 12 * 2 * 2 * 197 * 197 * 768
    assert load("vit_b_16").matmul_flops - attention == pytest.approx(2 * 16.849e9, rel=1e-4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_variant_is_whole(family: str) -> None:
    """All results but the last are read, and views are no larger than what they show."""
    ours = [name for name, variant in VARIANTS.items() if variant.family == family]
    assert ours
    for name in {ours[0], ours[-1], *ours[::7]}:
        network = load(name)
        unread = [n.name for i, n in enumerate(network.nodes) if i not in network.readers]
        assert unread == [network.nodes[-1].name], name
        for each in network.nodes:
            assert all(isinstance(side, int) and side > 0 for side in each.shape), (name, each.name)
            if each.operator is None:
                assert each.elements <= network.elements_of(each.inputs[0]), (name, each.name)


def test_a_block_of_vit() -> None:
    """197 tokens of 768: 4 layers of 768*768 with biases, attention, 2 layers of 768*3072."""
    network = load("vit_base_patch16_224")
    inside = [n for n in network.nodes if n.block == "blocks.0"]
    assert sum(n.parameters for n in inside) == 12 * 768 * 768 + (3 + 1 + 4 + 1) * 768 + 2 * 2 * 768
    assert sum(flops(n) for n in inside) == 2 * 197 * 12 * 768 * 768 + 4 * 197 * 197 * 768
    assert node(network, "pos_embed").parameters == 197 * 768


def test_a_sample_does_not_feed_position_biases() -> None:
    """The layers of relative positions read nothing that a sample gives, so that they run once a batch."""
    first = node(load("swinv2_tiny_window8_256"), "layers.0.0.attn.rel_pos.fc1")
    assert first.inputs == ()
    assert first.shape == (15 * 15, 512)
    assert first.parameters == 2 * 512 + 512


def test_windows_are_padded() -> None:
    """50 positions a side take 8 windows of 7 each, as if there were 56."""
    network = load("swin_t", image=200)
    assert node(network, "layers.0.0.attn.pad").shape == (56 * 56, 96)
    assert node(network, "layers.0.0.attn.windows").shape == (64, 49, 96)
    assert flops(node(network, "layers.0.0.attn.attend")) == 64 * 4 * 49 * 49 * 96
    assert node(network, "layers.0.0.attn.crop").shape == (50 * 50, 96)
    assert node(network, "layers.0.0.attn.attend").parameters == 13 * 13 * 3


def test_windows_no_larger_than_the_image() -> None:
    """torchvision pads a grid that is smaller than its window; timm shrinks the window."""
    assert node(load("swin_t", image=128), "layers.3.0.attn.windows").shape == (1, 49, 768)
    assert node(load("swin_tiny_patch4_window7_224", image=128), "layers.3.0.attn.windows").shape == (1, 16, 768)


def test_pooled_keys_of_mvit() -> None:
    """8 frames of 56x56 and a class token; keys and values pooled by 8 a side, convolved depthwise by 3x3x3."""
    network = load("mvit_v2_s")
    attend = node(network, "stages.0.blocks.0.attn.attend")
    assert attend.shape == (8 * 56 * 56 + 1, 96)
    assert flops(attend) == 4 * (8 * 56 * 56 + 1) * (8 * 7 * 7 + 1) * 96
    assert node(network, "stages.0.blocks.0.attn.pool_k.conv").parameters == 27 * 96
    second = node(network, "stages.1.blocks.0.attn.pool_k.conv")
    assert second.parameters == 27 * 96  # two heads share one of their width
    assert second.shape == (192, 8, 14, 14)


def test_attention_between_channels() -> None:
    """XCiT's scores are 48 by 48 for each of 8 heads of 384 channels, whatever the image."""
    for image, tokens in ((224, 196), (448, 784)):
        scores = node(load("xcit_small_12_p16_224", image=image), "blocks.0.attn.covariance")
        assert scores.shape == (384, 48)
        assert flops(scores) == 2 * 8 * 48 * 48 * tokens


def test_scores_in_memory() -> None:
    """Attention with biases writes its scores; plain attention does not."""
    biased = node(load("swin_t"), "layers.0.0.attn.attend").operator
    plain = node(load("vit_b_16"), "blocks.0.attn.attend").operator
    assert biased is not None
    assert plain is not None
    assert "scores" in str(biased.counts())
    assert "scores" not in str(plain.counts())


def test_rectangular_images() -> None:
    assert node(load("vit_base_patch16_sapiens2"), "blocks.0.mlp.fc2").shape == (64 * 48 + 9, 768)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vit_b_16", {"pool": "maximum"}), ("vit_b_16", {"heads": 7}), ("swin_t", {"version": "v3"}),
        ("swin_t", {"heads": [5, 6, 12, 24]}), ("maxvit_t", {"image": 200}), ("nest_tiny", {"image": 200}),
        ("hiera_tiny_224", {"image": 200}), ("gcvit_tiny", {"image": 200}), ("mixer_b16_224", {"block": "mlp"}),
        ("mvitv2_tiny", {"expand": "both"}),
    ],
)  # fmt: skip
def test_what_cannot_be(name: str, changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="cannot be built"):
        load(name, **changes)


def test_images_smaller_than_a_patch() -> None:
    with pytest.raises(SpecError, match="too small"):
        load("vit_b_16", image=8)


def test_words() -> None:
    assert one_of("pool", "mean", "mean", "token") == "mean"
    with pytest.raises(ValueError, match="pool must be one of 'mean', 'token', not 'max'"):
        one_of("pool", "max", "mean", "token")
