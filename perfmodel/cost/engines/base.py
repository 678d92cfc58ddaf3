"""The protocol of cost engines: settings read from a device file, and an operator's times on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from perfmodel.cost.bounds import UNCACHED_ROLES, Bound, operator_bound
from perfmodel.cost.energy import Joules
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, maximum, sqrt, total
from perfmodel.ops import BatchedMatmul, Experts, Fused, Linear, Operator
from perfmodel.ops.conv import Convolution
from perfmodel.specs.schema import Block

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

Z80 = 1.2815515655446004
"""Standard normal quantile of 90 %: p10 and p90 lie that many spreads from the median."""


@dataclass(frozen=True)
class Engine:
    """One engine of a device: a frozen dataclass of its settings in SI units, any of which may be an array or symbol.

    A subclass states its ``NAME`` (the ``form`` of a device file's ``engines``), the ``RULE`` of its block, ``SAMPLES``
    of such blocks for the conformance kit (tests/property/test_engines.py), the fields that make it ``FASTER`` when
    they grow, and the methods below. Methods are generic over the number type. ``kinds`` are the operators that the
    device's file leaves to the engine (``operators``; None: whatever it runs). ``FUSION`` is how networks are fused
    for it (:data:`perfmodel.plan.network.FUSIONS`), unless someone asks for another way.
    """

    kinds: frozenset[str] | None = field(default=None, kw_only=True)

    NAME: ClassVar[str]
    RULE: ClassVar[Block]
    SAMPLES: ClassVar[Sequence[Mapping[str, Any]]] = ()
    FASTER: ClassVar[Sequence[str]] = ()
    FUSION: ClassVar[str] = ""

    @property
    def peak_scale(self) -> Number | None:
        """Return what the matrix peak grows with of the engine's own numbers; None: it is the chip's alone."""
        return None

    @property
    def own_memory(self) -> bool:
        """Say whether the engine leaves the bandwidth of the main memory to the others while it works."""
        return False

    @property
    def start_s(self) -> Number:
        """What an operator takes however small it is, of which no share of its work can take less."""
        return 0.0

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        """Return the engine of a block that ``RULE`` has read; ``chip`` supplies what the block leaves out."""
        del chip
        return cls(**values)

    def runs(self, op: Operator) -> bool:
        """Say whether the engine can execute an operator at all (by its kind and statics, never by its numbers)."""
        raise TypeError(f"{type(self).__name__} does not say what it runs")

    def takes(self, op: Operator) -> bool:
        """Say whether the engine runs an operator and is left it."""
        return (self.kinds is None or op.KIND in self.kinds) and self.runs(op)

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return the expected seconds of an operator; the caller holds them to the bound."""
        raise TypeError(f"{type(self).__name__} does not say its times")

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        """Return the least seconds of each resource that physics leaves the engine."""
        raise TypeError(f"{type(self).__name__} does not say its bound")

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        """Return ln-scale sigmas below and above the expected time: wide, with a reason, where nobody measured."""
        raise TypeError(f"{type(self).__name__} does not say how sure its times are")

    def energy(self, op: Operator, chip: ChipFacts, machine: Machine) -> Joules | None:
        """Return the dynamic joules of an operator; None: from counts and the device's coefficients."""
        return None


def parts_of(op: Operator) -> tuple[Operator, ...]:
    """Return the operators inside a fused one, or the operator itself."""
    return op.batched_parts() if isinstance(op, Fused) else (op,)


def static_dtype(op: Operator) -> str:
    """Return the precision name by which coefficients are looked up."""
    if isinstance(op, (Linear, Experts, Convolution)):
        return op.format.calibrated_as
    return getattr(op, "dtype", "bfloat16")


def device_bound(op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
    """Return the bound of the device's datasheet peaks (:func:`operator_bound`), for engines without their own."""
    bound = operator_bound(op, op.counts(), chip, machine.link, machine.warm)
    if machine.cold_weights == 1.0:
        return bound
    # what the chip can keep from one inference to the next need not come from memory again
    return replace(bound, memory_s=bound.memory_s * machine.cold_weights)


DTYPE_BYTES: Mapping[str, float] = {
    "float64": 8.0, "float32": 4.0, "tf32": 4.0, "float16": 2.0, "bfloat16": 2.0, "fp8": 1.0, "fp6": 0.75,
    "int8": 1.0, "fp4": 0.5, "int4": 0.5,
}  # fmt: skip
"""Bytes of an operand of each dtype of matrix arithmetic."""


@lru_cache(maxsize=4096)
def _dtypes(op: Operator) -> frozenset[str]:
    return frozenset(key.dtype for key in op.counts().flops if key.engine == "tensor")


def matrix_dtypes(op: Operator) -> frozenset[str]:
    """Return the dtypes of an operator's matrix arithmetic; its numbers do not matter."""
    if isinstance(op, Fused):
        return frozenset[str]().union(*(matrix_dtypes(part) for part in op.parts))
    return _dtypes(op.with_numbers(**dict.fromkeys(op.DOMAIN, 1.0)))


def arithmetic_s(op: Operator, peaks: Mapping[str, Number], vector_flops_per_s: Number) -> Number:
    """Return ``max(sum matrix flops/peak of their dtype, vector flops/vector peak)``; matrix and vector units overlap.

    Parts of a fused operator run one after the other.
    """
    spent: Number = 0.0
    for part in parts_of(op):
        matrix: Number = 0.0
        vector: Number = 0.0
        for key, flops in part.counts().flops.items():
            if key.engine == "tensor":
                matrix = matrix + flops / peaks[key.dtype]
            else:
                vector = vector + flops / vector_flops_per_s
        spent = spent + maximum(matrix, vector)
    return spent


def split_bytes(op: Operator, machine: Machine) -> tuple[Number, Number]:
    """Return an operator's bytes that main memory must supply (cold weights, caches, states), and its activations."""
    counts = op.counts()
    kept = total(value for key, value in counts.bytes.items() if key.tier == "main" and key.role in UNCACHED_ROLES)
    return kept * machine.cold_weights, counts.total_bytes() - kept


def main_bytes(op: Operator, machine: Machine, held_bytes: Number) -> Number:
    """Return the bytes that cross main memory where ``held_bytes`` of activations stay nearer by.

    ``cold + activations*max(1 - held/activations, 0)``.
    """
    cold, activations = split_bytes(op, machine)
    return cold + maximum(activations - held_bytes, 0.0)


def reuse_bytes(op: Operator, held_bytes: Number) -> Number:
    """Return the least traffic of an operator's products above a memory of ``held_bytes``, seen as a whole.

    ``F*b/sqrt(S/b)`` for F flops on words of b bytes and S bytes; nothing for attention, whose scores need not leave.
    Source: Smith, Lowery, Langou, van de Geijn, arXiv:1702.02017 (``2mnk/sqrt(S)`` words, to the leading order).
    """
    moved: Number = 0.0
    for part in parts_of(op):
        if isinstance(part, (Linear, Experts, Convolution, BatchedMatmul)):
            for key, flops in part.counts().flops.items():
                if key.engine == "tensor":
                    word = DTYPE_BYTES.get(key.dtype.partition("@")[0], 2.0)
                    moved = moved + flops * word / sqrt(held_bytes / word)
    return moved
