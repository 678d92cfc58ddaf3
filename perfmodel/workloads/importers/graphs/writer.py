"""The nodes of an imported network as they are found: operators of whole batches, parameters counted once each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from perfmodel import ops
from perfmodel.workloads.importers.graphs.tensors import Shape, Tensor, checked, rows_and_columns
from perfmodel.workloads.network import Unsupported

UNSUPPORTED = "unsupported "
"""Begins the kind of a node that stands for work that is not counted; its operator only writes the result."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A stored tensor: its elements, and where they count as learned: as weights of a layer, or read by any node."""

    elements: int
    in_layers: bool
    anywhere: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """A node of a network for the whole batch of the file; its name is unique."""

    name: str
    operator: ops.Operator | None
    inputs: tuple[int, ...]
    shape: Shape
    parameters: int
    kind: str


class Writer:
    """Collects nodes. Whatever depends on no input of the network, or is empty, becomes no node: nothing runs.

    ``at`` names the node of the file whose operators come next.
    """

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.weights: dict[str, Weight] = {}
        self._claimed: set[str] = set()
        self._missed: dict[tuple[str, str], int] = {}
        self._taken: dict[str, int] = {}
        self._label = "node"

    def at(self, label: str) -> None:
        """Say which node of the file the next operators are of."""
        self._label = label

    def stored(self, name: str, shape: Shape, dtype: str, learned: bool | None = None) -> Tensor:
        """Return a tensor of weights. ``learned`` None: where it is read tells, a single number only in a layer."""
        elements = prod(shape)
        if learned is None:
            weight = Weight(elements, in_layers=True, anywhere=elements > 1 and dtype.startswith(("float", "bfloat")))
        else:
            weight = Weight(elements, learned, learned)
        self.weights.setdefault(name, weight)
        return Tensor(shape, weights=frozenset((name,)), dtype=dtype)

    def node(
        self,
        operator: ops.Operator | None,
        inputs: Sequence[Tensor | None],
        shape: Sequence[int],
        *,
        weights: Sequence[Tensor | None] | None = None,
        kind: str = "",
        dtype: str = "",
        parameters: int = 0,
    ) -> Tensor:
        """Add a node for ``operator`` (None: a view).

        ``weights`` are what it learns (None: what it reads and is fixed); ``parameters`` are counted besides.
        """
        there = [t for t in inputs if t is not None]
        out = checked(shape, "its result")
        dtype = dtype or (there[0].dtype if there else "float32")
        if all(t.fixed for t in there) or 0 in out:
            origins = [t.weights for t in there if t.dtype not in ("int64", "bool")]
            return Tensor(out, weights=frozenset().union(*origins), dtype=dtype)
        learned = self.claim(*inputs) if weights is None else self.claim(*weights, layer=True)
        return self._draft(operator, there, out, learned + parameters, kind, dtype)

    def _draft(
        self, operator: ops.Operator | None, there: Sequence[Tensor], shape: Shape, learned: int, kind: str, dtype: str
    ) -> Tensor:
        inputs = tuple(t.index for t in there if t.index is not None)
        self.drafts.append(Draft(self._name(), operator, inputs, shape, learned, kind))
        return Tensor(shape, len(self.drafts) - 1, dtype=dtype)

    def view(self, tensor: Tensor, shape: Sequence[int], *, dtype: str = "") -> Tensor:
        """Return another view of a tensor; of the same shape, it is the tensor itself."""
        out = checked(shape, "its result")
        if out == tensor.shape:
            return replace(tensor, dtype=dtype or tensor.dtype, value=None if dtype else tensor.value)
        return self.node(None, (tensor,), out, dtype=dtype)

    def claim(self, *tensors: Tensor | None, layer: bool = False) -> int:
        """Return how many learned numbers fixed tensors hold that no node has counted (``layer``: as its weights)."""
        count = 0
        for tensor in tensors:
            if tensor is None or not tensor.fixed:
                continue
            for name in sorted(tensor.weights - self._claimed):
                weight = self.weights[name]
                if weight.anywhere or (layer and weight.in_layers and (weight.elements > 1 or tensor.elements == 1)):
                    self._claimed.add(name)
                    count += weight.elements
        return count

    def packed(self, tensor: Tensor | None, elements: int) -> int:
        """Return the learned numbers that a packed weight stands for, the first time that it is read."""
        if tensor is None or not tensor.weights - self._claimed:
            return 0
        self._claimed |= tensor.weights
        return elements

    def miss(self, kind: str, reason: str = "") -> None:
        """Report one node whose work is not counted."""
        self._missed[kind, reason] = self._missed.get((kind, reason), 0) + 1

    def stand_in(self, kind: str, inputs: Sequence[Tensor], shape: Sequence[int], dtype: str = "") -> Tensor:
        """Add a node in the place of one that is not counted, so that the rest can go on."""
        operator = ops.Copy(*rows_and_columns(tuple(shape)))
        learned = self.claim(*inputs)
        return self._draft(operator, inputs, tuple(shape), learned, f"{UNSUPPORTED}{kind}", dtype or "float32")

    def unsupported(self) -> tuple[Unsupported, ...]:
        """Return what was not counted, most frequent first."""
        ordered = sorted(self._missed.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Unsupported(kind, count, reason) for (kind, reason), count in ordered)

    def _name(self) -> str:
        """Return the node's name; where one of the file becomes several, they are numbered."""
        number = self._taken.get(self._label, 0) + 1
        self._taken[self._label] = number
        name = self._label if number == 1 else f"{self._label}_{number}"
        if number > 1:
            while name in self._taken:
                number += 1
                name = f"{self._label}_{number}"
            self._taken[self._label], self._taken[name] = number, 1
        return name
