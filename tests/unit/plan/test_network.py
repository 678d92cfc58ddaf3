"""How a network becomes kernels: folding, fusion, formats, and what is live."""

from __future__ import annotations

import pytest

from perfmodel.errors import InputError, PlanError
from perfmodel.ops import BatchedMatmul, BatchNorm, Conv, Fused
from perfmodel.plan.liveness import liveness
from perfmodel.plan.network import NetworkPlan, kernels, network_operators
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network

PEAKS = frozenset({"float16", "int8"})


def residual() -> Network:
    """A block of two 3x3 convolutions of 4 channels over 8x8 with a shortcut."""
    b = Builder("block", "test", (4, 8, 8))
    x = b.input()
    with b.block("body"):
        y = b.conv_bn(x, 4, 3, name="conv1")
        y = b.conv_bn(y, 4, 3, act="", name="conv2")
        y = b.act(b.add(y, x))
    return b.build(y)


def bytes_of(network: Network, **plan: object) -> float:
    return sum(float(k.operator.counts().total_bytes()) for k in kernels(network, NetworkPlan(**plan), PEAKS))  # type: ignore[arg-type]


def test_layers_alone() -> None:
    found = kernels(residual(), NetworkPlan(fusion="none", folds_norms=False), PEAKS)
    assert [k.name for k in found] == [
        "body.conv1", "body.conv1_bn", "body.conv1_act", "body.conv2", "body.conv2_bn", "body.add", "body.act",
    ]  # fmt: skip


def test_norms_fold_and_epilogues_ride_along() -> None:
    found = kernels(residual(), NetworkPlan(), PEAKS)
    assert [k.name for k in found] == ["body.conv1+1", "body.conv2+2"]
    second = found[1].operator
    assert isinstance(second, Fused)
    assert (second.inputs, second.outputs) == (2 * 256, 256)  # the first half's result and the shortcut


def test_fusion_saves_the_traffic_between() -> None:
    weights, tensor = 2 * 4 * 4 * 9 * 2, 256 * 2
    network = residual()
    assert bytes_of(network, fusion="none") == weights + (2 + 2 + 2 + 3 + 2) * tensor
    assert bytes_of(network, fusion="epilogue") == weights + (2 + 3) * tensor
    assert bytes_of(network, fusion="block") == weights + 2 * tensor


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "efficientnet_b0", "vit_tiny_patch16_224"])
def test_fusion_keeps_the_work_and_never_adds_traffic(name: str) -> None:
    network = load_network(name)
    flops: dict[str, float] = {}
    moved: dict[str, float] = {}
    for fusion in ("none", "pointwise", "epilogue", "block"):
        found = kernels(network, NetworkPlan(fusion=fusion), PEAKS)
        flops[fusion] = sum(float(k.operator.counts().filter_flops(engine="tensor").total_flops()) for k in found)
        moved[fusion] = sum(float(k.operator.counts().total_bytes()) for k in found)
        nodes = [n for k in found for n in k.nodes]
        assert sorted(nodes) == sorted(set(nodes))
    assert len(set(flops.values())) == 1
    assert moved["none"] >= moved["pointwise"] >= moved["epilogue"]
    assert moved["none"] >= moved["block"]


def test_layers_of_another_precision() -> None:
    found = kernels(residual(), NetworkPlan("int8", (("*.conv2", "float16"),), fusion="none"), PEAKS)
    formats = {k.name: k.operator.format.name for k in found if isinstance(k.operator, Conv)}
    assert formats == {"body.conv1": "int8", "body.conv2": "float16"}


def test_sparse_weights_need_a_sparse_peak() -> None:
    plan = NetworkPlan("int8", sparsity="2:4", fusion="none")
    op = kernels(residual(), plan, PEAKS | {"int8@2:4"})[0].operator
    assert isinstance(op, Conv)
    assert op.format.compute == "int8@2:4"
    assert op.format.weight.bits == 5  # half of 8, and 2 bits of index for each that is kept
    with pytest.raises(PlanError, match="2:4"):
        kernels(residual(), plan, PEAKS)


def test_a_batch_multiplies_activations_and_not_weights() -> None:
    one, ten = (network_operators(residual(), NetworkPlan(), PEAKS, n) for n in (1, 10))
    for a, b in zip(one, ten, strict=True):
        weights = a.operator.counts().filter_bytes(role="weight").total_bytes()
        moved = a.operator.counts().total_bytes() - weights
        assert b.operator.counts().total_bytes() == weights + 10 * moved


