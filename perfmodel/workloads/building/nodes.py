"""Collecting the nodes of a network: their names, scopes, blocks and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.errors import SpecError
from perfmodel.numeric import Number
from perfmodel.workloads.network import Exit, Network, Node, Shape

MOST_NODES = 100_000
"""Many more layers than any network has: a slip of the pen must not fill the memory."""


@dataclass(frozen=True)
class Value:
    """A tensor inside a builder: its index (see :class:`perfmodel.workloads.network.Node`) and its shape."""

    index: int
    shape: Shape

    @property
    def channels(self) -> Number:
        """Return the first dimension: the channels of an image."""
        return self.shape[0]

    @property
    def width(self) -> Number:
        """Return the last dimension: the features of tokens or of a vector."""
        *_, width = self.shape
        return width


class NodeBuilder:
    """Collects a network's nodes. Images are (channels, [frames,] height, width), tokens (..., tokens, width).

    Every layer takes a :class:`Value` and returns one. Names are those of the open scopes and the layer's own,
    joined by points.
    """

    def __init__(self, name: str, family: str, *inputs: Shape) -> None:
        self.name, self.family = name, family
        self._inputs = inputs
        self._nodes: list[Node] = []
        self._scopes: list[str] = []
        self._block = ""
        self._taken: set[str] = set()
        self._exits: list[Exit] = []

    def input(self, index: int = 0) -> Value:
        """Return an input of the network."""
        return Value(-1 - index, self._inputs[index])

    @contextmanager
    def scope(self, name: object) -> Iterator[None]:
        """Open a scope: the names of what is added inside begin with it."""
        self._scopes.append(str(name))
        yield
        self._scopes.pop()

    @contextmanager
    def block(self, name: object) -> Iterator[None]:
        """Open a scope that is one block of the network: what tables, cuts and fused blocks speak of."""
        outer = self._block
        with self.scope(name):
            self._block = outer or ".".join(self._scopes)
            yield
        self._block = outer

    @contextmanager
    def _together(self, name: str) -> Iterator[None]:
        """Make what is added inside one block, unless a block is open, without a scope of its own."""
        outer = self._block
        self._block = outer or ".".join((*self._scopes, name))
        yield
        self._block = outer

    def node(
        self,
        name: str,
        operator: ops.Operator | None,
        inputs: Sequence[Value],
        shape: Shape,
        parameters: Number = 0,
        kind: str = "",
    ) -> Value:
        """Add a node of any operator; the layers below are made of this."""
        full = plain = ".".join((*self._scopes, name))
        number = 1
        while full in self._taken:
            number += 1
            full = f"{plain}_{number}"
        self._taken.add(full)
        if len(self._nodes) >= MOST_NODES:
            raise SpecError(f"{self.name} has more than {MOST_NODES} layers; is a depth too large?")
        if any(isinstance(n, int) and n < 1 for n in shape):
            raise SpecError(f"{self.name}: '{full}' leaves {shape}: nothing; is the image too small?")
        block = self._block or (self._scopes[0] if self._scopes else full)
        self._nodes.append(Node(full, operator, tuple(v.index for v in inputs), shape, parameters, kind, block))
        return Value(len(self._nodes) - 1, shape)

    def graft(
        self, network: Network, inputs: Sequence[Value], wanted: Sequence[int] | None = None, *, learned: bool = True
    ) -> list[Value]:
        """Add the nodes of another network that make its values ``wanted`` (None: its outputs), and return those.

        ``inputs`` stand for the network's inputs. Not ``learned``: the parameters are those of an earlier copy.
        """
        wanted = network.outputs if wanted is None else wanted
        needed = {index for index in wanted if index >= 0}
        for index in reversed(range(len(network.nodes))):
            if index in needed:
                needed.update(i for i in network.nodes[index].inputs if i >= 0)
        places = {-1 - i: value for i, value in enumerate(inputs)}
        outer = self._block
        for index in sorted(needed):
            node = network.nodes[index]
            self._block = outer or ".".join((*self._scopes, node.block))
            read, count = [places[i] for i in node.inputs], node.parameters if learned else 0
            places[index] = self.node(node.name, node.operator, read, node.shape, count, node.kind)
        self._block = outer
        return [places[index] for index in wanted]

    def exit(self, name: str, value: Value) -> None:
        """Say that a sample may leave after ``value``, a classifier's result."""
        self._exits.append(Exit(name, value.index))

    def build(self, *outputs: Value, sample: str = "image", covers: str = "", notes: tuple[str, ...] = ()) -> Network:
        """Return the network."""
        return Network(
            self.name, self.family, tuple(self._nodes), self._inputs, tuple(v.index for v in outputs), sample,
            tuple(self._exits), covers=covers, notes=notes,
        )  # fmt: skip
