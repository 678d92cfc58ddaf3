"""Machines of a step: their links, and the coefficients of their situation."""

from __future__ import annotations

import dataclasses

import pytest

from perfmodel.cost.facts import chip_facts
from perfmodel.cost.machine import Machine, domain_size, machine_for
from perfmodel.devices import load_device
from perfmodel.errors import PlanError


def test_one_device_has_no_link() -> None:
    assert machine_for(load_device("h100-sxm"), 1).link is None


@pytest.mark.parametrize(
    ("device", "ranks", "bandwidth"), [("h100-sxm", 8, 450e9), ("a40", 2, 56.25e9), ("a40", 4, 32e9), ("l40s", 8, 32e9)]
)
def test_the_widest_link_that_joins_them(device: str, ranks: int, bandwidth: float) -> None:
    link = machine_for(load_device(device), ranks).link
    assert link is not None
    assert link.bandwidth_bytes_per_s == bandwidth
    assert link.domain_size >= ranks


def test_more_than_a_domain_crosses_the_network() -> None:
    link = machine_for(load_device("h100-sxm"), 32).link
    assert link is not None
    assert (link.topology, link.domain_size, link.outer_bandwidth_bytes_per_s) == ("multi-node(nvswitch)", 8, 50e9)


def test_devices_that_nothing_joins() -> None:
    device = load_device("h100-sxm")
    island = dataclasses.replace(device, links=device.links[:1], name="island")
    with pytest.raises(PlanError, match="island joins at most 8 devices and has no network beyond; 16 are too many"):
        machine_for(island, 16)
    alone = dataclasses.replace(device, links=device.links[1:2], name="alone")
    with pytest.raises(PlanError, match="alone has no link to other devices"):
        machine_for(alone, 2)


def test_domain_sizes() -> None:
    assert domain_size(load_device("h100-sxm")) == 8
    assert domain_size(load_device("a40")) == 8
    assert domain_size(dataclasses.replace(load_device("h100-sxm"), links=())) == 1


def test_coefficients_are_looked_up_once() -> None:
    machine = machine_for(load_device("h100-sxm"))
    first = machine.coefficients("gemm", "gemm", "bfloat16")
    assert machine.coefficients("gemm", "gemm", "bfloat16") is first
    assert first
    assert machine.band("gemm", "gemm", "bfloat16") is machine.band("gemm", "gemm", "bfloat16")


def test_a_step_leaves_the_hosts_time_to_the_framework() -> None:
    chip = chip_facts(load_device("h100-sxm"))
    benchmark = Machine(chip, timing="wall", warm=True).coefficients("gemm", "gemm", "bfloat16")
    step = Machine(chip, timing="wall").coefficients("gemm", "gemm", "bfloat16")
    assert {v for k, v in step.items() if k.endswith("host_us")} <= {0.0}
    assert {k: v for k, v in step.items() if not k.endswith("host_us")} == {
        k: v for k, v in benchmark.items() if not k.endswith("host_us")
    }


def test_a_device_never_measured_has_coefficients_and_a_wider_band() -> None:
    known, unknown = (
        Machine(dataclasses.replace(chip_facts(load_device("h100-sxm")), name=name)) for name in ("h100-sxm", "nobody")
    )
    assert set(unknown.coefficients("gemm", "gemm", "bfloat16")) == set(known.coefficients("gemm", "gemm", "bfloat16"))
    for machine in (known, unknown):
        band = machine.band("gemm", "gemm", "bfloat16")
        assert 0 < band.p10 < band.p90
