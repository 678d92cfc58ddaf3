"""Tensors of a graph that is being imported: their shape, what they are made of, and how large they may claim to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int, ...]

MOST_ELEMENTS = 2**44
"""Of one tensor: more than any network holds, and few enough that counts of it stay exact in a float."""
MOST_DIMENSIONS = 64
MOST_VALUES = 2**14
"""Elements of a tensor whose values are followed, as those of computed shapes are."""
SHOWN = 60


class NotCounted(Exception):
    """A node whose work is not counted, and why; ``shapes`` are those of its results, where they are known."""

    def __init__(self, reason: str, *shapes: Shape) -> None:
        self.reason, self.shapes = reason, shapes
        super().__init__(reason)


class Malformed(Exception):
    """A node that no runtime could run, without its name: whoever runs the nodes adds that and the file's."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as the file has it, batch included.

    ``index`` is the network's value that it is; None: it is made of weights, constants and shapes alone, is worked out
    before the first sample, and ``weights`` names the stored tensors that it is made of. ``value`` is a small array of
    such a tensor where it is known. ``dtype`` is numpy's name.
    """

    shape: Shape
    index: int | None = None
    value: Any = None
    weights: frozenset[str] = frozenset()
    dtype: str = "float32"

    @property
    def fixed(self) -> bool:
        """Say whether the tensor does not depend on the network's inputs."""
        return self.index is None

    @property
    def elements(self) -> int:
        """Return the product of the dimensions."""
        return prod(self.shape)

    @property
    def rank(self) -> int:
        """Return the number of dimensions."""
        return len(self.shape)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A tensor of which nothing is known, and since which node."""

    reason: str


AnyTensor = Tensor | Unknown


def checked(shape: Iterable[int], what: str = "a tensor") -> Shape:
    """Return a shape whose dimensions and number of elements are possible."""
    found = tuple(int(n) for n in shape)
    if len(found) > MOST_DIMENSIONS:
        raise Malformed(f"{what} has {len(found)} dimensions; {MOST_DIMENSIONS} are the most")
    for size in found:
        if size < 0:
            raise Malformed(f"{what} has a dimension of {size}: {shape_text(found)}")
    if prod(found) > MOST_ELEMENTS:
        raise Malformed(f"{what} would have {float(prod(found)):.3g} elements: {shape_text(found)}")
    return found


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as messages show it."""
    text = "x".join(str(n) for n in shape) if shape else "a single number"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape that tensors of these shapes have together by numpy's rule."""
    rank = max((len(shape) for shape in shapes), default=0)
    found: list[int] = []
    for place in range(-rank, 0):
        sizes = {shape[place] for shape in shapes if -place <= len(shape)} - {1}
        if len(sizes) > 1:
            raise Malformed(f"shapes {' and '.join(shape_text(s) for s in shapes)} do not fit together")
        found.append(sizes.pop() if sizes else 1)
    return checked(found)


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from the front."""
    if not -rank <= axis < rank:
        raise Malformed(f"axis {axis} of a tensor of {rank} dimensions")
    return axis % rank


def rows_and_columns(shape: Shape) -> tuple[int, int]:
    """Return a tensor as rows for operators that work on rows: of channels in an image, of the last dimension else."""
    if not shape:
        return 1, 1
    columns = shape[1] if len(shape) in (4, 5) else shape[-1] if len(shape) > 1 else 1
    return prod(shape) // columns if columns else 0, columns


def plain_name(text: str | bytes, most: int = 200) -> str:
    """Return a name from a stranger's file without what a terminal would act on, and not too long.

    What is not UTF-8 comes as bytes out of a protobuf.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if len(text) <= most and text.isprintable():
        return text
    clean = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return clean if len(clean) <= most else f"{clean[: most - 3]}..."
