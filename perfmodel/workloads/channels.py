"""Which channels of a network belong together: tensors that share a width, because they are added or pass unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import lcm, prod

from perfmodel import ops
from perfmodel.ops.conv import Conv, Convolution, DeformableConv, TransposedConv
from perfmodel.workloads.network import Network, Node

_Kinds = type[ops.Operator] | tuple[type[ops.Operator], ...]
_SAME = (ops.BatchNorm, ops.Activation, ops.LayerNorm, ops.RmsNorm, ops.Pool, ops.Resize)


@dataclass(frozen=True)
class Segment:
    """Part of a tensor's channels: ``count`` of a group, each of ``times`` elements (after a flattening)."""

    group: int
    count: int
    times: int = 1


@dataclass(frozen=True)
class Channels:
    """Where a tensor's channels lie, and of which groups they are, in order."""

    axis: int
    segments: tuple[Segment, ...]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Return the counts and repetitions of the segments."""
        return [(s.count, s.times) for s in self.segments]


@dataclass
class Group:
    """Channels that are kept or removed together: how many, in multiples of what, and the blocks that make them.

    A ``frozen`` one keeps its width: an input, a result, or channels that something unknown to us reads.
    """

    count: int
    multiple: int = 1
    frozen: bool = False
    blocks: list[str] = field(default_factory=list[str])


class Groups:
    """Groups of channels, which unite where tensors share a width."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._groups: list[Group] = []

    def new(self, count: int, block: str, *, frozen: bool = False) -> int:
        """Return a new group."""
        self._parent.append(len(self._parent))
        self._groups.append(Group(count, 1, frozen, [block]))
        return len(self._parent) - 1

    def root(self, group: int) -> int:
        """Return the group that stands for all that a group is united with."""
        while self._parent[group] != group:
            self._parent[group] = self._parent[self._parent[group]]
            group = self._parent[group]
        return group

    def __getitem__(self, group: int) -> Group:
        return self._groups[self.root(group)]

    def roots(self) -> list[int]:
        """Return the groups that stand for all."""
        return [g for g in range(len(self._parent)) if self.root(g) == g]

    def unite(self, a: int, b: int) -> None:
        """Make two groups one."""
        first, second = self.root(a), self.root(b)
        if first == second:
            return
        kept, gone = self._groups[first], self._groups[second]
        kept.multiple = lcm(kept.multiple, gone.multiple)
        kept.frozen = kept.frozen or gone.frozen or kept.count != gone.count
        kept.blocks += gone.blocks
        gone.frozen = kept.frozen
        self._parent[second] = first

    def freeze(self, channels: Channels | None) -> None:
        """Keep the widths of a tensor's channels."""
        for segment in channels.segments if channels else ():
            self[segment.group].frozen = True


