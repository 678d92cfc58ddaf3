"""Early exits added to a network: a classifier behind a block, where easy samples may leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perfmodel.errors import InputError, nearest
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Exit, Network, Node


def with_exits(network: Network, places: Sequence[str], classes: int = 0) -> Network:
    """Return a network with an exit behind each of the blocks ``places``, in the order of the network.

    An exit is the mean over all positions (or tokens) and a dense layer to ``classes`` (0: as many as the network's own
    result has). A place is a block, or the beginning of the names of several: behind the last of them.
    Source: Teerapittayanon et al. 2016, BranchyNet (arXiv 1709.01686), with the smallest branch there is.
    """
    wanted = classes or int(network.shape_of(network.outputs[0])[-1])
    at = sorted((_end_of(network, place), place) for place in places)
    if len({index for index, _ in at}) < len(at):
        raise InputError(f"{network.name}: two exits are behind the same block")
    nodes: list[Node] = []
    moved: dict[int, int] = {}
    exits: list[Exit] = []
    ends = dict(at)
    for index, node in enumerate(network.nodes):
        nodes.append(replace(node, inputs=tuple(moved.get(i, i) for i in node.inputs)))
        moved[index] = len(nodes) - 1
        if index in ends:
            nodes += _branch(nodes[-1], len(nodes), wanted)
            exits.append(Exit(f"exit after {ends[index]}", len(nodes) - 1))
    own = tuple(replace(e, at=moved[e.at]) for e in network.exits)
    every = tuple(sorted((*own, *exits), key=lambda e: e.at))
    return replace(
        network, nodes=tuple(nodes), outputs=tuple(moved.get(i, i) for i in network.outputs), exits=every,
        published_parameters=None, published_macs=None, published_source="",
    )  # fmt: skip


def _end_of(network: Network, place: str) -> int:
    found = [i for i, node in enumerate(network.nodes) if f"{node.block}.".startswith(f"{place}.")]
    if not found:
        blocks = list(dict.fromkeys(node.block for node in network.nodes))
        near = nearest(place, blocks) or blocks[:6]
        raise InputError(f"{network.name} has no block '{place}' (such as {', '.join(near)})")
    return found[-1]


def _branch(behind: Node, first: int, classes: int) -> list[Node]:
    """Return the nodes of a classifier behind a node; the first of them will have the index ``first``."""
    b = Builder("exit", "exit", behind.shape)
    x = b.input()
    with b.block(f"{behind.block}.exit"):
        if len(x.shape) > 2:
            x = b.global_pool(x)
        elif len(x.shape) == 2:
            x = b.token_pool(x)
        x = b.linear(x, classes, name="classifier")
    made = b.build(x).nodes
    return [replace(node, inputs=tuple(first + i if i >= 0 else first - 1 for i in node.inputs)) for node in made]
