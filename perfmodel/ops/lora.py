"""Low-rank adapters: for each sequence those of its own, beside a linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Counts, read, tensor, write
from perfmodel.numeric import Number, exp, log, maximum, minimum
from perfmodel.ops.base import Operator, register


@register
@dataclass(frozen=True)
class LoraPair(Operator):
    """The two thin products ``x A B`` of ``tokens`` with the adapters of their sequences, added to a layer's output.

    ``flops = 2*tokens*rank*(inputs + outputs)``; bytes: the pairs of the adapters that occur in the step,
    ``a*(1 - (1 - 1/a)^sequences)`` of ``a`` equally popular ones, each ``rank*(inputs + outputs)`` of 2 bytes; input
    and output once. Source: LoRA (Hu et al. 2021), equation 3; grouped kernels of Punica (Chen et al. 2023).
    """

    KIND: ClassVar[str] = "lora"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "tokens": (1, 8192), "sequences": (1, 512), "inputs": (64, 16384), "outputs": (64, 16384), "rank": (1, 256),
        "adapters": (1, 256),
    }  # fmt: skip
    BATCH: ClassVar[str] = "tokens"

    tokens: Number
    sequences: Number
    inputs: Number
    outputs: Number
    rank: Number
    adapters: Number
    dtype: str = "bfloat16"

    def touched(self) -> Number:
        """Return how many of the adapters the step's sequences use."""
        missed = exp(self.sequences * log(1.0 - 1.0 / maximum(self.adapters, 1.0 + 1e-9)))
        return maximum(self.adapters * (1.0 - missed), minimum(self.adapters, 1.0))

    def counts(self) -> Counts:
        width = self.inputs + self.outputs
        moved = {
            read("weight"): self.touched() * self.rank * width * 2.0,
            read("activation"): self.tokens * width * 2.0,
            write("activation"): self.tokens * self.outputs * 2.0,
        }
        return Counts({tensor(self.dtype): 2.0 * self.tokens * self.rank * width}, moved)
