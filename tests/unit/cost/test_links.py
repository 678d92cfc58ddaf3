"""Which link a topology names."""

from __future__ import annotations

import dataclasses

import pytest

from perfmodel.cost.link_facts import DEFAULT_NIC_BYTES_PER_S, LinkFacts, domain_of, link_for
from perfmodel.devices import load_device
from perfmodel.errors import InputError


@pytest.mark.parametrize(
    ("device", "topology", "bandwidth", "domain"),
    [
        ("h100-sxm", "", 450e9, 8),
        ("h100-sxm", "nvswitch", 450e9, 8),
        ("h100-sxm", "pcie", 64e9, 1),
        ("l40s", "", 32e9, 8),
        ("l40s", "pcie", 32e9, 8),
        ("a40", "", 56.25e9, 2),  # a bridged pair
        ("a40", "pairwise-nvlink+pcie", 56.25e9, 2),
        ("a40", "pcie", 32e9, 8),
        ("h100-pcie", "", 64e9, 8),
        ("h100-pcie", "pairwise-nvlink+pcie", 300e9, 2),
        ("a100-sxm-80gb", "nvlink3-fully-connected-4", 300e9, 4),
        ("mi300x", "", 448e9, 8),
    ],
)
def test_links(device: str, topology: str, bandwidth: float, domain: int) -> None:
    found = link_for(load_device(device), topology)
    assert (found.bandwidth_bytes_per_s, found.domain_size) == (bandwidth, domain)


def test_beyond_a_pair_lies_the_bus_and_beyond_a_node_the_network() -> None:
    assert link_for(load_device("a40"), "").outer_bandwidth_bytes_per_s == 32e9
    several = link_for(load_device("h100-sxm"), "multi-node(nvswitch)", 4)
    assert (several.domain_size, several.outer_bandwidth_bytes_per_s) == (4, 50e9)


def test_without_a_recorded_network_it_is_400_gbit() -> None:
    device = load_device("h100-sxm")
    bare = dataclasses.replace(device, links=device.links[:1], name="bare")
    assert link_for(bare).outer_bandwidth_bytes_per_s == DEFAULT_NIC_BYTES_PER_S == 50e9


def test_a_device_without_links_is_an_error() -> None:
    alone = dataclasses.replace(load_device("h100-sxm"), links=(), name="alone")
    with pytest.raises(InputError, match="alone states no link"):
        link_for(alone)


def test_words_in_a_topology() -> None:
    assert domain_of("multi-node(pcie)", 4, 8) == 4
    assert domain_of("pairwise-nvlink+pcie", 0, 8) == 2
    assert domain_of("nvswitch", 0, 8) == 8
    assert LinkFacts(1.0, topology="pcie3").shares_bus
    assert not LinkFacts(1.0, topology="pairwise-nvlink+pcie").shares_bus
    assert LinkFacts(1.0, topology="nvlink3-fully-connected-4").fully_connected
    assert not LinkFacts(1.0).fully_connected
