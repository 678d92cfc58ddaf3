"""What an operator does, as typed counts: never a bare number of flops or bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from perfmodel.numeric import Number, total


class Flops(NamedTuple):
    """Key of an arithmetic count: the engine class (tensor or vector), the dtype and what is computed."""

    engine: str
    dtype: str
    op: str


class Bytes(NamedTuple):
    """Key of a traffic count: the tier it crosses (main, link), the operand's role and the direction."""

    tier: str
    role: str
    direction: str


@dataclass(frozen=True)
class Counts:
    """Flops by (engine, dtype, op) and bytes by (tier, role, direction); a multiply-accumulate is 2 flops."""

    flops: Mapping[Flops, Number] = field(default_factory=dict[Flops, Number])
    bytes: Mapping[Bytes, Number] = field(default_factory=dict[Bytes, Number])

    def __add__(self, other: Counts) -> Counts:
        return Counts(_merge(self.flops, other.flops), _merge(self.bytes, other.bytes))

    def __mul__(self, factor: Number) -> Counts:
        return Counts({k: v * factor for k, v in self.flops.items()}, {k: v * factor for k, v in self.bytes.items()})

    __rmul__ = __mul__

    def filter_flops(self, **wanted: str) -> Counts:
        """Keep the arithmetic whose key has these values (``engine=``, ``dtype=``, ``op=``), and no bytes."""
        return Counts(_select(self.flops, wanted), {})

    def filter_bytes(self, **wanted: str) -> Counts:
        """Keep the traffic whose key has these values (``tier=``, ``role=``, ``direction=``), and no flops."""
        return Counts({}, _select(self.bytes, wanted))

    def group_flops(self, by: str) -> dict[str, Number]:
        """Return the flops summed over everything but the key field ``by``."""
        return _group(self.flops, lambda key: getattr(key, by))

    def group_bytes(self, by: str) -> dict[str, Number]:
        """Return the bytes summed over everything but the key field ``by``."""
        return _group(self.bytes, lambda key: getattr(key, by))

    def total_flops(self) -> Number:
        """Return all flops, whatever the engine and dtype."""
        return total(self.flops.values())

    def total_bytes(self, tier: str = "main") -> Number:
        """Return all bytes that cross a tier."""
        return total(value for key, value in self.bytes.items() if key.tier == tier)


def _merge(a: Mapping[Any, Number], b: Mapping[Any, Number]) -> dict[Any, Number]:
    merged = dict(a)
    for key, value in b.items():
        merged[key] = merged[key] + value if key in merged else value
    return merged


def _select(values: Mapping[Any, Number], wanted: Mapping[str, str]) -> dict[Any, Number]:
    return {k: v for k, v in values.items() if all(getattr(k, name) == text for name, text in wanted.items())}


def _group(values: Mapping[Any, Number], key: Callable[[Any], str]) -> dict[str, Number]:
    groups: dict[str, Number] = {}
    for k, v in values.items():
        name = key(k)
        groups[name] = groups[name] + v if name in groups else v
    return groups


def tensor(dtype: str, op: str = "matmul") -> Flops:
    """Key of matrix-unit arithmetic."""
    return Flops("tensor", dtype, op)


def vector(op: str, dtype: str = "float32") -> Flops:
    """Key of SIMT or SIMD arithmetic; softmax, norms and activations compute in float32."""
    return Flops("vector", dtype, op)


def read(role: str, tier: str = "main") -> Bytes:
    """Key of bytes read."""
    return Bytes(tier, role, "read")


def write(role: str, tier: str = "main") -> Bytes:
    """Key of bytes written."""
    return Bytes(tier, role, "write")
