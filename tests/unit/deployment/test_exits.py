"""Early exits: networks that have them, exits that are added, and means over samples and batches."""

from __future__ import annotations

import itertools

import pytest

from perfmodel.deployment.exits import ExitPlan, expected
from perfmodel.errors import InputError
from perfmodel.network_api import estimate_network
from perfmodel.workloads.early_exit import with_exits
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network


def network(name: str, **fields: object) -> Network:
    found = load_network(name, **fields)
    assert isinstance(found, Network)
    return found


def setup(name: str | Network, **options: object):  # type: ignore[no-untyped-def]
    return estimate_network(name, "jetson-orin-nano", **options).setup  # type: ignore[arg-type]


RESNET = with_exits(network("resnet18"), ["layer2", "layer3"])


def test_an_added_exit_is_a_mean_and_a_dense_layer() -> None:
    plain = network("resnet18")
    assert RESNET.parameters - plain.parameters == (128 + 1) * 1000 + (256 + 1) * 1000
    assert RESNET.matmul_flops - plain.matmul_flops == 2 * (128 + 256) * 1000
    assert [e.name for e in RESNET.exits] == ["exit after layer2", "exit after layer3"]
    for e, block in zip(RESNET.exits, ("layer2.1", "layer3.1"), strict=True):
        node = RESNET.nodes[e.at]
        assert node.shape == (1000,)
        assert RESNET.nodes[RESNET.nodes[node.inputs[0]].inputs[0]].block == block
    for index, node in enumerate(RESNET.nodes):
        assert all(value < index for value in node.inputs)
    assert RESNET.shape_of(RESNET.outputs[0]) == (1000,)


def test_exits_of_tokens_and_of_few_classes() -> None:
    found = with_exits(network("vit_tiny_patch16_224"), ["blocks.3"], classes=7)
    assert found.nodes[found.exits[0].at].shape == (7,)
    with pytest.raises(InputError, match="no block 'layer9'"):
        with_exits(network("resnet18"), ["layer9"])
    with pytest.raises(InputError, match="same block"):
        with_exits(network("resnet18"), ["layer2", "layer2.1"])


def test_means_are_sums_of_shares_times_costs() -> None:
    plan = ExitPlan(setup(RESNET), (0.5, 0.3, 0.2))
    rows = plan.rows()
    mean = expected(rows, plan.shares)
    for name in ("expected", "bound", "p10", "p90"):
        by_hand = 0.5 * rows[0]["latency_s"][name] + 0.3 * rows[1]["latency_s"][name] + 0.2 * rows[2]["latency_s"][name]
        assert mean["latency_s"][name] == pytest.approx(by_hand)
    assert mean["macs"] == pytest.approx(sum(s * r["macs"] for s, r in zip(plan.shares, rows, strict=True)))
    assert all(a["macs"] < b["macs"] for a, b in itertools.pairwise(rows))
    assert rows[-1]["macs"] == pytest.approx(float(RESNET.matmul_flops) / 2)


def test_who_never_leaves_early_pays_for_the_exits() -> None:
    whole, plan = estimate_network(RESNET, "jetson-orin-nano"), ExitPlan(setup(RESNET), (0.0, 0.0, 1.0))
    mean, bare = expected(plan.rows(), plan.shares), plan.without_exits()
    assert mean["latency_s"]["expected"] == pytest.approx(float(whole.latency_s.expected))
    assert mean["joules"] == pytest.approx(whole.joules_per_sample)
    plain = estimate_network("resnet18", "jetson-orin-nano")
    assert bare["macs"] == pytest.approx(float(plain.network.matmul_flops) / 2)
    assert bare["latency_s"]["expected"] == pytest.approx(float(plain.latency_s.expected), rel=0.02)


def test_all_that_leave_at_the_first_exit_never_see_the_rest() -> None:
    plan = ExitPlan(setup(RESNET), (1.0, 0.0, 0.0))
    rows = plan.rows()
    assert expected(rows, plan.shares)["latency_s"] == rows[0]["latency_s"]
    for batch in (1, 4):
        together = plan.of_batch(batch)
        assert together["probabilities"] == [1.0, 0.0, 0.0]
        assert together["latency_s"]["expected"] == pytest.approx(plan.rows(batch)[0]["latency_s"]["expected"])
        assert plan.shrinking(batch)["expected_s"] == pytest.approx(together["latency_s"]["expected"])


