"""Networks of the library as backbones of others: their feature maps without what comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log2
from typing import Any

from perfmodel.errors import InputError
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network

Backbone = str | Mapping[str, Any]
"""A network of the library, by name; with other fields than published it is a mapping of them, and of "name"."""

Tap = int | str
"""A feature map of a backbone: the last of a resolution (3: an eighth), or the last of a block or node named so."""


def load_backbone(backbone: Backbone, **fields: Any) -> Network:
    """Return the network that a backbone names, with further fields."""
    stated = {"name": backbone} if isinstance(backbone, str) else dict(backbone)
    if "name" not in stated:
        raise InputError(f"backbone {stated} does not say the name of a network")
    network = load_network(str(stated.pop("name")), **{**stated, **fields})
    if not isinstance(network, Network):
        raise InputError(f"'{network.name}' is made of several networks and cannot be a backbone")
    return network


def levels(network: Network) -> dict[int, int]:
    """Return the last block's result at each resolution: {halvings: index of the node}."""
    height = int(network.inputs[0][-2])
    ends = {node.block: index for index, node in enumerate(network.nodes)}
    found: dict[int, int] = {}
    for index in sorted(ends.values()):
        shape = network.nodes[index].shape
        if len(shape) == len(network.inputs[0]) and shape[-2] > 1:
            found[round(log2(height / float(shape[-2])))] = index
    return found


def find_tap(network: Network, tap: Tap) -> int:
    """Return the index of the node that a tap means."""
    if isinstance(tap, int):
        known = levels(network)
        if tap not in known:
            raise InputError(f"{network.name} has no feature map of 1/{2**tap}; it has {sorted(known)} halvings")
        return known[tap]
    for index in reversed(range(len(network.nodes))):
        node = network.nodes[index]
        if node.name == tap or f"{node.block}.".startswith(f"{tap}."):
            return index
    raise InputError(f"{network.name} has no block or node '{tap}'")


def frozen(network: Network) -> Network:
    """Return a network whose batch norms are fixed: they run, but nothing in them is learned."""
    nodes = tuple(
        replace(node, parameters=0) if node.operator is not None and node.operator.KIND == "batchnorm" else node
        for node in network.nodes
    )
    return replace(network, nodes=nodes)


def features(
    b: Builder, x: Value, backbone: Backbone, taps: Sequence[Tap], *, fixed: bool = False, name: str = "backbone"
) -> list[Value]:
    """Add a backbone up to its feature maps ``taps``, and return them; ``fixed``: see :func:`frozen`."""
    height, width = (int(n) for n in x.shape[-2:])
    network = load_backbone(backbone, image=height if height == width else (height, width))
    wanted = [find_tap(network, tap) for tap in taps]
    with b.scope(name):
        return b.graft(frozen(network) if fixed else network, [x], wanted)
