"""Linear layers: y[m, n] = x[m, k] W[k, n]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Counts, read, tensor, vector, write
from perfmodel.formats import Format
from perfmodel.numeric import Number
from perfmodel.ops.base import Operator, register


@register
@dataclass(frozen=True)
class Linear(Operator):
    """A dense layer on one rank, weights and activations in any format.

    ``flops = 2*m*n*k``; bytes: weights ``n*k*w`` (w with its scale bytes), input ``m*k*a``, output ``m*n*2``.
    With ``quantises_input`` the 16-bit input is first read and written once in the activation format.

    Shapes: m tokens, n output features, k input features. Source: definition of matrix multiplication.
    Omits: bias (n elements), re-reading of operands that exceed the cache (the cost engine knows the cache).
    """

    KIND: ClassVar[str] = "gemm"
    BATCH: ClassVar[str] = "m"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {"m": (1, 65536), "n": (1, 65536), "k": (16, 65536)}

    m: Number
    n: Number
    k: Number
    format: Format
    quantises_input: bool = False
    output_bytes: float = 2.0

    def counts(self) -> Counts:
        f = self.format
        activations = self.m * self.k
        moved = {
            read("weight"): self.n * self.k * f.weight.bytes_per_element,
            read("activation"): activations * f.activation.bytes_per_element,
            write("activation"): self.m * self.n * self.output_bytes,
        }
        flops = {tensor(f.compute): 2.0 * self.m * self.n * self.k}
        if self.quantises_input and f.quantises_activations:
            moved[read("quantisation")] = activations * 2.0
            moved[write("quantisation")] = activations * f.activation.bytes_per_element
            flops[vector("quantise")] = activations * 2.0
        return Counts(flops, moved)