def test_what_is_live() -> None:
    network = residual()
    plan = NetworkPlan(fusion="none")
    found = liveness(network, kernels(network, plan, PEAKS), plan, PEAKS)
    tensor = 256 * 2
    # input, conv1 | input, conv1, act | input, act, conv2 | input, conv2, add | add, act
    assert found.live_bytes == tuple(n * tensor for n in (2, 3, 3, 3, 2))
    assert found.weights_bytes == (2 * 144 + 2 * 8) * 2


def test_unknown_words_are_refused() -> None:
    with pytest.raises(InputError, match="epilogue"):
        NetworkPlan(fusion="epilog")
    with pytest.raises(InputError, match="2:4"):
        NetworkPlan(sparsity="1:2")


def test_a_convolution_whose_result_leaves_keeps_its_norm() -> None:
    b = Builder("net", "test", (4, 8, 8))
    x = b.conv(b.input(), 8)
    assert [k.name for k in kernels(b.build(x, b.batch_norm(x)), NetworkPlan(), PEAKS)] == ["conv", "bn"]
    b = Builder("net", "test", (4, 8, 8))
    b.node("constant", BatchNorm(8, 8), (), (8, 8))
    assert [k.name for k in kernels(b.build(b.conv(b.input(), 8)), NetworkPlan(), PEAKS)] == ["constant", "conv"]


def test_views_that_nobody_reads_leave_their_kernel() -> None:
    b = Builder("net", "test", (4, 8, 8))
    first, _ = b.split(b.act(b.conv(b.input(), 8, 3)), (4, 4))
    op = kernels(b.build(b.act(b.conv(first, 4, 3))), NetworkPlan(), PEAKS)[0].operator
    assert isinstance(op, Fused)
    assert op.outputs == 8 * 64


def test_a_fused_kernel_reads_no_more_of_a_value_than_its_view() -> None:
    b = Builder("net", "test", (8, 8, 8))
    first, second = b.split(b.input(), (4, 4))
    op = kernels(b.build(b.add(b.conv(first, 4, 3), second)), NetworkPlan(), PEAKS)[0].operator
    assert isinstance(op, Fused)
    assert op.inputs == 8 * 64  # the two halves together
    b = Builder("net", "test", (8, 8, 8))
    first, _ = b.split(b.input(), (4, 4))
    op = kernels(b.build(b.act(b.conv(first, 4, 3))), NetworkPlan(), PEAKS)[0].operator
    assert isinstance(op, Fused)
    assert op.inputs == 4 * 64


def test_keys_values_and_offsets_inside_a_fused_kernel_are_not_read_again() -> None:
    b = Builder("net", "test", (16, 32))
    with b.block("block"):
        y = b.self_attention(b.input(), 4)
    (found,) = kernels(b.build(y), NetworkPlan(fusion="block"), PEAKS)
    assert found.operator.counts().group_bytes("role") == {"activation": 2 * 16 * 32 * 2, "weight": 4 * 32 * 32 * 2}
    b = Builder("net", "test", (8, 8, 8))
    offsets = b.conv(b.input(), 27, 3)
    fused = kernels(b.build(b.act(b.deform_conv(b.input(), offsets, 8))), NetworkPlan(), PEAKS)[1]
    assert fused.operator.counts().filter_bytes(direction="read").total_bytes() == (35 * 64 + 8 * 8 * 9) * 2


def test_what_reads_nothing_of_a_sample_runs_once_a_batch() -> None:
    b = Builder("net", "test", (4, 8, 8))
    bias = b.act(b.node("bias", BatchedMatmul(1, 64, 64, 16), (), (64, 64)))
    y = b.multiply(b.conv(b.input(), 64), b.view(bias, (64, 8, 8)))
    network = b.build(y)
    for fusion in ("none", "epilogue"):
        one, ten = (network_operators(network, NetworkPlan(fusion=fusion), PEAKS, n) for n in (1, 10))
        assert one[0].operator.counts() == ten[0].operator.counts()
        assert ten[-1].operator.counts().total_flops() == 10 * one[-1].operator.counts().total_flops()


def test_products_stay_as_wide_as_the_device_allows() -> None:
    network = load_network("vit_tiny_patch16_224")
    for peaks, dtype in (({"float16", "int8"}, "float16"), ({"int4", "int8"}, "int8")):
        found = kernels(network, NetworkPlan("int8", fusion="none"), frozenset(peaks))
        assert {getattr(k.operator, "dtype", dtype) for k in found} == {dtype}
