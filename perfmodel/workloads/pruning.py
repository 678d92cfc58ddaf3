"""Structured pruning: a network with fewer channels, consistently: what is added or gated keeps one width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

from perfmodel import ops
from perfmodel.errors import InputError
from perfmodel.numeric import Number
from perfmodel.ops.conv import Convolution
from perfmodel.workloads.channels import ChannelMap, Channels, Group
from perfmodel.workloads.network import Network, Node


def parse_pruning(text: str) -> list[tuple[str, float]]:
    """Return (pattern of blocks, share) pairs of ``"0.5"`` or ``"*=0.5,layer1.*=0.2"``, the last that matches winning.

    Errors: :class:`InputError` for anything else.
    """
    from perfmodel.arguments import share

    found: list[tuple[str, float]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        pattern, equals, value = (piece.strip() for piece in part.rpartition("="))
        amount = share(f"pruning of {pattern or 'all blocks'}", value)
        if amount >= 1.0 or (equals and not pattern):
            raise InputError(f"'{part}' is not SHARE or BLOCKS=SHARE with a share below 1, such as layer1.*=0.5")
        found.append((pattern or "*", amount))
    if not found:
        raise InputError("pruning needs a share, such as 0.5 or layer1.*=0.5")
    return found


def pruned(network: Network, shares: Sequence[tuple[str, float]], divisor: int = 8) -> Network:
    """Return a network without a share of its channels, in multiples of ``divisor`` where there are two of it at least.

    Channels that are added, multiplied or gated are one group and lose the same; a group that several blocks make loses
    the least share of theirs. Inputs, results, and channels that attention, slices or mixtures read keep their width.
    Source: filter pruning, Li et al. 2016 (arXiv 1608.08710); groups of dependent layers, Fang et al. 2023, DepGraph
    (arXiv 2301.12900).
    """
    _check(network, shares)
    found = ChannelMap(network)
    widths = {root: _kept(found.groups[root], shares, divisor) for root in found.groups.roots()}
    nodes = tuple(_narrowed(network, index, found, widths) for index in range(len(network.nodes)))
    return replace(
        network, nodes=nodes, published_parameters=None, published_macs=None, published_source="",
        notes=(*network.notes, "channels pruned: " + ", ".join(f"{p} {s:g}" for p, s in shares)),
    )  # fmt: skip


def _check(network: Network, shares: Sequence[tuple[str, float]]) -> None:
    blocks = list(dict.fromkeys(node.block for node in network.nodes))
    for pattern, _ in shares:
        if not any(fnmatchcase(block, pattern) for block in blocks):
            raise InputError(
                f"no block of {network.name} matches '{pattern}'; they are called {', '.join(blocks[:6])} ..."
            )


def _kept(group: Group, shares: Sequence[tuple[str, float]], divisor: int) -> int:
    """Return the channels that a group keeps."""
    if group.frozen:
        return group.count
    least = min(_share_of(block, shares) for block in group.blocks)
    multiple = group.multiple
    if group.count % divisor == 0 and group.count >= 2 * divisor:
        from math import lcm

        multiple = lcm(multiple, divisor)
    if not least or group.count % multiple:
        return group.count
    wanted = group.count * (1.0 - least)
    return min(group.count, max(multiple, round(wanted / multiple) * multiple))


def _share_of(block: str, shares: Sequence[tuple[str, float]]) -> float:
    found = 0.0
    for pattern, share in shares:
        if fnmatchcase(block, pattern):
            found = share
    return found


class _Widths:
    """Widths of a value's channels before and after."""

    def __init__(self, channels: Channels, found: ChannelMap, widths: Mapping[int, int]) -> None:
        self.axis = channels.axis
        self.before = sum(s.count * s.times for s in channels.segments)
        self.after = sum(widths[found.groups.root(s.group)] * s.times for s in channels.segments)

    def of(self, count: Number) -> int:
        """Return what is left of a count that the channels divide."""
        return int(count) * self.after // self.before


def _narrowed(network: Network, index: int, found: ChannelMap, widths: Mapping[int, int]) -> Node:
    node = network.nodes[index]
    out = _Widths(found.of[index], found, widths)
    first = _Widths(found.of[node.inputs[0]], found, widths) if node.inputs else out
    shape = tuple(out.of(n) if axis == out.axis else n for axis, n in enumerate(node.shape))
    if node.operator is None:
        return replace(node, shape=shape)
    operator = _operator(node.operator, first, out)
    return replace(node, operator=operator, shape=shape, parameters=_parameters(node, operator, out))


def _operator(op: ops.Operator, first: _Widths, out: _Widths) -> ops.Operator:
    """Return an operator with narrower channels."""
    if isinstance(op, Convolution):
        if op.in_per_group == 1 and op.groups == out.before:
            return replace(op, groups=out.after)
        return replace(op, in_per_group=first.of(op.in_per_group), out_per_group=out.of(op.out_per_group))
    if isinstance(op, ops.Linear):
        return replace(op, k=first.of(op.k), n=out.of(op.n))
    if isinstance(op, (ops.Pool, ops.Resize)):
        return replace(op, channels=first.of(op.channels))
    names = {f.name for f in fields(op)}
    if {"rows", "cols"} <= names:
        sizes: dict[str, Any] = vars(op)
        by_cols = isinstance(op, ops.GroupNorm) or sizes["cols"] == out.before or sizes["rows"] % out.before
        field = "cols" if by_cols else "rows"
        return replace(op, **{field: sizes[field] * out.after // out.before})  # type: ignore[arg-type]
    return op


def _parameters(node: Node, operator: ops.Operator, out: _Widths) -> Number:
    """Return the parameters of a narrower node: weights of its new sides, all else in proportion to its channels."""
    old = node.operator
    weights = [
        o.weights if isinstance(o, Convolution) else o.n * o.k
        for o in (old, operator)
        if isinstance(o, (Convolution, ops.Linear))
    ]
    rest = node.parameters - weights[0] if weights else node.parameters
    if rest < 0:  # weights of another layer that are used again
        return node.parameters
    left = out.of(rest) if rest % out.before == 0 else rest
    return left + (weights[1] if weights else 0)
