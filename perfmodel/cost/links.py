"""Which link of a device a collective runs over."""

from __future__ import annotations

from functools import lru_cache

from perfmodel.cost.link_facts import DEFAULT_NIC_BYTES_PER_S, LinkFacts, domain_of
from perfmodel.devices import Device, Link
from perfmodel.errors import InputError


@lru_cache(maxsize=256)
def link_for(device: Device, topology: str = "", ranks_per_node: int = 0) -> LinkFacts:
    """Return the link that a topology names: nvswitch, pcie, pairwise-nvlink+pcie, multi-node(one of these), or "".

    An empty topology is the device's usual scale-up link. Errors: :class:`InputError` if the device has no such link.
    """
    multi = topology.startswith("multi-node")
    link = _inner_link(device, topology)
    if link is None:
        raise InputError(f"{device.name} has no link for topology '{topology or 'scale-up'}'")
    nic = device.link("scale_out")
    outer = nic.bandwidth_bytes_per_s if nic and multi else DEFAULT_NIC_BYTES_PER_S
    host = device.link("scale_up", topology="pcie") or device.link("host")
    if link.topology == "nvlink-pair" and not multi and host is not None:
        outer = host.bandwidth_bytes_per_s  # beyond the bridged pair lies the PCIe bus
    name = topology or ("pairwise-nvlink+pcie" if link.topology == "nvlink-pair" else link.topology)
    domain = domain_of(name, ranks_per_node or link.domain_size, link.domain_size)
    return LinkFacts(link.bandwidth_bytes_per_s, link.latency_s or 0.0, name, domain, outer)


def _inner_link(device: Device, topology: str) -> Link | None:
    usual = device.link("scale_up") or device.link("host")
    if "pairwise" in topology or "nvlink-pair" in topology:
        return device.link("scale_up", topology="nvlink-pair") or usual
    if "pcie" in topology:
        return device.link("scale_up", topology="pcie") or device.link("host") or usual
    return usual
