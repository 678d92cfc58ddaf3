"""Products of activations with activations, and gathers from tables that are summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Counts, read, tensor, vector, write
from perfmodel.numeric import Number, exp, log, maximum, minimum
from perfmodel.ops.base import Operator, register


@register
@dataclass(frozen=True)
class BatchedMatmul(Operator):
    """``batch`` independent products of two activations ``[m,k] x [k,n]``, as in channel attention or interactions.

    ``flops = 2*batch*m*n*k``; bytes: both operands and the result once.
    """

    KIND: ClassVar[str] = "batched_matmul"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {"batch": (1, 4096), "m": (1, 4096), "n": (1, 4096), "k": (1, 4096)}

    batch: Number
    m: Number
    n: Number
    k: Number
    dtype: str = "float16"
    element_bytes: float = 2.0

    def counts(self) -> Counts:
        moved = {
            read("activation"): self.batch * (self.m * self.k + self.k * self.n) * self.element_bytes,
            write("activation"): self.batch * self.m * self.n * self.element_bytes,
        }
        return Counts({tensor(self.dtype): 2.0 * self.batch * self.m * self.n * self.k}, moved)


@register
@dataclass(frozen=True)
class EmbeddingBag(Operator):
    """``lookups`` rows a sample from each of ``tables`` of ``rows`` rows, summed to one vector of ``width`` a table.

    Bytes of a table: ``rows*(1 - (1 - 1/rows)^(batch*lookups))`` distinct rows of ``width`` elements (equally popular),
    read from memory, and an index of 8 bytes a look-up; output ``batch*tables*width``. Flops: an addition a looked-up
    element beyond the first. Source: DLRM, Naumov et al. 2019 (arXiv 1906.00091), section 2.1.
    Omits: rows that share a memory burst, popularity that is skewed (fewer distinct rows).
    """

    KIND: ClassVar[str] = "embedding_bag"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 4096), "tables": (1, 64), "rows": (2, 65536), "lookups": (1, 128), "width": (4, 512),
    }  # fmt: skip

    batch: Number
    tables: Number
    rows: Number
    lookups: Number
    width: Number
    element_bytes: float = 2.0

    def distinct_rows(self) -> Number:
        """Return how many rows of a table a batch touches."""
        missed = exp(self.batch * self.lookups * log(1.0 - 1.0 / maximum(self.rows, 1.0 + 1e-9)))
        return minimum(self.rows * (1.0 - missed), self.batch * self.lookups)

    def counts(self) -> Counts:
        gathered = self.batch * self.tables * self.lookups
        moved = {
            read("weight"): self.tables * self.distinct_rows() * self.width * self.element_bytes,
            read("indices"): gathered * 8.0,
            write("activation"): self.batch * self.tables * self.width * self.element_bytes,
        }
        return Counts({vector("embedding_bag"): self.batch * self.tables * self.width * (self.lookups - 1)}, moved)
