"""One node of a PyTorch graph as its lowering sees it, and the table of lowerings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.workloads.importers.graphs.tensors import Malformed, Shape, Tensor
from perfmodel.workloads.importers.graphs.writer import Writer
from perfmodel.workloads.importers.torch_schema import Described


@dataclass(frozen=True)
class AtenCall:
    """A node: its arguments with tensors in the place of references, and the results that its record says.

    ``moved`` holds the values whose elements are not in the order of their shape: transposed and not yet copied.
    """

    op: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    results: Sequence[Described | None]
    write: Writer
    moved: set[int]

    @property
    def x(self) -> Tensor:
        """Return the first argument, a tensor."""
        return self.need(0, "self")

    @property
    def out(self) -> Described:
        """Return the first result."""
        found = self.results[0] if self.results else None
        if found is None:
            raise Malformed("has no result")
        return found

    @property
    def shape(self) -> Shape:
        """Return the first result's shape."""
        return self.out.shape

    def arg(self, place: int, name: str, default: Any = None) -> Any:
        """Return an argument by its place or name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def get(self, place: int, name: str) -> Tensor | None:
        """Return an argument that is a tensor, or None."""
        found = self.arg(place, name)
        return found if isinstance(found, Tensor) else None

    def need(self, place: int, name: str) -> Tensor:
        """Return an argument that must be a tensor."""
        found = self.arg(place, name)
        if not isinstance(found, Tensor):
            raise Malformed(f"argument {place + 1} ('{name}') is no tensor")
        return found

    def whole(self, place: int, name: str, default: int) -> int:
        """Return an argument that is a whole number."""
        found = self.arg(place, name, default)
        if isinstance(found, bool) or not isinstance(found, int):
            raise Malformed(f"argument {place + 1} ('{name}') is no whole number")
        return found

    def ints(self, place: int, name: str, sides: int, default: int | None = None) -> Shape:
        """Return an argument of whole numbers, one a side (one for all sides is repeated)."""
        found = self.arg(place, name)
        values: list[Any] = [found] if isinstance(found, int) else list(found or [default])
        if any(isinstance(n, bool) or not isinstance(n, int) for n in values):
            raise Malformed(f"argument {place + 1} ('{name}') is no list of whole numbers")
        values = values * sides if len(values) == 1 else values
        if len(values) != sides:
            raise Malformed(f"argument {place + 1} ('{name}') has {len(values)} numbers for {sides} sides")
        return tuple(values)

    def tensors(self) -> list[Tensor]:
        """Return all arguments that are tensors, those in lists too."""
        return _tensors([*self.args, *self.kwargs.values()])


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found


Lowering = Callable[[AtenCall], Tensor | Sequence[Tensor | None]]
LOWERINGS: dict[str, Lowering] = {}
"""By name without overload and the underscore of what works in place."""


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Function decorator: enter a lowering for operators; a second one for a name raises."""

    def entered(function: Lowering) -> Lowering:
        for name in names:
            if name in LOWERINGS:
                raise ValueError(f"'{name}' has a lowering already")
            LOWERINGS[name] = function
        return function

    return entered
