"""Tables of blocks and look-up tables: their rows add up to the estimate."""

from __future__ import annotations

import pytest

from perfmodel.deployment.blocks import START, block_table, kernel_intensities, network_intensity
from perfmodel.deployment.lookup import (
    Candidate,
    Place,
    block_network,
    candidates,
    grid_places,
    lookup_table,
    places_of,
)
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.network_api import estimate_network
from perfmodel.serving.network import NetworkQuestion
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network

CASES = [
    ("mobilenetv2_100", "jetson-orin-nano", 1, ""),
    ("resnet18", "hailo-8", 4, ""),
    ("resnet18", "rtx-4090", 2, "torch"),
    ("vit_tiny_patch16_224", "a100-sxm-80gb", 8, "tensorrt"),
]


@pytest.mark.parametrize(("model", "device", "batch", "engine"), CASES)
def test_blocks_add_up_to_the_estimate(model: str, device: str, batch: int, engine: str) -> None:
    estimate = estimate_network(model, device, batch=batch, engine=engine)
    rows = block_table(estimate.setup, batch)
    assert sum(row["expected_s"] for row in rows) == pytest.approx(float(estimate.latency_s.expected))
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert sum(row["parameters"] for row in rows) == estimate.network.parameters
    assert sum(row["macs"] for row in rows) == pytest.approx(float(estimate.network.matmul_flops) / 2)
    if estimate.joules_per_sample is not None:
        assert sum(row["joules"] for row in rows) == pytest.approx(estimate.joules_per_sample * batch)
    assert max(row["bound_s"] for row in rows) <= float(estimate.latency_s.bound) * (1 + 1e-9)
    for row in rows:
        assert row["bound_s"] <= row["p10_s"] * (1 + 1e-9)
        assert row["p10_s"] <= row["expected_s"] * (1 + 1e-9) or row["bound_s"] == row["p10_s"]
        assert row["expected_s"] <= row["p90_s"] * (1 + 1e-9)


def test_a_power_limit_stretches_the_blocks_too() -> None:
    estimate = estimate_network("resnet18", "rtx-4090", batch=64, power_limit_w=200.0)
    rows = block_table(estimate.setup, 64)
    assert sum(row["expected_s"] for row in rows) == pytest.approx(float(estimate.latency_s.expected))
    assert estimate.joules_per_sample is not None
    assert sum(row["joules"] for row in rows) == pytest.approx(estimate.joules_per_sample * 64)


def test_a_block_says_what_goes_in_and_out() -> None:
    rows = {r["block"]: r for r in block_table(estimate_network("mobilenetv2_100", "jetson-orin-nano").setup, 1)}
    block = rows["blocks.1.0"]
    assert (block["kind"], block["inputs"], block["outputs"]) == ("depthwise", [[16, 112, 112]], [[24, 56, 56]])
    # 16 to 96 channels at 112x112, 3x3 of 96 at 56x56, 96 to 24 at 56x56, three norms
    assert block["parameters"] == 16 * 96 + 9 * 96 + 96 * 24 + 2 * (96 + 96 + 24)
    assert block["macs"] == 112 * 112 * 16 * 96 + 56 * 56 * (9 * 96 + 96 * 24)


def test_pipelines_have_the_blocks_of_all_their_networks() -> None:
    estimate = estimate_network("sd-turbo", "h100-sxm")
    rows = block_table(estimate.setup, 1)
    assert {row["network"] for row in rows if row["block"] != START} == {
        stage.network.name for stage in estimate.network.stages
    }
    assert sum(row["expected_s"] for row in rows) == pytest.approx(float(estimate.latency_s.expected))


