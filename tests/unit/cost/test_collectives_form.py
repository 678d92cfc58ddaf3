"""The collectives' form: nothing for one rank, monotone, floats equal arrays, and its limit for long buffers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu.collectives import expected_s
from perfmodel.cost.link_facts import LinkFacts, link_of_topology
from perfmodel.devices import load_device
from perfmodel.ops import OPERATORS, AllReduce

KINDS = ["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv"]
NVSWITCH = LinkFacts(450e9)


def chip() -> ChipFacts:
    return chip_facts(load_device("h100-sxm"))


def coefficients(op: str, topology: str = "nvswitch", backend: str = "nccl") -> dict[str, float]:
    found = load_calibration("collectives").coefficients(
        op=op, device="h100-sxm", architecture="hopper", backend=backend, topology=topology, timing="nccl_tests",
        dtype="float16",
    )  # fmt: skip
    return dict(found)


def time_of(kind: str, ranks: Any, size: Any, link: LinkFacts = NVSWITCH, backend: str = "nccl") -> Any:
    op = OPERATORS[kind](ranks=ranks, bytes=size)  # type: ignore[call-arg]
    return expected_s(op, chip(), coefficients(kind, link.topology, backend), link)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_one_rank_takes_no_time(kind: str) -> None:
    assert time_of(kind, 1, 1 << 20) == 0
    assert list(time_of(kind, np.array([1.0, 2.0]), 1024.0) > 0) == [False, True]


@pytest.mark.parametrize(
    "topology", ["nvswitch", "nvlink3-fully-connected-4", "pairwise-nvlink+pcie", "pcie", "multi-node(pcie)"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_never_falls_with_bytes_and_is_finite(kind: str, topology: str) -> None:
    link = LinkFacts(64e9, topology=topology, domain_size=4)
    sizes = np.geomspace(1, 1e10, 300)
    for ranks in (2, 4, 16):
        times = time_of(kind, ranks, sizes, link)
        assert np.isfinite(times).all()
        assert (times > 0).all()
        assert (np.diff(times) >= -1e-12).all()


@pytest.mark.parametrize("backend", ["nccl", "trtllm", "vllm", "sglang", ""])
def test_more_bandwidth_is_never_slower(backend: str) -> None:
    for ranks in (2, 8, 16):
        times = time_of("all_reduce", ranks, float(1 << 20), LinkFacts(np.geomspace(1e9, 1e13, 50)), backend)
        assert (np.diff(times) <= 0).all()


def test_floats_equal_arrays() -> None:
    ranks = [1, 2, 3, 8, 9, 72]
    together = time_of("all_reduce", np.array(ranks, float), 1e6, backend="sglang")
    for n, time in zip(ranks, together, strict=True):
        assert time_of("all_reduce", n, 1e6, backend="sglang") == pytest.approx(time, rel=1e-12)


def test_a_long_all_reduce_sends_its_bytes_at_the_links_efficiency() -> None:
    c = coefficients("all_reduce")
    wire = 2 * 7 / 8 * 1e12 / (c["efficiency"] * 450e9) * (1 + c["pair_loss"] / 8)
    assert time_of("all_reduce", 8, 1e12) == pytest.approx(wire, rel=1e-3)


def test_own_kernels_of_a_framework_beat_the_library_on_short_buffers() -> None:
    assert time_of("all_reduce", 8, 8192, backend="sglang") < 0.6 * time_of("all_reduce", 8, 8192)
    assert expected_s(AllReduce(1, 8192), chip(), coefficients("all_reduce"), NVSWITCH) == 0


def test_topologies_pick_their_links() -> None:
    a100 = load_device("a100-pcie-80gb")
    pairs, nodes = (link_of_topology(a100, name, 2) for name in ("pairwise-nvlink+pcie", "multi-node(pcie)"))
    assert (pairs.bandwidth_bytes_per_s, pairs.domain_size, pairs.outer_bandwidth_bytes_per_s) == (300e9, 2, 32e9)
    assert (nodes.bandwidth_bytes_per_s, nodes.domain_size, nodes.outer_bandwidth_bytes_per_s) == (32e9, 2, 25e9)
    assert dataclasses.replace(pairs, topology="pcie").shares_bus
