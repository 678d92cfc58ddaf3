"""Pooling and resizing: each output position is made of a few input positions of its own channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Counts, read, vector, write
from perfmodel.numeric import Number
from perfmodel.ops.base import Operator, register


@dataclass(frozen=True)
class Resample(Operator):
    """``channels`` of ``inputs`` positions become as many of ``outputs`` positions, of ``taps`` inputs each.

    ``flops = batch*channels*outputs*taps``; bytes: input and output once.
    """

    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "batch": (1, 256), "channels": (1, 2048), "inputs": (1, 65536), "outputs": (1, 65536), "taps": (1, 64),
    }  # fmt: skip

    batch: Number
    channels: Number
    inputs: Number
    outputs: Number
    taps: Number
    element_bytes: float = 2.0

    def counts(self) -> Counts:
        planes = self.batch * self.channels
        return Counts(
            {vector(self.KIND): planes * self.outputs * self.taps},
            {
                read("activation"): planes * self.inputs * self.element_bytes,
                write("activation"): planes * self.outputs * self.element_bytes,
            },
        )


@register
@dataclass(frozen=True)
class Pool(Resample):
    """Maximum or mean over windows, or over the whole plane (``outputs`` 1): one flop a tap."""

    KIND: ClassVar[str] = "pool"


@register
@dataclass(frozen=True)
class Resize(Resample):
    """Interpolation to another size: ``taps`` 1 for the nearest, 4 bilinear, 16 bicubic; a flop a tap at least."""

    KIND: ClassVar[str] = "resize"
