"""Norms, activations, residuals, rotary embedding, gathers, copies and quantisation: what memory traffic decides."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from perfmodel.counts import Bytes, Counts, read, vector, write
from perfmodel.formats import Encoding
from perfmodel.numeric import Number, maximum, minimum
from perfmodel.ops.base import Operator, register

_ROWS_COLS: dict[str, tuple[int, int]] = {"rows": (1, 65536), "cols": (16, 65536)}


@dataclass(frozen=True)
class _RowWise(Operator):
    """A pass over ``rows x cols`` elements: how many are read, written and how many flops each costs.

    ``kernels`` says how many kernels an unfused implementation takes; the counts are the least, of one.
    """

    BATCH: ClassVar[str] = "rows"
    READS: ClassVar[float]
    WRITES: ClassVar[float]
    FLOPS: ClassVar[float]
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = _ROWS_COLS

    rows: Number
    cols: Number
    element_bytes: float = 2.0
    kernels: int = 1

    def counts(self) -> Counts:
        elements = self.rows * self.cols
        return Counts(
            {vector(self.KIND): elements * self.FLOPS},
            {
                read("activation"): elements * self.READS * self.element_bytes,
                write("activation"): elements * self.WRITES * self.element_bytes,
            },
        )


@register
@dataclass(frozen=True)
class RmsNorm(_RowWise):
    """Root-mean-square norm of each row: square, add, scale, gain; reads and writes each element once."""

    KIND: ClassVar[str] = "rmsnorm"
    READS, WRITES, FLOPS = 1.0, 1.0, 4.0


@register
@dataclass(frozen=True)
class AddRmsNorm(_RowWise):
    """Residual addition fused with the RMS norm: reads input and residual, writes the sum and its norm."""

    KIND: ClassVar[str] = "add_rmsnorm"
    READS, WRITES, FLOPS = 2.0, 2.0, 5.0


@register
@dataclass(frozen=True)
class LayerNorm(_RowWise):
    """Layer norm of each row: mean, variance, scale, gain and bias."""

    KIND: ClassVar[str] = "layernorm"
    READS, WRITES, FLOPS = 1.0, 1.0, 7.0


@register
@dataclass(frozen=True)
class Activation(_RowWise):
    """A plain activation (GELU, SiLU, ReLU): one read and one write an element."""

    KIND: ClassVar[str] = "activation"
    READS, WRITES, FLOPS = 1.0, 1.0, 8.0


@register
@dataclass(frozen=True)
class GatedActivation(_RowWise):
    """silu(a)*b: reads two rows of ``cols``, writes one; ``cols`` is the output width."""

    KIND: ClassVar[str] = "gated_activation"
    READS, WRITES, FLOPS = 2.0, 1.0, 6.0


@register
@dataclass(frozen=True)
class Add(_RowWise):
    """Residual addition: reads two, writes one."""

    KIND: ClassVar[str] = "add"
    READS, WRITES, FLOPS = 2.0, 1.0, 1.0


@register
@dataclass(frozen=True)
class Multiply(_RowWise):
    """Product of two tensors of one shape: reads two, writes one."""

    KIND: ClassVar[str] = "multiply"
    READS, WRITES, FLOPS = 2.0, 1.0, 1.0


@register
@dataclass(frozen=True)
class Scale(_RowWise):
    """Product (or sum) with one number a channel, such as a gate or a layer scale: one read and one write."""

    KIND: ClassVar[str] = "scale"
    READS, WRITES, FLOPS = 1.0, 1.0, 1.0


@register
@dataclass(frozen=True)
class BatchNorm(_RowWise):
    """Batch norm at inference, not folded into its convolution: scale and shift of each channel.

    Source: Ioffe and Szegedy 2015, algorithm 2 (with the population's statistics).
    """

    KIND: ClassVar[str] = "batchnorm"
    READS, WRITES, FLOPS = 1.0, 1.0, 2.0


@register
@dataclass(frozen=True)
class GroupNorm(_RowWise):
    """Norm over groups of channels of each sample: statistics, scale, gain and bias."""

    KIND: ClassVar[str] = "groupnorm"
    READS, WRITES, FLOPS = 1.0, 1.0, 7.0


@register
@dataclass(frozen=True)
class Copy(_RowWise):
    """Elements moved and not changed: a concatenation, a shuffle of channels, a padding, a transposition."""

    KIND: ClassVar[str] = "copy"
    READS, WRITES, FLOPS = 1.0, 1.0, 0.0


@register
@dataclass(frozen=True)
class Softmax(_RowWise):
    """Softmax of each row as a kernel of its own."""

    KIND: ClassVar[str] = "softmax"
    READS, WRITES, FLOPS = 1.0, 1.0, 5.0


@register
@dataclass(frozen=True)
class Rope(_RowWise):
    """Rotary position embedding of ``rows`` tokens and ``cols`` query and key elements, in place."""

    KIND: ClassVar[str] = "rope"
    READS, WRITES, FLOPS = 1.0, 1.0, 3.0


@register
@dataclass(frozen=True)
class Quantise(Operator):
    """Conversion of 16-bit activations to the activation format of a quantised layer (scale found on the fly)."""

    KIND: ClassVar[str] = "quantise"
    BATCH: ClassVar[str] = "rows"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = _ROWS_COLS

    rows: Number
    cols: Number
    encoding: Encoding

    def counts(self) -> Counts:
        elements = self.rows * self.cols
        return Counts(
            {vector(self.KIND): elements * 2.0},
            {
                read("quantisation"): elements * 2.0,
                write("quantisation"): elements * self.encoding.bytes_per_element,
            },
        )


@register
@dataclass(frozen=True)
class Embedding(Operator):
    """Look-up of ``rows`` tokens' vectors of width ``cols``: a gather of rows, not a matrix product.

    No more than the ``table_rows`` of the table come from memory; the others are in caches since they were first read.
    """

    KIND: ClassVar[str] = "embedding"
    BATCH: ClassVar[str] = "rows"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = _ROWS_COLS

    rows: Number
    cols: Number
    element_bytes: float = 2.0
    table_rows: float = inf

    def counts(self) -> Counts:
        row = self.cols * self.element_bytes
        found: dict[Bytes, Number] = {read("weight"): self.rows * row, write("activation"): self.rows * row}
        if self.table_rows < inf:
            found[read("weight")] = minimum(self.rows, self.table_rows) * row
            found[read("activation")] = maximum(self.rows - self.table_rows, 0.0) * row
        return Counts({}, found)
