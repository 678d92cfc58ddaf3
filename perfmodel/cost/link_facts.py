"""The numbers of a link that collective formulas use, any number of which may be an array or a symbol."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.numeric import Number

DEFAULT_NIC_BYTES_PER_S = 50e9
"""A 400 Gbit/s NIC for each device: what datacentre nodes of 2022 and later have, where nothing is recorded."""


@dataclass(frozen=True)
class LinkFacts:
    """How the devices of a domain are joined, and what joins the domains.

    ``bandwidth_bytes_per_s`` and ``outer_bandwidth_bytes_per_s`` are one direction a device: inside a domain of
    ``domain_size`` devices (NVLink, PCIe) and beyond it (the NIC; PCIe for NVLink pairs). ``latency_s`` is the wire's
    own, a floor under a step; software is in the coefficients.

    ``topology``: nvswitch (also nvswitch-nvlink3/4), nvlink3-fully-connected-4, pairwise-nvlink+pcie, pcie, pcie3, or
    multi-node(one of these), of which the words pcie, pairwise, fully-connected and multi-node matter.
    """

    bandwidth_bytes_per_s: Number
    latency_s: Number = 0.0
    topology: str = "nvswitch"
    domain_size: Number = 8
    outer_bandwidth_bytes_per_s: Number = DEFAULT_NIC_BYTES_PER_S

    @property
    def shares_bus(self) -> bool:
        """Say whether all devices of a domain share one bus without a switch of its own bandwidth for each."""
        return "pcie" in self.topology and "pairwise" not in self.topology

    @property
    def fully_connected(self) -> bool:
        """Say whether the links are dealt out to fixed peers, so that fewer ranks use fewer links."""
        return "fully-connected" in self.topology


def domain_of(topology: str, ranks_per_node: Number, default: Number) -> Number:
    """Return how many devices a domain holds: a pair, the node of a multi-node run, or the device's own ``default``."""
    if topology.startswith("multi-node"):
        return ranks_per_node
    return 2 if "pairwise" in topology else default
