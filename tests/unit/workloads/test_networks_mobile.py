"""Mobile and efficient networks: published counts, the notation of stages, layers worked by hand, whole graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError
from perfmodel.workloads.network import Network, Node
from perfmodel.workloads.networks.library import find_variant, load_network, load_variants
from perfmodel.workloads.networks.mobile_stages import divisible, parse_stage, unroll

FOLDER = Path(__file__).parents[3] / "workloads"
FAMILIES = (
    "mobilenet", "mobilenetv5", "fastdepth", "ghostnet", "rexnet", "starnet", "fasternet", "lcnetv2", "mobileone",
    "repvit", "fastvit", "edgenext", "shvit", "efficientvit", "efficientvit-m", "lowformer", "mobilevit",
    "mobilevitv2", "efficientformer", "efficientformerv2", "swiftformer", "nextvit", "metaformer", "levit",
    "visformer", "tinyvit",
)  # fmt: skip
FILES = [
    path
    for path in sorted((*FOLDER.glob("cnn/*.yaml"), *FOLDER.glob("vit/*.yaml")))
    if any(f"\nfamily: {family}\n" in path.read_text(encoding="utf-8") for family in FAMILIES)
]
PUBLISHED = [name for path in FILES for name, variant in load_variants(path).items() if variant.published]


def load(name: str, **changes: object) -> Network:
    network = load_network(name, **changes)
    assert isinstance(network, Network)
    return network


def nodes(network: Network, prefix: str) -> list[Node]:
    return [node for node in network.nodes if node.name.startswith(prefix)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    network = load(name)
    if network.published_parameters is not None:
        assert network.parameters == network.published_parameters
    if network.published_macs is not None:
        last_digit = 10e6 if name == "fastdepth" else 1e6
        assert network.matmul_flops / 2 == pytest.approx(network.published_macs, abs=0.5 * last_digit)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_variants_are_whole(path: Path) -> None:
    """Every node is read by another or leaves: of every fifth variant."""
    for name in list(load_variants(path))[::5]:
        network = load(name)
        unread = {i for i, _ in enumerate(network.nodes) if i not in network.readers}
        assert unread == set(network.outputs)


def test_there_are_many() -> None:
    assert len(FILES) > 50
    assert len(PUBLISHED) >= 19


def test_an_inverted_residual() -> None:
    """MobileNetV2's second stage, first block: 16 to 96 channels at 112x112, stride 2, to 24 at 56x56."""
    block = nodes(load("mobilenetv2_100"), "blocks.1.0.")
    convs = [n for n in block if n.operator is not None and n.operator.KIND == "conv2d"]
    assert [n.shape for n in convs] == [(96, 112, 112), (96, 56, 56), (24, 56, 56)]
    assert sum(n.parameters for n in block) == 16 * 96 + 9 * 96 + 96 * 24 + 2 * (96 + 96 + 24)


def test_squeeze_and_excitation_counts_from_the_input() -> None:
    """EfficientNet-B0's block of 40 to 240 channels squeezes to a quarter of 40."""
    (reduce,) = nodes(load("efficientnet_b0"), "blocks.2.1.se.reduce")
    assert reduce.shape == (10, 1, 1)
    assert reduce.parameters == 240 * 10 + 10


def test_same_padding_is_a_pass_of_its_own() -> None:
    plain, same = load("efficientnet_b0"), load("tf_efficientnet_b0")
    assert plain.matmul_flops == same.matmul_flops
    pads = [n for n in same.nodes if n.name.endswith("_pad")]
    assert [n.shape[1:] for n in pads] == [(225, 225), (113, 113), (59, 59), (29, 29), (17, 17)]
    assert not [n for n in plain.nodes if n.name.endswith("_pad")]


def test_multi_query_attention_reduces_keys_and_values() -> None:
    attend = next(n for n in load("mobilenetv4_hybrid_medium").nodes if n.name.endswith("attend"))
    assert attend.operator is not None
    fields = {key: getattr(attend.operator, key) for key in ("heads", "kv_heads", "q_tokens", "kv_tokens", "head_dim")}
    assert fields == {"heads": 4, "kv_heads": 1, "q_tokens": 256, "kv_tokens": 64, "head_dim": 64}


