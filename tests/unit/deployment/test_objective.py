"""The objective of architecture search: MnasNet's product, and latencies added up from a table."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.deployment.lookup import candidates, lookup_table, places_of
from perfmodel.deployment.objective import HARD, SOFT, accuracy_latency, table_latency
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.serving.network import NetworkQuestion, prepare_network
from perfmodel.workloads.networks.library import load_network


def test_doubling_the_latency_costs_five_per_cent() -> None:
    assert accuracy_latency(0.75, 0.08, 0.08) == 0.75
    assert accuracy_latency(0.75, 0.16, 0.08) == pytest.approx(0.75 * 2**-0.07)
    assert accuracy_latency(0.75 * 1.05, 0.16, 0.08) == pytest.approx(0.75, rel=1e-3)  # the paper's own reading


def test_a_hard_target_rewards_nothing_below_it() -> None:
    latency = np.array([0.02, 0.08, 0.16])
    found = accuracy_latency(0.7, latency, 0.08, HARD)
    assert found.tolist() == pytest.approx([0.7, 0.7, 0.35])
    assert (np.diff(accuracy_latency(0.7, latency, 0.08, SOFT)) < 0).all()


def test_rewarding_slowness_is_refused() -> None:
    with pytest.raises(InputError, match="slower"):
        accuracy_latency(0.7, 1.0, 1.0, (0.07, 0.07))


def test_a_table_adds_up() -> None:
    network = load_network("mobilenetv2_100")
    device, question = load_device("jetson-orin-nano"), NetworkQuestion()
    places = places_of(network)[:3]
    rows = list(lookup_table(places, candidates([3, 5], [0, 6]), device, question, 1))
    blocks = [block for place in places for block in place.blocks]
    small = table_latency(rows, dict.fromkeys(blocks, "k3_e6"), others_s=1e-3)
    large = table_latency(rows, dict.fromkeys(blocks, "k5_e6"), others_s=1e-3)
    by_hand = sum(row["expected_s"] * row["places"] for row in rows if row["candidate"] == "k3_e6")
    assert small == pytest.approx(by_hand + 1e-3)
    assert large > small
    assert table_latency(rows, {}, 0.002) == 0.002
    assert float(prepare_network(network, device, question).answer(1.0).latency.expected) > small - 1e-3
    with pytest.raises(InputError, match="no block 'stem'"):
        table_latency(rows, {"stem": "k3_e6"})
    with pytest.raises(InputError, match="no candidate 'k9_e6'"):
        table_latency(rows, {blocks[0]: "k9_e6"})
