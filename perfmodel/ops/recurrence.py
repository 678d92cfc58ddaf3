"""Recurrences: causal convolutions and scans over a state of a fixed size, over many tokens or one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Bytes, Counts, Flops, read, tensor, vector, write
from perfmodel.numeric import Number
from perfmodel.ops.base import Operator, register

_PRODUCTS = {"decay": 2.0, "delta": 3.0}
"""Products with the state a token: k v' into it and q out of it; a delta rule takes out the old value first."""
_ELEMENT_FLOPS = 9.0
"""Flops an element of the state where each goes on its own: decay, exponential, input, sum, output."""


@register
@dataclass(frozen=True)
class CausalConv(Operator):
    """A depth-wise causal convolution of ``kernel`` taps over ``tokens`` of each of ``sequences``, with its activation.

    ``flops = 2*kernel*sequences*tokens*channels``; bytes: each element in and out once, the last ``kernel - 1`` of each
    channel read and written as state. Source: Mamba (Gu & Dao 2023), section 3.4. Omits: bias.
    """

    KIND: ClassVar[str] = "causal_conv"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "sequences": (1, 512), "tokens": (1, 8192), "channels": (64, 32768), "kernel": (2, 8),
    }  # fmt: skip

    sequences: Number
    tokens: Number
    channels: Number
    kernel: Number

    def counts(self) -> Counts:
        elements = self.sequences * self.tokens * self.channels
        state = self.sequences * self.channels * (self.kernel - 1.0) * 2.0
        moved: dict[Bytes, Number] = {
            read("activation"): elements * 2.0,
            write("activation"): elements * 2.0,
            read("weight"): self.channels * self.kernel * 2.0,
            read("state"): state,
            write("state"): state,
        }
        return Counts({vector("conv"): 2.0 * self.kernel * elements}, moved)


@dataclass(frozen=True)
class _Recurrence(Operator):
    """A scan: each of ``heads`` keeps ``key_dim x value_dim`` elements for each of ``sequences``.

    ``flops = 2*p*T*H*K*V`` on the matrix units, p = 2 products a token with the state (rule "decay"), 3 ("delta"), or 9
    vector flops an element (rule "element"). It is the least of any order of evaluation: chunks add
    ``2*C*(K + V)`` a token and head. Bytes: keys and queries of ``key_heads``, values, ``gates`` and outputs once, the
    state read and written once.

    Source: Mamba-2 (Dao & Gu 2024), section 6; gated delta networks (Yang et al. 2025), section 3.
    """

    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "sequences": (1, 512), "tokens": (1, 8192), "heads": (8, 256), "key_heads": (1, 8), "key_dim": (16, 256),
        "value_dim": (1, 128), "gates": (1, 512),
    }  # fmt: skip

    sequences: Number
    tokens: Number
    heads: Number
    key_heads: Number
    key_dim: Number
    value_dim: Number
    gates: Number
    rule: str = "decay"
    state_element_bytes: float = 4.0
    dtype: str = "bfloat16"

    def state_bytes(self) -> Number:
        """Return the bytes of all sequences' states."""
        return self.sequences * self.heads * self.key_dim * self.value_dim * self.state_element_bytes

    def counts(self) -> Counts:
        tokens = self.sequences * self.tokens
        elements = tokens * self.heads * self.key_dim * self.value_dim
        if self.rule == "element":
            flops: dict[Flops, Number] = {vector("scan"): _ELEMENT_FLOPS * elements}
        else:
            flops = {tensor(self.dtype, "scan"): 2.0 * _PRODUCTS[self.rule] * elements, vector("decay"): elements}
        values = self.heads * self.value_dim
        moved: dict[Bytes, Number] = {
            read("activation"): tokens * (2.0 * self.key_heads * self.key_dim + values + self.gates) * 2.0,
            write("activation"): tokens * values * 2.0,
            read("state"): self.state_bytes(),
            write("state"): self.state_bytes(),
        }
        return Counts(flops, moved)


@register
@dataclass(frozen=True)
class ScanPrefill(_Recurrence):
    """A scan over the new tokens of each sequence, in chunks."""

    KIND: ClassVar[str] = "scan_prefill"


@register
@dataclass(frozen=True)
class ScanDecode(_Recurrence):
    """One step of a scan: a token of each sequence meets its state."""

    KIND: ClassVar[str] = "scan_decode"
