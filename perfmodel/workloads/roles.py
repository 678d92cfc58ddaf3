"""What part each layer plays in a network: first, last, depthwise, pointwise, attention, dense."""

from __future__ import annotations

from collections.abc import Iterable

from perfmodel import ops
from perfmodel.ops.conv import Convolution
from perfmodel.workloads.network import Network

ROLES = ("first", "last", "depthwise", "pointwise", "convolution", "attention", "linear", "lookup", "other")
"""Each layer has one: the first and last of those with weights, then by what it computes."""

GROUPS = {
    "first-last": ("first", "last"),
    "conv": ("depthwise", "pointwise", "convolution"),
    "dense": ("linear",),
    "*": ROLES,
}
"""Names of several roles at once."""

_ATTENTION = (ops.AttentionPrefill, ops.BatchedMatmul)


def roles_of(network: Network) -> dict[int, str]:
    """Return the role of each node that runs.

    "attention" are products of activations and the dense layers that feed only them, or read only them (queries, keys,
    values and projections); "pointwise" 1x1 convolutions; "other" everything without weights or products.
    """
    found = {index: _kind(op) for index, _, op in network.running()}
    weighty = [i for i, role in found.items() if role not in {"other", "attention"}]
    for index in weighty:
        if found[index] in {"linear", "pointwise"} and _beside_attention(network, index, found):
            found[index] = "attention"
    if weighty:
        found[weighty[0]], found[weighty[-1]] = "first", "last"
    return found


def _kind(op: ops.Operator) -> str:
    if isinstance(op, _ATTENTION):
        return "attention"
    if isinstance(op, Convolution):
        if op.groups != 1 and op.in_per_group == 1:
            return "depthwise"
        return "pointwise" if op.taps == 1 else "convolution"
    if isinstance(op, (ops.Embedding, ops.EmbeddingBag)):
        return "lookup"
    return "linear" if isinstance(op, ops.Linear) else "other"


def _beside_attention(network: Network, index: int, roles: dict[int, str]) -> bool:
    """Say whether all next products behind a layer, or the one before it, are attention's."""
    behind = _next(network, index, roles)
    if behind and all(_attends(network, i) for i in behind):
        return True
    return any(_attends(network, i) for i in _before(network, network.nodes[index].inputs, roles))


def _attends(network: Network, index: int) -> bool:
    return isinstance(network.nodes[index].operator, _ATTENTION)


def _next(network: Network, index: int, roles: dict[int, str]) -> set[int]:
    """Return the nodes with a role of their own that read a node's result, past element-wise work and views."""
    found: set[int] = set()
    waiting, seen = list(network.readers.get(index, ())), set[int]()
    while waiting:
        reader = waiting.pop()
        if reader in seen:
            continue
        seen.add(reader)
        if roles.get(reader, "other") == "other" and len(network.nodes[reader].inputs) == 1:
            waiting += network.readers.get(reader, ())
        else:
            found.add(reader)
    return found


def _before(network: Network, values: Iterable[int], roles: dict[int, str]) -> set[int]:
    found: set[int] = set()
    for value in values:
        v = value
        while v >= 0 and roles.get(v, "other") == "other" and len(network.nodes[v].inputs) == 1:
            v = network.nodes[v].inputs[0]
        if v >= 0:
            found.add(v)
    return found
