"""Joining, parting and viewing values."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.workloads.building.nodes import NodeBuilder, Value
from perfmodel.workloads.network import Shape


class Views(NodeBuilder):
    """Layers that move elements or only look at them otherwise."""

    def concat(self, values: Sequence[Value], axis: int = 0, *, name: str = "concat") -> Value:
        """Add a concatenation along one dimension."""
        first = values[0].shape
        axis %= len(first)
        joined = tuple(sum(v.shape[axis] for v in values) if i == axis else n for i, n in enumerate(first))
        return self.node(name, ops.Copy(prod(joined) // joined[0], joined[0]), values, joined)

    def view(self, x: Value, shape: Shape, *, name: str = "view") -> Value:
        """Add a view of another shape (a part of the elements: a slice): nothing runs."""
        return self.node(name, None, (x,), shape)

    def flatten(self, x: Value, *, name: str = "flatten") -> Value:
        """Add a view as one vector."""
        return self.view(x, (prod(x.shape, start=1),), name=name)

    def tokens(self, x: Value, *, name: str = "tokens") -> Value:
        """Add a view of an image as tokens: (positions, channels)."""
        return self.view(x, (prod(x.shape[1:], start=1), x.channels), name=name)

    def image(self, x: Value, height: Number, width: Number, *, name: str = "image") -> Value:
        """Add a view of tokens as an image."""
        return self.view(x, (x.width, height, width), name=name)

    def split(self, x: Value, sizes: Sequence[Number], axis: int = 0, *, name: str = "split") -> list[Value]:
        """Add views of parts along one dimension."""
        axis %= len(x.shape)
        return [
            self.view(x, tuple(size if i == axis else n for i, n in enumerate(x.shape)), name=f"{name}{index}")
            for index, size in enumerate(sizes)
        ]
