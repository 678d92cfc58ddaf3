"""Layers that recommenders share: tables of embeddings, towers of dense layers, histories of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value

PAIR = "user-item pair"
"""What one sample of a recommender is: a score of one item for one user."""


def per_table(values: int | Sequence[int], tables: int, what: str) -> tuple[int, ...]:
    """Return one number a table, from one number for all of them or a sequence."""
    found = (values,) * tables if isinstance(values, int) else tuple(values)
    if len(found) != tables:
        raise ValueError(f"{what} are {len(found)} numbers for {tables} tables")
    return found


@dataclass(frozen=True)
class Tables:
    """Tables of embeddings of ``width``: ``rows`` of each; tables of equal rows and look-ups are one node."""

    b: Builder
    rows: Sequence[int]
    width: int

    def bags(self, indices: Value, lookups: int | Sequence[int] = 1, *, width: int = 0, name: str = "table") -> Value:
        """Add a sum of ``lookups`` looked-up rows of each table: (tables, width); ``width`` of other tables like them.

        ``indices`` are those of all tables, one after the other.
        """
        b, width = self.b, width or self.width
        counts = per_table(lookups, len(self.rows), "look-ups")
        kinds: dict[tuple[int, int], int] = {}
        for key in zip(self.rows, counts, strict=True):
            kinds[key] = kinds.get(key, 0) + 1
        found: list[Value] = []
        for (rows, count), tables in kinds.items():
            part = b.view(indices, (tables * count,), name=f"{name}_{rows}_ids")
            op = ops.EmbeddingBag(1, tables, rows, count, width)
            found.append(b.node(f"{name}_{rows}", op, (part,), (tables, width), tables * rows * width))
        return b.concat(found, name=f"{name}_join") if len(found) > 1 else found[0]

    def averaged(self, indices: Value, length: int, *, name: str = "history") -> Value:
        """Add the means of the rows of ``length`` more ids of each table: (tables, width)."""
        b = self.b
        found = [
            b.node(
                f"{name}_{index}", ops.EmbeddingBag(1, 1, rows, length, self.width),
                (b.view(indices, (length,), name=f"{name}_{index}_ids"),), (1, self.width),
            )
            for index, rows in enumerate(self.rows)
        ]  # fmt: skip
        return b.concat(found, name=f"{name}_join") if len(found) > 1 else found[0]

    def history(self, indices: Value, length: int, *, name: str = "history") -> Value:
        """Add the rows of ``length`` more ids of each table, side by side: (length, tables * width)."""
        b = self.b
        found = [
            b.node(
                f"{name}_{index}", ops.Embedding(length, self.width),
                (b.view(indices, (length,), name=f"{name}_{index}_ids"),), (length, self.width),
            )
            for index in range(len(self.rows))
        ]  # fmt: skip
        return b.concat(found, axis=1, name=f"{name}_join") if len(found) > 1 else found[0]


def tower(
    b: Builder, x: Value, widths: Sequence[int], *, act: str = "relu", norm: bool = False, last: str = "",
    name: str = "",
) -> Value:  # fmt: skip
    """Add dense layers of ``widths``, each with its activation (and batch norm), the last with ``last`` ("" for none).

    ``act`` "dice" is DIN's: a batch norm that learns nothing, and a slope a feature. A ``last`` of "same" is ``act``.
    """
    for index, width in enumerate(widths):
        label = f"{name}{index}"
        x = b.linear(x, width, name=f"{label}_fc")
        kind = act if index < len(widths) - 1 or last == "same" else last
        if not kind:
            continue
        x = b.batch_norm(x, name=f"{label}_bn") if norm and kind == act else x
        x = activation(b, x, kind, name=f"{label}_act")
    return x


def activation(b: Builder, x: Value, kind: str, *, name: str = "act") -> Value:
    """Add an activation; "dice" is DIN's."""
    if kind != "dice":
        return b.act(x, kind, name=name)
    return b.act(b.batch_norm(x, affine=False, name=f"{name}_bn"), kind, parameters=x.width, name=name)


def vector(b: Builder, values: Sequence[Value], *, name: str = "join") -> Value:
    """Add one vector of all elements of ``values``."""
    flat = [v if len(v.shape) == 1 else b.flatten(v) for v in values]
    if len(flat) == 1:
        return flat[0]
    width = sum(prod(v.shape, start=1) for v in flat)
    return b.node(name, ops.Copy(1, width), flat, (width,))


def score(b: Builder, x: Value, *, hidden: Sequence[int] = (), last: str = "sigmoid") -> Value:
    """Add the dense layers that end in one number, a probability."""
    x = tower(b, x, hidden, last="same", name="top") if hidden else x
    x = b.linear(x, 1, name="score")
    return b.act(x, last, name="probability") if last else x
