"""Collectives: lower bounds, limits of latency and bandwidth, and what one rank or one domain costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.cost.bounds import operator_bound
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.gpu.collectives import algorithm_of, algorithms
from perfmodel.cost.machine import machine_for
from perfmodel.cost.network.algorithms import (
    ALL_REDUCE,
    ALL_TO_ALL,
    GATHER,
    Level,
    best,
    choose,
    direct_all_to_all,
    hierarchical_all_reduce,
    in_switch,
    one_shot,
    ring_all_reduce,
    torus_all_reduce,
)
from perfmodel.cost.operator_cost import expected_s, operator_cost
from perfmodel.devices import load_device
from perfmodel.ops import AllGather, AllReduce, AllToAll, Collective, ExpertExchange, ReduceScatter, SendRecv

FAMILIES = {"all_reduce": ALL_REDUCE, "gather": GATHER, "all_to_all": ALL_TO_ALL}
KINDS: list[type[Collective]] = [AllReduce, AllGather, ReduceScatter, AllToAll, ExpertExchange, SendRecv]
ranks = st.sampled_from([2, 3, 4, 8, 16, 64, 320])
sizes = st.floats(1.0, 1e10)
levels = st.builds(Level, st.floats(1e-7, 1e-4), st.floats(1e-12, 1e-9))


@given(st.sampled_from(list(FAMILIES)), ranks, sizes, levels)
def test_no_algorithm_moves_less_than_must_move(family: str, n: int, size: float, level: Level) -> None:
    least = (n - 1) / n * size * level.beta_s * (2 if family == "all_reduce" else 1)
    for name, f in FAMILIES[family].items():
        floor = least if name != "recursive doubling" else size * level.beta_s  # every rank has all, without a scatter
        assert f(float(n), size, level) >= floor * (1 - 1e-12)
        assert f(float(n), size, level) >= level.alpha_s
    assert best(FAMILIES[family], float(n), size, level) == min(
        f(float(n), size, level) for f in FAMILIES[family].values()
    )


@given(st.sampled_from(list(FAMILIES)), sizes, levels)
def test_one_rank_costs_nothing(family: str, size: float, level: Level) -> None:
    assert all(f(1.0, size, level) == 0 for f in FAMILIES[family].values())
    assert in_switch(1.0, size, level) == torus_all_reduce(1.0, size, level, 3) == 0


@given(ranks, sizes)
def test_without_latency_the_best_moves_the_least_and_without_bytes_it_takes_the_fewest_steps(
    n: int, size: float
) -> None:
    free = Level(0.0, 1e-10)
    assert best(ALL_REDUCE, float(n), size, free) <= 2 * (n - 1) / n * size * 1e-10 * (1 + 1e-12)
    instant = Level(1e-6, 0.0)
    assert best(ALL_REDUCE, float(n), size, instant) == 1e-6
    assert best(GATHER, float(n), size, instant) == pytest.approx(min(n - 1, math.log2(n)) * 1e-6)
    assert direct_all_to_all(float(n), size, instant) == 1e-6


@given(ranks, sizes, levels, st.floats(1.01, 10))
def test_more_bytes_latency_or_ranks_never_take_less(n: int, size: float, level: Level, more: float) -> None:
    for family in FAMILIES.values():
        for f in family.values():
            here = f(float(n), size, level)
            assert f(float(n), size * more, level) >= here
            assert f(float(n), size, Level(level.alpha_s * more, level.beta_s)) >= here
            assert f(float(2 * n), size, level) >= here * (1 - 1e-12)


@given(ranks, sizes, levels)
def test_the_hierarchy_of_one_domain_is_the_domain(n: int, size: float, level: Level) -> None:
    slow = Level(level.alpha_s * 5, level.beta_s * 9)
    flat = hierarchical_all_reduce(float(n), size, 1000.0, level, slow)
    assert flat == pytest.approx(ring_all_reduce(float(n), size, level))


def test_small_messages_take_one_shot_and_large_ones_a_ring() -> None:
    level = Level(2e-6, 1 / 450e9)
    assert choose(ALL_REDUCE, 8, 1e3, level) == "one-shot"
    assert choose(ALL_REDUCE, 8, 1e9, level) in ("ring", "halving and doubling", "two-shot")
    assert one_shot(8.0, 1e3, level) == pytest.approx(2e-6 + 7e3 / 450e9)


@pytest.mark.parametrize("name", ["dgx-h100", "gb200-nvl72", "tpu-v5e-256", "mi300x-8", "l40s-8", "cloudmatrix384"])
@given(st.sampled_from(KINDS), ranks, sizes)
def test_the_bound_holds_on_systems(name: str, kind: type[Collective], n: int, size: float) -> None:
    machine = machine_for(load_device(name), n)
    op = kind(2 if kind is SendRecv else n, size)
    cost = operator_cost(op, machine)
    assert 0 < cost.bound_s <= cost.p10_s <= cost.expected_s <= cost.p90_s
    # the form itself, not only what the bound holds it to, obeys physics where the network limits it
    assert expected_s(op, machine) > 0
    assert expected_s(kind(1, size), machine) == 0


@given(st.sampled_from([AllReduce, AllGather, AllToAll, ExpertExchange]), st.sampled_from([16, 64, 256]), sizes)
def test_a_slower_network_is_never_faster(kind: type[Collective], n: int, size: float) -> None:
    fast, slow = (machine_for(load_device(name), n) for name in ("dgx-h100", "dgx-h100-2to1"))
    assert slow.link is not None
    assert fast.link is not None
    assert slow.link.outer_bandwidth_bytes_per_s == fast.link.outer_bandwidth_bytes_per_s / 2
    assert expected_s(kind(n, size), slow) >= expected_s(kind(n, size), fast)
    chip = chip_facts(load_device("h100-sxm"))
    bounds = [operator_bound(op := kind(n, size), op.counts(), chip, m.link, False).link_s for m in (fast, slow)]
    assert bounds[1] >= bounds[0]


@given(st.sampled_from([2, 4, 8]), sizes)
def test_neighbours_that_stand_apart_leave_the_domain_sooner(groups: int, size: float) -> None:
    machine = machine_for(load_device("dgx-h100"), 64)
    near, far = (expected_s(AllGather(groups, size, span=span), machine) for span in (1, 8))
    assert far >= near


def test_the_algorithm_has_a_name() -> None:
    machine = machine_for(load_device("dgx-h100"), 8, "vllm")
    c = machine.coefficients("collectives", "all_reduce", "bfloat16")
    assert machine.link is not None
    assert algorithm_of(AllReduce(8, 1e4), c, machine.link) in ("one-shot", "two-shot", "tree", "ring")
    assert set(algorithms(AllReduce(8, 1e4), c, machine.link)) == {"ring", "tree", "one-shot", "two-shot"}
    torus = replace(machine.link, topology="torus-3d")
    assert "torus rings" in algorithms(AllReduce(64, 1e9), c, torus)
    wide = machine_for(load_device("dgx-h100"), 64)
    assert wide.link is not None
    assert algorithm_of(AllReduce(64, 1e9), c, wide.link).startswith("hierarchical")