def test_intensities_by_hand() -> None:
    """Two dense layers of one sample in 16 bits: k=64 n=64, then k=64 n=256."""
    b = Builder("two", "test", (64,))
    network = b.build(b.linear(b.linear(b.input(), 64, bias=False), 256, bias=False))
    setup = estimate_network(network, "rtx-4090", precision="float16").setup
    flops, moved = (2 * 64 * 64, 2 * 64 * 256), (2 * (64 * 64 + 128), 2 * (64 * 256 + 64 + 256))
    each = [f / m for f, m in zip(flops, moved, strict=True)]
    found = network_intensity(setup, 1)
    assert found["plain"] == pytest.approx(sum(flops) / sum(moved))
    assert found["by_flops"] == pytest.approx(sum(f * i for f, i in zip(flops, each, strict=True)) / sum(flops))
    times = [row["expected_s"] for row in kernel_intensities(setup, 1)]
    assert found["by_time"] == pytest.approx(sum(t * i for t, i in zip(times, each, strict=True)) / sum(times))
    weights = 2 * (64 * 64 + 64 * 256)
    assert found["by_operand"] == pytest.approx(sum(flops) / (2 * (0.8 * weights + 0.2 * (sum(moved) - weights))))
    assert found["memory_bound_share"] == pytest.approx(1.0)
    assert found["ridge_flops_per_byte"]["float16"] == pytest.approx(165.2e12 / 1008e9, rel=0.02)


def test_weighing_by_flops_favours_dense_kernels() -> None:
    for model in ("mobilenetv2_100", "resnet18"):
        found = network_intensity(estimate_network(model, "jetson-orin-nano").setup, 1)
        assert found["by_flops"] > found["plain"] > 0  # a mean weighed by flops is never below one weighed by bytes


@pytest.mark.parametrize("name", ["jetson-orin-nano", "hailo-8", "hailo-15l"])
def test_a_look_up_table_adds_up_to_the_network(name: str) -> None:
    network, device = load_network("mobilenetv2_100"), load_device(name)
    assert isinstance(network, Network)
    estimate = estimate_network(network, device)
    blocks = {row["block"]: row for row in block_table(estimate.setup, 1)}
    weights = float(estimate.memory.weights_bytes)
    choices = [Candidate(3, 1), Candidate(3, 6)]
    rows = list(lookup_table(places_of(network), choices, device, NetworkQuestion(), 1, weights_bytes=weights))
    used = {
        block: row
        for row in rows
        for block in row["blocks"].split()
        if row["expand"] == (1 if block == "blocks.0.0" else 6)
    }
    assert len(used) == 17
    for name, row in used.items():
        assert row["expected_s"] == pytest.approx(blocks[name]["expected_s"])
        assert (row["parameters"], row["macs"]) == (blocks[name]["parameters"], blocks[name]["macs"])
        assert row["joules"] == pytest.approx(blocks[name]["joules"], rel=0.02)  # the power limit is the whole's


def test_a_block_of_the_table_by_hand() -> None:
    network = block_network(Place(16, (28, 28), 24, 2), Candidate(5, 3))
    # 16 to 48, 5x5 of 48, 48 to 24, three norms
    assert network.parameters == 16 * 48 + 25 * 48 + 48 * 24 + 2 * (48 + 48 + 24)
    assert network.matmul_flops / 2 == 28 * 28 * 16 * 48 + 14 * 14 * (25 * 48 + 48 * 24)
    squeezed = block_network(Place(16, (28, 28), 24, 2), Candidate(5, 3, 0.25))
    assert squeezed.parameters > network.parameters


def test_skipping_a_block_is_free_where_it_can_be() -> None:
    places = grid_places([16, 24], [24], [1, 2], [28])
    assert len(places) == 4
    rows = list(lookup_table(places, candidates([3], [0, 6]), load_device("hailo-8"), NetworkQuestion("int8"), 1))
    skips = [row for row in rows if row["candidate"] == "skip"]
    assert [(row["in_channels"], row["stride"], row["expected_s"]) for row in skips] == [(24, 1, 0.0)]
    assert len(rows) == 5


def test_bad_candidates() -> None:
    with pytest.raises(InputError, match="odd"):
        candidates([4], [1])
    with pytest.raises(InputError, match="at least 1"):
        candidates([3], [0.5])
