"""A network on a machine: sums, rates, memory, energy and money."""

from __future__ import annotations

import pytest

from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.serving.network import NetworkQuestion, NetworkSetup, kernel_class, prepare_network, spilled
from perfmodel.workloads.building import Builder
from perfmodel.workloads.networks.library import load_network


def setup(name: str = "resnet50", device: str = "a100-sxm-80gb", **question: object) -> NetworkSetup:
    return prepare_network(load_network(name), load_device(device), NetworkQuestion(**question))  # type: ignore[arg-type]


def test_the_batch_is_shared_by_replicas() -> None:
    one, two = setup().answer(32.0), setup(dp=2).answer(64.0)
    assert two.latency == one.latency
    assert two.samples_per_s == pytest.approx(2 * float(one.samples_per_s))


def test_latency_is_what_its_kernels_take() -> None:
    answer = setup().answer(32.0)
    assert answer.latency.expected == pytest.approx(sum(float(r.expected_s) for r in answer.stages[0].step.operators))


def test_a_slow_host_decides_small_batches() -> None:
    eager, graph = setup(engine="torch").answer(1.0), setup(engine="tensorrt").answer(1.0)
    kernels = len(eager.stages[0].step.operators)
    assert float(eager.latency.expected) >= kernels * 8e-6
    assert graph.latency.expected < eager.latency.expected


def test_memory_grows_with_the_batch_until_it_no_longer_fits() -> None:
    found = setup(device="rtx-3060")
    small, large = found.answer(1.0), found.answer(float(found.largest_batch()) + 1)
    assert bool(small.fits)
    assert not bool(large.fits)
    assert small.memory.weights_bytes == large.memory.weights_bytes == 25_557_032 * 2


def test_int8_is_faster_and_smaller() -> None:
    half, eighth = setup().answer(64.0), setup(precision="int8").answer(64.0)
    assert eighth.latency.expected < half.latency.expected
    assert eighth.memory.weights_bytes * 2 == half.memory.weights_bytes


def test_sparse_weights_are_no_slower() -> None:
    dense, sparse = setup(precision="int8").answer(256.0), setup(precision="int8", sparsity="2:4").answer(256.0)
    assert sparse.latency.bound < dense.latency.bound
    assert sparse.latency.expected <= dense.latency.expected


def test_a_power_limit_slows_and_saves() -> None:
    free, held = setup().answer(256.0), setup(power_limit_w=200.0).answer(256.0)
    assert held.latency.expected > free.latency.expected
    assert float(held.power_w) <= 200.0 * 1.001  # type: ignore[arg-type]
    assert held.joules_per_sample < free.joules_per_sample  # type: ignore[operator]


def test_accelerators_take_the_plain_form() -> None:
    found = setup(device="hailo-8", precision="int8")
    assert found.machine.form == "accelerator"
    assert setup(device="jetson-agx-orin").machine.form == "gpu"


def test_what_spills_beyond_the_chip() -> None:
    op = load_network("resnet50").nodes[0].operator
    assert op is not None
    counts = op.counts()
    assert spilled(counts, 1e12).total_bytes() == counts.total_bytes()
    assert spilled(counts, 0.0).filter_bytes(role="state").total_bytes() > 0


def test_classes() -> None:
    by_kind = {
        n.operator.KIND: kernel_class(n.operator, layered=True) for n in load_network("resnet50").nodes if n.operator
    }
    assert by_kind["conv2d"] == "conv"
    assert by_kind["gemm"] == "gemm"
    assert by_kind["add"] == "residual"
    assert by_kind["batchnorm"] == "pointwise"


def test_unknown_engines_are_refused() -> None:
    with pytest.raises(InputError, match="tensorrt"):
        setup(engine="tensort")


@pytest.mark.parametrize("limit", [-5.0, 0.0, 1.0, 1e6, float("nan")])
def test_power_limits_that_cannot_be_are_refused(limit: float) -> None:
    with pytest.raises(InputError, match="power limit"):
        setup(power_limit_w=limit)


def test_a_network_with_nothing_to_run_is_refused() -> None:
    b = Builder("empty", "test", (4, 8, 8))
    with pytest.raises(InputError, match="empty has nothing to run"):
        prepare_network(b.build(b.flatten(b.input())), load_device("a100-sxm-80gb"), NetworkQuestion())


def test_no_more_of_an_embedding_than_its_table_comes_from_memory() -> None:
    b = Builder("bag", "test", (26,))
    op = b.build(b.embedding(b.input(), 100, 64, 26)).nodes[0].operator
    assert op is not None
    counts = op.batched(1000).counts()
    assert counts.filter_bytes(role="weight").total_bytes() == 100 * 64 * 2
    assert counts.total_bytes() == 2 * 26_000 * 64 * 2
