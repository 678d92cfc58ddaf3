"""Precisions by roles of layers: roles, weights and bit operations by hand."""

from __future__ import annotations

from math import log2

import pytest

from perfmodel.deployment.bits import bits_table, layer_pairs, parse_policy, precisions_of, totals_of
from perfmodel.errors import InputError
from perfmodel.network_api import estimate_network
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network
from perfmodel.workloads.roles import roles_of


def small() -> Network:
    b = Builder("small", "test", (3, 8, 8))
    x = b.conv_bn(b.input(), 8, 3, name="stem")
    x = b.conv_bn(x, 8, 3, groups=8, name="depthwise")
    x = b.conv_bn(x, 16, name="pointwise")
    x = b.conv(x, 16, 3, bias=False, name="wide")
    return b.build(b.linear(b.global_pool(x), 10, name="head"))


def named(network: Network) -> dict[str, str]:
    return {network.nodes[index].name: role for index, role in roles_of(network).items()}


def test_roles() -> None:
    found = named(small())
    expected = {"stem": "first", "depthwise": "depthwise", "pointwise": "pointwise", "wide": "convolution"}
    assert {name: found[name] for name in expected} == expected
    assert (found["head"], found["stem_bn"], found["pool"]) == ("last", "other", "other")
    vit = load_network("vit_tiny_patch16_224")
    assert isinstance(vit, Network)
    roles = named(vit)
    block = {name.removeprefix("blocks.3."): role for name, role in roles.items() if name.startswith("blocks.3.")}
    assert {block[name] for name in ("attn.qkv", "attn.attend", "attn.proj")} == {"attention"}
    assert {block[name] for name in ("mlp.fc1", "mlp.fc2")} == {"linear"}


def test_the_more_special_entry_wins() -> None:
    network = small()
    policy = parse_policy("*=int8, conv=fp8, depthwise=int4, first-last=float16, last=int8")
    names = {network.nodes[i].name: p for i, p in precisions_of(network, policy, "float32").items()}
    assert (names["stem"], names["depthwise"], names["pointwise"]) == ("float16", "int4", "fp8")
    assert (names["wide"], names["head"], names["pool"]) == ("fp8", "int8", "int8")


def test_bit_operations_by_hand() -> None:
    network = small()
    rows = {r["role"]: r for r in bits_table(network, parse_policy("*=int8,first-last=float16"), "float16")}
    wide = 64 * 9 * 16 * 16  # macs of the 3x3
    assert rows["convolution"]["macs"] == wide
    assert rows["convolution"]["bops"] == wide * 8 * 8
    assert rows["convolution"]["bops_accumulated"] == pytest.approx(wide * (64 + 16 + log2(9 * 16)))
    assert rows["first"]["bops"] == 64 * 27 * 8 * 256
    assert rows["depthwise"]["weights_bytes"] == 72
    assert rows["last"]["weights_bytes"] == 2 * (16 * 10 + 10)
    total = totals_of(list(rows.values()))
    assert total["parameters"] == network.parameters
    assert total["macs"] == network.matmul_flops / 2


def test_uniform_precisions_are_the_square_of_their_bits() -> None:
    """van Baalen et al. 2020 (arXiv 2005.07093): bit operations relative to 32 bits are (b_w*b_a)/1024."""
    network = load_network("resnet18")
    assert isinstance(network, Network)
    for name, bits in (("int8", 8), ("float16", 16), ("float32", 32)):
        found = totals_of(bits_table(network, parse_policy(f"*={name}"), "float16"))
        assert found["bops"] == pytest.approx(float(network.matmul_flops) / 2 * bits * bits)


def test_a_policy_reaches_the_plan() -> None:
    network = small()
    pairs = layer_pairs(network, parse_policy("*=int8,first-last=float16"), "float16")
    assert {name for name, _ in pairs}.isdisjoint({"stem", "head"})
    mixed = estimate_network(network, "jetson-orin-nano", precision="float16", layers=pairs)
    table = totals_of(bits_table(network, parse_policy("*=int8,first-last=float16"), "float16"))
    assert float(mixed.memory.weights_bytes) == pytest.approx(table["weights_bytes"])


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "at least one"), ("int8", "ROLE=PRECISION"), ("depthwize=int8", "depthwise"), ("*=int9", "int9")],
)
def test_bad_policies(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_policy(text)