def test_experts_are_mixed_for_each_image() -> None:
    network = load("tf_efficientnet_cc_b0_4e")
    mixed = next(n for n in network.nodes if n.name == "blocks.4.0.conv_dw_experts")
    conv = next(n for n in network.nodes if n.name == "blocks.4.0.conv_dw")
    assert (mixed.parameters, conv.parameters) == (4 * 480 * 25, 0)


def test_fused_branches_are_one_convolution() -> None:
    for name in ("mobileone_s0", "repghostnet_100", "repvit_m1_1", "fastvit_sa12", "ghostnetv3_100", "lcnetv2_base"):
        branched, fused = load(name), load(name, fused=True)
        assert fused.parameters < branched.parameters
        assert len(fused.nodes) < len(branched.nodes)
        assert fused.shape_of(fused.outputs[0]) == branched.shape_of(branched.outputs[0])


def test_notation() -> None:
    first, second = parse_stage("ir k3.5 s2 e6 c40 q.25 silu, ui x3 k0 a5 c40 noskip")
    assert (first.kernels, first.stride, first.expand, first.squeeze, first.act) == ((3, 5), 2, 6.0, 0.25, "silu")
    assert (second.kernels, second.start, second.repeat, second.skip) == ((), (5,), 3, False)
    assert [item.kind for item in parse_stage("cn c8, 2*(mq c8 h1 d8, ui c8)")] == ["cn", "mq", "ui", "mq", "ui"]


@pytest.mark.parametrize("text", ["xx c8", "ir c8 z3", "ir k3", "ir c8 s3", "ir c8 tanh", "", "ir c8 e1.2.3"])
def test_notation_refuses(text: str) -> None:
    with pytest.raises(InputError):
        parse_stage(text)


def test_depth_is_added_to_the_last_blocks() -> None:
    items = parse_stage("ir s2 c8, ir x2 c8 k5")
    assert [b.kernels for b in unroll(items, 1.4, "ceil")] == [(3,), (3,), (5,), (5,), (5,)]
    assert [b.stride for b in unroll(items, 1.4, "ceil")] == [2, 1, 1, 1, 1]
    assert len(unroll(items, 0.5, "round")) == 2


@pytest.mark.parametrize(("wanted", "got"), [(22.4, 24), (11.2, 16), (8.4, 8), (3, 8), (52.8, 56), (35.2, 32)])
def test_widths_are_multiples_of_eight(wanted: float, got: int) -> None:
    assert divisible(wanted) == got


def test_width_and_image_are_free() -> None:
    half, small = load("mobilenetv3_large_100", width=0.5), load("mobilenetv3_large_100", image=112)
    whole = load("mobilenetv3_large_100")
    assert half.parameters < 0.6 * whole.parameters
    assert small.parameters == whole.parameters
    assert small.matmul_flops < 0.3 * whole.matmul_flops


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("mobilenet_v2", "mobilenetv2_100"), ("MobileNet-V3-Large", "mobilenetv3_large_100"),
        ("efficientnet-b0", "efficientnet_b0"), ("efficientnet_v2_s", "efficientnetv2_s"),
        ("mnasnet1_0", "mnasnet_100"), ("tf_efficientnet_b4_ns", "tf_efficientnet_b4"),
        ("mobilevit_s.cvnets_in1k", "mobilevit_s"), ("mnasnet_a1", "semnasnet_100"),
    ],
)  # fmt: skip
def test_names(alias: str, name: str) -> None:
    variant = find_variant(alias)
    assert variant is not None
    assert variant.name == name


def test_refusals() -> None:
    for changes in ({"head_kind": "x"}, {"scale_head": "x"}, {"norm": "x4"}, {"stages": ["ir"]}):
        with pytest.raises(InputError):
            load("mobilenetv2_100", **changes)