def test_a_batch_runs_until_its_last_sample_leaves() -> None:
    plan = ExitPlan(setup(RESNET), (0.5, 0.3, 0.2))
    found = plan.of_batch(4)
    assert found["probabilities"] == pytest.approx([0.5**4, 0.8**4 - 0.5**4, 1 - 0.8**4])
    outcomes = itertools.product(range(3), repeat=4)  # every way in which four samples may leave
    deepest = [0.0, 0.0, 0.0]
    for ends in outcomes:
        probability = 1.0
        for end in ends:
            probability *= plan.shares[end]
        deepest[max(ends)] += probability
    assert found["probabilities"] == pytest.approx(deepest)
    out = plan.shrinking(4)["expected_s"]
    assert out < found["latency_s"]["expected"] < plan.rows(4)[-1]["latency_s"]["expected"]


def test_one_sample_is_a_batch_of_one() -> None:
    plan = ExitPlan(setup(RESNET), (0.5, 0.3, 0.2))
    mean = expected(plan.rows(), plan.shares)
    assert plan.of_batch(1)["latency_s"] == pytest.approx(mean["latency_s"])
    assert plan.shrinking(1)["expected_s"] == pytest.approx(mean["latency_s"]["expected"])
    assert plan.shrinking(1)["joules"] == pytest.approx(mean["joules"])


def test_a_decision_takes_time_at_every_exit_that_is_passed() -> None:
    free, dear = (ExitPlan(setup(RESNET), (0.5, 0.3, 0.2), t).rows() for t in (0.0, 1e-3))
    more = [b["latency_s"]["expected"] - a["latency_s"]["expected"] for a, b in zip(free, dear, strict=True)]
    assert more == pytest.approx([1e-3, 2e-3, 2e-3])


def test_bad_shares() -> None:
    for shares, message in (((0.5, 0.5), "3 shares"), ((0.5, 0.3, 0.3), "add up to 1"), ((1.5, -0.5, 0.0), "add up")):
        with pytest.raises(InputError, match=message):
            ExitPlan(setup(RESNET), shares)
    with pytest.raises(InputError, match="no exits"):
        ExitPlan(setup("resnet18"), (1.0,))


def test_a_multi_scale_dense_network_as_published() -> None:
    """Millions of parameters and multiply-adds up to each exit: Li et al. 2019 (arXiv 1908.06294), from memory."""
    found = network("msdnet-imagenet-4")
    ends = [*(e.at for e in found.exits), found.outputs[0]]
    parameters = [sum(int(n.parameters) for n in found.nodes[: end + 1]) / 1e6 for end in ends]
    assert [round(p, 2) for p in parameters] == [4.24, 8.77, 13.07, 16.75, 23.96]
    plan = ExitPlan(setup(found), (0.2,) * 5, lazy=False)
    macs = [row["macs"] / 1e6 for row in plan.rows()]
    assert macs == pytest.approx([339.90, 685.46, 1008.16, 1254.47, 1360.53], rel=0.01)  # theirs count norms too
    lazy = [row["macs"] / 1e6 for row in ExitPlan(setup(found), (0.2,) * 5).rows()]
    assert all(a <= b for a, b in zip(lazy, macs, strict=True))
    assert lazy[-1] == pytest.approx(macs[-1])


def test_branches_by_hand() -> None:
    """B-LeNet: 5x5 convolutions padded by 3 on 28x28, poolings that round up (30, 15, 17, 9, 11, 6)."""
    found = network("branchynet-lenet")
    trunk = (25 * 5 + 5) + (25 * 50 + 10) + (25 * 200 + 20) + (720 * 84 + 84) + (84 * 10 + 10)
    branch = (9 * 50 + 10) + (640 * 10 + 10)
    assert found.parameters == trunk + branch
    assert network("branchynet-lenet", branches=False).parameters == trunk
    alexnet = network("branchynet-alexnet")
    convs = (75 * 32 + 32) + (25 * 32 * 64 + 64) + (9 * 64 * 96 + 96) + (9 * 96 * 96 + 96) + (9 * 96 * 64 + 64)
    dense = (1024 * 256 + 256) + (256 * 128 + 128) + (128 * 10 + 10)
    first = (9 * 64 * 32 + 32) + (9 * 32 * 32 + 32) + (512 * 10 + 10)
    second = (9 * 96 * 32 + 32) + (128 * 10 + 10)
    assert alexnet.parameters == convs + dense + first + second
    assert [alexnet.nodes[e.at].shape for e in alexnet.exits] == [(10,), (10,)]
    assert len(network("branchynet-resnet110").exits) == 2
