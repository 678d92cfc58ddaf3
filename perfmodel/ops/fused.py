"""Several operators in one pass: what they hand to each other never leaves the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Counts, read, write
from perfmodel.numeric import Number
from perfmodel.ops.base import Operator, register

COLD = frozenset({"weight", "state"})
"""Roles of bytes that parts fetch for themselves; all others (keys and values, offsets, indices, scores) are its edges'
or stay on the chip."""


@register
@dataclass(frozen=True)
class Fused(Operator):
    """The ``parts`` (of one sample) as one kernel that reads and writes only what crosses its edges.

    Flops and weights: those of the parts. Activations: ``inputs`` elements of ``input_bytes`` read and ``outputs``
    elements of ``output_bytes`` written a sample. Source: fused-layer CNN accelerators, Alwani et al. (MICRO 2016).
    Omits: what is computed again at the edges of tiles, and buffers too small to hold a tile.
    """

    KIND: ClassVar[str] = "fused"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 256), "inputs": (1, 1 << 20), "outputs": (1, 1 << 20),
    }  # fmt: skip

    batch: Number
    inputs: Number
    outputs: Number
    parts: tuple[Operator, ...] = ()
    element_bytes: float = 2.0

    def batched_parts(self) -> tuple[Operator, ...]:
        """Return the parts of the whole batch."""
        return tuple(part.batched(self.batch) for part in self.parts)

    def counts(self) -> Counts:
        edges = {
            read("activation"): self.batch * self.inputs * self.element_bytes,
            write("activation"): self.batch * self.outputs * self.element_bytes,
        }
        found = Counts({}, edges)
        for part in self.batched_parts():
            counts = part.counts()
            kept = {key: moved for key, moved in counts.bytes.items() if key.role in COLD}
            found = found + Counts(counts.flops, kept)
        return found
