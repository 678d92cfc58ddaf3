"""One node of an ONNX graph as its lowering sees it, and the table of lowerings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfmodel.workloads.importers.graphs.tensors import (
    MOST_DIMENSIONS,
    AnyTensor,
    Malformed,
    NotCounted,
    Shape,
    Tensor,
)
from perfmodel.workloads.importers.graphs.writer import Writer

if TYPE_CHECKING:
    from onnx import AttributeProto

FLOAT, INT, STRING, TENSOR, FLOATS, INTS, STRINGS = 1, 2, 3, 4, 6, 7, 8
MICROSOFT = "com.microsoft"
_MOST_INTS = 2**16


@dataclass(frozen=True)
class Call:
    """A node: its inputs (None where one is left out), attributes and the number of its outputs.

    ``before`` are the same inputs at the file's own ``batch``, where the graph is being read at twice that, and
    ``before_out`` is the first result there.
    """

    op: str
    domain: str
    opset: int
    inputs: Sequence[Tensor | None]
    attributes: Mapping[str, AttributeProto]
    outputs: int
    write: Writer
    before: Sequence[Shape | None] | None = None
    before_out: Shape | None = None
    batch: int = 1

    @property
    def x(self) -> Tensor:
        """Return the first input."""
        return self.need(0)

    def get(self, place: int) -> Tensor | None:
        """Return an input, or None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def need(self, place: int) -> Tensor:
        """Return an input that must be there."""
        found = self.get(place)
        if found is None:
            raise Malformed(f"has no input {place + 1}")
        return found

    def there(self) -> list[Tensor]:
        """Return the inputs that are not left out."""
        return [t for t in self.inputs if t is not None]

    def _attribute(self, name: str, kind: int, what: str) -> AttributeProto | None:
        found = self.attributes.get(name)
        if found is not None and found.type not in (kind, 0):
            raise Malformed(f"attribute '{name}' is not {what}")
        return found

    def int(self, name: str, default: int = 0) -> int:
        """Return an attribute that is a whole number."""
        found = self._attribute(name, INT, "a whole number")
        return default if found is None else found.i

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an attribute that is 0 or 1."""
        return bool(self.int(name, int(default)))

    def text(self, name: str, default: str = "") -> str:
        """Return an attribute that is a text."""
        found = self._attribute(name, STRING, "a text")
        return default if found is None else found.s.decode("utf-8", "replace")

    def ints(self, name: str, default: Sequence[int] | None = None) -> list[int] | None:
        """Return an attribute that is a list of whole numbers."""
        found = self._attribute(name, INTS, "a list of whole numbers")
        if found is None:
            return None if default is None else list(default)
        if len(found.ints) > _MOST_INTS:
            raise Malformed(f"attribute '{name}' has {len(found.ints)} numbers")
        return list(found.ints)

    def floats(self, name: str) -> list[float] | None:
        """Return an attribute that is a list of numbers."""
        found = self._attribute(name, FLOATS, "a list of numbers")
        return None if found is None else list(found.floats[:_MOST_INTS])

    def numbers(self, place: int, name: str = "") -> list[int] | None:
        """Return whole numbers that are an input or, in older operator sets, an attribute; None if there are none.

        Errors: :class:`NotCounted` where they depend on the data.
        """
        tensor = self.get(place)
        if tensor is None:
            return self.ints(name) if name else None
        if tensor.value is None:
            raise NotCounted(f"its shape depends on the values of input {place + 1}")
        if tensor.value.size > MOST_DIMENSIONS * 8:
            raise Malformed(f"input {place + 1} has {tensor.value.size} numbers")
        return [int(n) for n in tensor.value.reshape(-1)]

    def sides(self, name: str, sides: int, default: int) -> Shape:
        """Return an attribute with a number a side, such as strides."""
        found = self.ints(name)
        if not found:
            return (default,) * sides
        if len(found) != sides:
            raise Malformed(f"attribute '{name}' has {len(found)} numbers for {sides} sides")
        if min(found) < 1:
            raise Malformed(f"attribute '{name}' is {found}; its numbers must be at least 1")
        return tuple(found)


Result = AnyTensor | Sequence[AnyTensor]
Lowering = Callable[[Call], Result]
LOWERINGS: dict[tuple[str, str], Lowering] = {}
"""By (domain, kind of operator); the standard's own domain is empty."""


def lowers(*kinds: str, domain: str = "") -> Callable[[Lowering], Lowering]:
    """Function decorator: enter a lowering for kinds of operators; a second one for a kind raises."""

    def entered(function: Lowering) -> Lowering:
        for kind in kinds:
            if (domain, kind) in LOWERINGS:
                raise ValueError(f"'{kind}' has a lowering already")
            LOWERINGS[domain, kind] = function
        return function

    return entered
