"""The numbers of a link that collective formulas use, any number of which may be an array or a symbol."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from perfmodel.devices.model import Device, Link
from perfmodel.errors import InputError
from perfmodel.numeric import Number, minimum

DEFAULT_NIC_BYTES_PER_S = 50e9
"""A 400 Gbit/s NIC for each device: what datacentre nodes of 2022 and later have, where nothing is recorded."""


@dataclass(frozen=True)
class LinkFacts:
    """How the devices of a domain are joined, and what joins the domains.

    ``bandwidth_bytes_per_s`` and ``outer_bandwidth_bytes_per_s`` are one direction a device: inside a domain of
    ``domain_size`` devices (NVLink, PCIe) and beyond it (the NIC; PCIe for NVLink pairs). ``latency_s`` and
    ``outer_latency_s`` are the wires' own, a floor under a step; software is in the coefficients.

    ``topology``: nvswitch (also nvswitch-nvlink3/4), nvlink3-fully-connected-4, pairwise-nvlink+pcie, pcie, pcie3, or
    multi-node(one of these), of which the words pcie, pairwise, fully-connected and multi-node matter.
    """

    bandwidth_bytes_per_s: Number
    latency_s: Number = 0.0
    topology: str = "nvswitch"
    domain_size: Number = 8
    outer_bandwidth_bytes_per_s: Number = DEFAULT_NIC_BYTES_PER_S
    outer_latency_s: Number = 0.0

    @property
    def shares_bus(self) -> bool:
        """Say whether all devices of a domain share one bus without a switch of its own bandwidth for each."""
        return "pcie" in self.topology and "pairwise" not in self.topology

    @property
    def torus_dimensions(self) -> int:
        """Return the dimensions of a torus whose links all work at once, 0 for anything else."""
        return {"torus-2d": 2, "torus-3d": 3}.get(self.topology, 0)

    @property
    def fully_connected(self) -> bool:
        """Say whether the links are dealt out to fixed peers, so that fewer ranks use fewer links."""
        return "fully-connected" in self.topology


def domain_of(topology: str, ranks_per_node: Number, default: Number) -> Number:
    """Return how many devices a domain holds: a pair, the node of a multi-node run, or the device's own ``default``."""
    if topology.startswith("multi-node"):
        return ranks_per_node
    return 2 if "pairwise" in topology else default


@lru_cache(maxsize=512)
def link_for(device: Device, topology: str = "", ranks_per_node: int = 0) -> LinkFacts:
    """Return :func:`link_of_topology`, an empty topology being the device's usual scale-up link."""
    usual = device.link("scale_up") or device.link("host")
    if usual is None:
        raise InputError(f"{device.name} states no link to other devices")
    if not topology:
        topology = "pairwise-nvlink+pcie" if usual.topology == "nvlink-pair" else usual.topology
    return link_of_topology(device, topology, ranks_per_node or usual.domain_size)


def link_of_topology(device: Device, topology: str, ranks_per_node: int) -> LinkFacts:
    """Return the link facts of a device in a topology named as in measured data.

    ``nvswitch*``, ``*fully-connected*`` and anything else: the device's first scale-up link. ``pcie*``: its PCIe link.
    ``pairwise-nvlink+pcie``: pairs on the bridge, PCIe between them. ``multi-node(x)``: domains of ``ranks_per_node``
    as x, the device's NIC between them.

    Errors: :class:`InputError` if the device has no such link.
    """
    several = topology.startswith("multi-node")
    base = topology.removeprefix("multi-node(").removesuffix(")")
    inner = _link(device, base)
    outer = device.link("scale_out")
    if "pairwise" in base and not several:
        outer = _link(device, "pcie")
    size = domain_of(topology, ranks_per_node, 4 if base.endswith("fully-connected-4") else inner.domain_size)
    outer_bandwidth = _outwards(outer, size) if outer else DEFAULT_NIC_BYTES_PER_S
    outer_latency = 0.0 if outer is None or outer.latency_s is None else outer.latency_s
    inner_latency = 0.0 if inner.latency_s is None else inner.latency_s
    return LinkFacts(inner.bandwidth_bytes_per_s, inner_latency, topology, size, outer_bandwidth, outer_latency)


def _outwards(link: Link, domain: Number) -> Number:
    """Return what a device sends out of its domain when all of it do: its share of the rails, of the fabric's core."""
    rails = minimum(link.rails / domain, 1.0) if link.rails else 1.0
    return link.bandwidth_bytes_per_s * rails / link.oversubscription


def _link(device: Device, base: str) -> Link:
    if "pairwise" in base:
        found = device.link("scale_up", 2, "nvlink-pair")
    elif base.startswith("pcie"):
        found = device.link("scale_up", 1, "pcie") or device.link("host", 1, "pcie")
    else:
        found = device.link("scale_up")
    found = found or device.link("scale_up") or device.link("host")
    if found is None:
        raise InputError(f"{device.name} has no link for the topology '{base}'")
    return found
