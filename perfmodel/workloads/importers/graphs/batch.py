"""From the nodes of a whole batch to a network of one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel import ops
from perfmodel.errors import ImportRefused, PerfmodelError, SpecError
from perfmodel.workloads.importers.graphs.tensors import Shape, plain_name
from perfmodel.workloads.importers.graphs.writer import Draft
from perfmodel.workloads.network import Network, Node, Unsupported

_BLOCKS = frozenset({"blocks", "block", "layers", "layer", "resnets", "resblocks", "transformer_blocks", "units"})


@dataclass(frozen=True)
class Drawn:
    """A graph as read once, at one batch: its inputs' shapes, its nodes and which values leave it."""

    inputs: tuple[Shape, ...]
    drafts: Sequence[Draft]
    outputs: tuple[int, ...]
    unsupported: tuple[Unsupported, ...] = ()


def nothing_known(place: str, drawn: Drawn) -> PerfmodelError:
    """Return the error for a graph none of whose nodes became one of a network."""
    missing = ", ".join(f"{u.count} x {u.kind}" + (f" ({u.reason})" if u.reason else "") for u in drawn.unsupported[:5])
    if missing:
        return ImportRefused(f"{place}: holds nothing that is known: {missing}")
    return SpecError("computes nothing from its inputs", place)


def per_sample(
    name: str, family: str, first: Drawn, batch: int, second: Drawn | None = None, **about: Any
) -> Network:  # fmt: skip
    """Return the network of one sample of a graph read at ``batch``; ``second`` is the same graph at twice the batch.

    Without ``second`` every node is taken to grow with the batch. What does not is counted for each sample, and a note
    says so. A batch that does not divide every operator is one sample.
    """
    notes: list[str] = list(about.pop("notes", ()))
    named = {draft.name: draft for draft in second.drafts} if second else {}
    after = [named.get(draft.name) for draft in first.drafts]
    kinds = [_growth(a, b) for a, b in zip(first.drafts, after, strict=True)]
    operators = [
        _divided(d.operator, batch if kind != "none" else 1) for d, kind in zip(first.drafts, kinds, strict=True)
    ]
    if any(op is None and d.operator is not None for op, d in zip(operators, first.drafts, strict=True)):
        notes = [f"its batch of {batch} does not divide all its operators: one sample is the whole batch"]
        operators, batch = [d.operator for d in first.drafts], 1
        inputs = first.inputs
        shapes = [d.shape for d in first.drafts]
    else:
        seconds = second.inputs if second else [None] * len(first.inputs)
        inputs = tuple(_without_batch(a, b, batch) for a, b in zip(first.inputs, seconds, strict=True))
        shapes = [
            _without_batch(d.shape, b.shape if b else None, batch) for d, b in zip(first.drafts, after, strict=True)
        ]
        notes += _growth_notes(first.drafts, kinds)
    nodes = tuple(
        Node(d.name, op, d.inputs, shape, d.parameters, d.kind, block)
        for d, op, shape, block in zip(first.drafts, operators, shapes, _blocks(first.drafts), strict=True)
    )
    return Network(
        name, family, nodes, inputs, first.outputs, _sample(inputs), unsupported=first.unsupported,
        notes=tuple(notes), **about,
    )  # fmt: skip


def _growth(first: Draft, second: Draft | None) -> str:
    """Return how a node's work grows with the batch: "linear", "none" (not at all) or "other"."""
    a, b = first.operator, None if second is None else second.operator
    if a is None or second is None:
        return "linear"
    if b is None or type(a) is not type(b):
        return "other"
    if a == b:
        return "none"
    doubled = a.batched(2)
    if doubled == b:
        return "linear"
    return "linear" if _close(doubled, b) else "other"


def _close(a: ops.Operator, b: ops.Operator) -> bool:
    """Say whether two operators do the same work, however their fields spread it."""
    counts, others = a.counts(), b.counts()
    return dict(counts.flops) == dict(others.flops) and dict(counts.bytes) == dict(others.bytes)


def _growth_notes(drafts: Sequence[Draft], kinds: Sequence[str]) -> list[str]:
    found: list[str] = []
    for kind, text in (
        ("none", "do not depend on the batch and are counted for each sample"),
        ("other", "do not grow in proportion to the batch; they are counted as if they did"),
    ):
        names = [d.name for d, k in zip(drafts, kinds, strict=True) if k == kind]
        if names:
            more = ", ..." if len(names) > 3 else ""
            found.append(f"{len(names)} operators {text}: {', '.join(plain_name(n, 60) for n in names[:3])}{more}")
    return found


def _divided(op: ops.Operator | None, batch: int) -> ops.Operator | None:
    """Return the operator of one of ``batch`` samples; None where they cannot be told apart."""
    if op is None or batch == 1:
        return op
    held = getattr(op, op.BATCH)
    if held % batch == 0:
        return op.with_numbers(**{op.BATCH: held // batch})
    numbers = op.numbers()
    if numbers.keys() == {"rows", "cols"}:
        elements = numbers["rows"] * numbers["cols"]
        if elements % batch == 0:
            return op.with_numbers(rows=elements // batch, cols=1)
    return None


def _without_batch(shape: Shape, doubled: Shape | None, batch: int) -> Shape:
    """Return a shape without the dimension of the batch, which is the one that doubles with it."""
    if doubled is not None and len(doubled) == len(shape):
        axes = [i for i, (a, b) in enumerate(zip(shape, doubled, strict=True)) if a != b]
        axis = axes[0] if axes else None
    else:
        whole = [i for i, n in enumerate(shape) if n == batch]
        parts = [i for i, n in enumerate(shape) if n % batch == 0]
        axis = (whole or parts or [None])[0]
    if axis is None or shape[axis] % batch:
        return shape
    left = shape[axis] // batch
    return (*shape[:axis], *((left,) if left > 1 else ()), *shape[axis + 1 :])


def _blocks(drafts: Sequence[Draft]) -> list[str]:
    """Return the block of each node: its name up to its first numbers, without what all names begin with."""
    paths = [_path(d.name) for d in drafts]
    while paths and all(len(path) > 1 and path[0] == paths[0][0] for path in paths):
        paths = [path[1:] for path in paths]
    return [block_of(path) for path in paths]


def _path(name: str) -> list[str]:
    """Return a name's parts; "/layer1/layer1.0/conv1" has layer1, 0 and conv1."""
    found: list[str] = []
    before = ""
    for part in name.strip("/").replace("::", "/").split("/"):
        found.append(part[len(before) + 1 :] if before and part.startswith(f"{before}.") else part)
        before = part
    return found


def block_of(path: Sequence[str]) -> str:
    """Return the block of a node by its name's parts: layer1.0, features.1, stages.2.blocks.0; else its first part."""
    inner = path[:-1]
    first = next((i for i, part in enumerate(inner) if part[-1:].isdigit()), None)
    if first is None:
        return path[0]
    end = first + 1
    while end < len(inner) and inner[end].isdigit():
        end += 1
    if end + 1 < len(inner) and inner[end] in _BLOCKS and inner[end + 1].isdigit():
        end += 2
    return ".".join(inner[:end])


def _sample(inputs: Sequence[Shape]) -> str:
    images = [shape for shape in inputs if len(shape) == 3 and (shape[0] in (1, 3, 4) or shape[2] in (1, 3, 4))]
    return "image" if images else "sample"