class ChannelMap:
    """The channels of every value of a network; of each node, whether we know how its width depends on its inputs'."""

    def __init__(self, network: Network) -> None:
        self.network, self.groups = network, Groups()
        self.of: dict[int, Channels] = {}
        for index, shape in enumerate(network.inputs):
            self.of[-1 - index] = self._fresh(shape, 0 if len(shape) > 2 else len(shape) - 1, "", frozen=True)
        for index, node in enumerate(network.nodes):
            found = self._follow(node)
            if found is None:
                for value in node.inputs:
                    self.groups.freeze(self.of[value])
                found = self._fresh(node.shape, len(node.shape) - 1, node.block, frozen=True)
            self.of[index] = found
        for value in (*network.outputs, *(e.at for e in network.exits)):
            self.groups.freeze(self.of[value])

    def _fresh(self, shape: Sequence[int], axis: int, block: str, *, frozen: bool = False) -> Channels:
        count = int(shape[axis]) if shape else 1
        return Channels(axis, (Segment(self.groups.new(count, block, frozen=frozen), count),))

    def _follow(self, node: Node) -> Channels | None:
        """Return the channels of a node's result, uniting groups that it ties; None where we do not know."""
        op, read = node.operator, [self.of[value] for value in node.inputs]
        if op is None:
            return self._view(node, read[0]) if len(read) == 1 else None
        rules: tuple[tuple[_Kinds, Callable[..., Channels | None]], ...] = (
            (Convolution, self._convolved), (ops.Linear, self._dense), (_SAME, self._same),
            (ops.GroupNorm, self._group_norm), ((ops.Add, ops.Multiply), self._tied), (ops.Scale, self._gated),
            (ops.Copy, self._moved),
        )  # fmt: skip
        for kinds, rule in rules:
            if isinstance(op, kinds) and read:
                return rule(node, read)
        return None

    def _convolved(self, node: Node, read: Sequence[Channels]) -> Channels | None:
        op, x = node.operator, read[0]
        if isinstance(op, DeformableConv) or not isinstance(op, (Conv, TransposedConv)) or x.axis != 0:
            return None
        for more in read[1:]:
            self.groups.freeze(more)
        if len(read) > 1 or any(s.times != 1 for s in x.segments):
            return None  # kernels that are mixed for each image
        if op.groups == 1:
            return self._fresh(node.shape, 0, node.block)
        if op.in_per_group == 1 and op.out_per_group == 1:
            return x
        if len(x.segments) != 1:
            return None
        made = self._fresh(node.shape, 0, node.block)
        for segment in (x.segments[0], made.segments[0]):
            self.groups[segment.group].multiple = lcm(self.groups[segment.group].multiple, int(op.groups))
        return made

    def _dense(self, node: Node, read: Sequence[Channels]) -> Channels | None:
        shape = self.network.shape_of(node.inputs[0])
        if len(read) != 1 or read[0].axis != len(shape) - 1:
            return None
        return self._fresh(node.shape, len(node.shape) - 1, node.block)

    def _same(self, node: Node, read: Sequence[Channels]) -> Channels | None:
        before = self.network.shape_of(node.inputs[0])
        x = read[0]
        if len(read) != 1:
            return None
        if len(node.shape) == len(before):
            return x if node.shape[x.axis] == before[x.axis] else None
        pooled = len(node.shape) == 1 and node.shape[0] == before[x.axis]  # a mean over all positions
        return Channels(0, x.segments) if pooled else None

    def _group_norm(self, node: Node, read: Sequence[Channels]) -> Channels | None:
        op, x = node.operator, read[0]
        assert isinstance(op, ops.GroupNorm)
        if op.rows == 1:
            return x
        if len(x.segments) != 1:
            return None
        group = self.groups[x.segments[0].group]
        group.multiple = lcm(group.multiple, int(op.rows))
        return x

    def _tied(self, node: Node, read: Sequence[Channels]) -> Channels | None:
        first = read[0]
        if any(x.axis != first.axis or x.sizes != first.sizes for x in read[1:]):
            return None
        for x in read[1:]:
            for a, b in zip(first.segments, x.segments, strict=True):
                self.groups.unite(a.group, b.group)
        return first

    def _gated(self, node: Node, read: Sequence[Channels]) -> Channels | None:
        if len(read) == 1:
            return read[0] if self.network.shape_of(node.inputs[0]) == node.shape else None
        x, gate = read[0], read[1]
        if len(read) > 2 or self.network.shape_of(node.inputs[0]) != node.shape:
            return None
        if self.network.elements_of(node.inputs[1]) == 1 or [s.count for s in gate.segments] == [1]:
            return x
        if x.sizes != gate.sizes:
            return None
        for a, b in zip(x.segments, gate.segments, strict=True):
            self.groups.unite(a.group, b.group)
        return x

    def _moved(self, node: Node, read: Sequence[Channels]) -> Channels | None:
        """Return the channels of a concatenation, of a padding, or of a copy."""
        first = read[0]
        if len(read) == 1:
            before = self.network.shape_of(node.inputs[0])
            same = len(before) == len(node.shape) and before[first.axis] == node.shape[first.axis]
            return first if same else None
        shapes = [self.network.shape_of(v) for v in node.inputs]
        axis = first.axis
        if any(x.axis != axis for x in read) or any(len(s) != len(node.shape) for s in shapes):
            return None
        if sum(s[axis] for s in shapes) == node.shape[axis]:
            return Channels(axis, tuple(segment for x in read for segment in x.segments))
        return self._tied(node, read) if all(s[axis] == node.shape[axis] for s in shapes) else None

    def _view(self, node: Node, x: Channels) -> Channels | None:
        """Return the channels of a view: a flattening, an image as tokens or back, or a slice beside the channels."""
        before, after = self.network.shape_of(node.inputs[0]), node.shape
        count, whole = before[x.axis], prod(before, start=1)
        if len(after) == 1 and after[0] == whole:
            if x.axis == 0:
                times = whole // count
                return Channels(0, tuple(replace(s, times=s.times * times) for s in x.segments))
            return Channels(0, x.segments) if whole == count else None
        if len(before) > 2 and x.axis == 0 and len(after) == 2 and after[1] == count:
            return Channels(1, x.segments) if prod(after) == whole else None
        if x.axis == len(before) - 1 and len(after) > 2 and after[0] == count and len(before) == 2:
            return Channels(0, x.segments) if prod(after, start=1) == whole else None
        axis = 0 if x.axis == 0 else len(after) - 1
        return Channels(axis, x.segments) if after[axis] == count and (len(after) > 1 or len(before) == 1) else None
