"""Layers to engines: the integer program against every assignment there is."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.deployment.engine_map import assign, map_network
from perfmodel.devices import load_device
from perfmodel.errors import InputError, PlanError
from perfmodel.serving.network import NetworkQuestion, prepare_network
from perfmodel.workloads.networks.library import load_network

micro = st.integers(1, 100).map(lambda n: n * 1e-6)


def value(times: list[list[float]], moves: list[float], chosen: tuple[int, ...], goal: str) -> float:
    busy = [sum(row[e] for row, f in zip(times, chosen, strict=True) if f == e) for e in range(len(times[0]))]
    exchange = sum(m for m, a, b in zip(moves, chosen[:-1], chosen[1:], strict=True) if a != b)
    return sum(busy) + exchange if goal == "latency" else max(*busy, exchange)


@pytest.mark.parametrize("goal", ["latency", "throughput"])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_no_assignment_is_better(goal: str, data: st.DataObject) -> None:
    layers, engines = data.draw(st.integers(2, 6)), data.draw(st.integers(2, 3))
    times = [[data.draw(micro) for _ in range(engines)] for _ in range(layers)]
    times[0][0] = data.draw(st.sampled_from([times[0][0], math.inf]))
    moves = [data.draw(micro) for _ in range(layers - 1)]
    best = min(value(times, moves, c, goal) for c in itertools.product(range(engines), repeat=layers))
    found = value(times, moves, tuple(assign(times, moves, goal)), goal)
    assert found == pytest.approx(best, rel=1e-6)


def test_two_arrays_are_better_than_either() -> None:
    network, device = load_network("mobilenetv2_100"), load_device("twin-systolic")
    setup = prepare_network(network, device, NetworkQuestion("int8"))
    early, busy = map_network(setup), map_network(setup, goal="throughput")
    alone = [t for t in early.alone_s.values() if t is not None]
    assert early.latency_s <= min(alone)
    assert busy.period_s < 0.7 * min(alone)
    assert set(busy.engines) == {"weights-stay", "outputs-stay"}


def test_what_cannot_be_mapped_says_why() -> None:
    network = load_network("mobilenetv2_100")
    setup = prepare_network(network, load_device("h100-sxm"), NetworkQuestion("int8"))
    with pytest.raises(PlanError, match="fewer than two engines"):
        map_network(setup)
    with pytest.raises(InputError, match="did you mean 'latency'"):
        map_network(setup, goal="latensy")
