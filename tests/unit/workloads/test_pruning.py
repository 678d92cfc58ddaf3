"""Structured pruning: equal to a network that was built narrower, and consistent where it cannot be."""

from __future__ import annotations

from math import prod

import pytest

from perfmodel import ops
from perfmodel.errors import InputError
from perfmodel.ops.conv import Convolution
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network
from perfmodel.workloads.pruning import parse_pruning, pruned

HALF = [("*", 0.5)]


def network(name: str, **fields: object) -> Network:
    found = load_network(name, **fields)
    assert isinstance(found, Network)
    return found


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("resnet50", {"widths": [32, 64, 128, 256], "stem": [32]}),
        ("resnet18", {"widths": [32, 64, 128, 256], "stem": [32]}),
        ("alexnet", {"channels": [32, 96, 192, 128, 128], "hidden": [2048, 2048]}),
        ("wide_resnet50_2", {"widths": [32, 64, 128, 256], "stem": [32]}),
    ],
)
def test_half_of_all_channels_is_the_network_of_half_the_width(name: str, fields: dict[str, object]) -> None:
    narrow, built = pruned(network(name), HALF), network(name, **fields)
    assert narrow.parameters == built.parameters
    assert narrow.matmul_flops == built.matmul_flops
    assert [node.shape for node in narrow.nodes] == [node.shape for node in built.nodes]
    assert narrow.flops == built.flops


def check(found: Network) -> None:
    """Assert that every operator fits the shapes around it."""
    for node in found.nodes:
        op, shapes = node.operator, [found.shape_of(v) for v in node.inputs]
        if isinstance(op, Convolution):
            assert (op.groups * op.in_per_group, op.groups * op.out_per_group) == (shapes[0][0], node.shape[0]), node
        elif isinstance(op, ops.Linear):
            assert (op.m * op.k, op.m * op.n) == (prod(shapes[0]), prod(node.shape)), node
        elif isinstance(op, (ops.Add, ops.Multiply)):
            assert all(shape == node.shape for shape in shapes), node
        elif isinstance(op, (ops.BatchNorm, ops.Activation, ops.Scale)):
            assert op.rows * op.cols == prod(node.shape), node


@pytest.mark.parametrize(
    "name",
    ["mobilenetv3_small_100", "densenet121", "googlenet", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224",
     "efficientnet_b0", "regnetx_002", "shufflenet_v2_x1_0", "convnext_tiny", "inception_v3", "squeezenet1_1"],
)  # fmt: skip
def test_what_is_left_fits_together(name: str) -> None:
    whole = network(name)
    check(whole)
    narrow = pruned(whole, HALF)
    check(narrow)
    assert narrow.parameters < whole.parameters
    assert narrow.matmul_flops < whole.matmul_flops
    assert [narrow.shape_of(v) for v in narrow.outputs] == [whole.shape_of(v) for v in whole.outputs]


def test_a_sum_keeps_one_width_and_loses_the_least_share() -> None:
    b = Builder("sum", "test", (3, 8, 8))
    with b.block("a"):
        x = b.conv(b.input(), 64, name="conv")
    with b.block("b"):
        y = b.add(b.conv(b.conv(x, 32, name="inner"), 64, name="outer"), x)
    with b.block("c"):
        end = b.linear(b.global_pool(y), 10)
    found = {n.name: n for n in pruned(b.build(end), [("*", 0.5), ("a", 0.25)]).nodes}
    assert (found["a.conv"].shape[0], found["b.outer"].shape[0], found["b.inner"].shape[0]) == (48, 48, 16)
    assert found["c.linear"].shape == (10,)
    assert found["b.outer"].parameters == 16 * 48 + 48


def test_nothing_pruned_is_the_same_network() -> None:
    whole = network("mobilenetv2_050")
    same = pruned(whole, [("*", 0.0)])
    assert same.nodes == whole.nodes


def test_words() -> None:
    assert parse_pruning("0.5") == [("*", 0.5)]
    assert parse_pruning("*=0.25, layer1.*=0.5") == [("*", 0.25), ("layer1.*", 0.5)]
    for text in ("", "1.0", "=0.5", "layer1=x", "2"):
        with pytest.raises(InputError):
            parse_pruning(text)
    with pytest.raises(InputError, match="no block"):
        pruned(network("resnet18"), [("stage9*", 0.5)])
