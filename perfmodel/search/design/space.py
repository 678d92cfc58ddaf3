"""A space of designs: named ranges over numbers of a chip, of a plan and of the load, as a unit cube."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.devices import Device
from perfmodel.errors import InputError, did_you_mean
from perfmodel.search.design.engines import PREFIX, EngineNumber, engine_numbers
from perfmodel.units import format_quantity, parse_quantity

CHIP = {
    "cores": ("", "cores, of the same kind: peaks grow with them"),
    "clock": ("hertz", "clock, peaks with it"),
    "peak": ("flops_per_s", "matrix peak of the linear layers' dtype, other dtypes in proportion"),
    "vector": ("flops_per_s", "float32 peak of the vector units"),
    "bandwidth": ("bytes_per_s", "bandwidth of the main memory"),
    "capacity": ("bytes", "capacity of the main memory"),
    "cache": ("bytes", "last-level cache"),
    "link": ("bytes_per_s", "link to other devices, one direction"),
    "network": ("bytes_per_s", "network beyond the domain, one direction"),
}
"""Numbers of a chip that vary, with dimension and meaning; each range is searched by its logarithm."""

LOAD = {"batch": "requests in flight", "input_tokens": "input tokens", "output_tokens": "output tokens"}
PLAN = {
    "tp": "tensor parallelism", "pp": "pipeline stages", "cp": "parts of a sequence", "ep": "expert parallelism",
    "attention_dp": "attention groups", "dp": "replicas", "precision": "precision", "kv_precision": "cache precision",
}  # fmt: skip
"""Choices that a plan is made of: lists, not ranges."""


@dataclass(frozen=True)
class Axis:
    """One dimension: either a range from ``low`` to ``high`` (on a logarithmic scale, SI units) or ``choices``."""

    name: str
    dimension: str
    meaning: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()

    def decode(self, unit: Any) -> Any:
        """Return the values at places from 0 to 1: an array of numbers, or of places among the choices.

        A count is rounded to a whole number.
        """
        import numpy as np

        unit = np.clip(np.asarray(unit, dtype=float), 0.0, 1.0)
        if self.choices:
            place = np.minimum((unit * len(self.choices)).astype(int), len(self.choices) - 1)
            return place if isinstance(self.choices[0], str) else np.array(self.choices, dtype=float)[place]
        value = self.low * np.exp(unit * math.log(self.high / self.low))
        return np.round(value) if not self.dimension else value

    def encode(self, value: Any) -> float:
        """Return the place from 0 to 1 of a value; beyond the ends it is theirs."""
        if self.choices:
            if value not in self.choices:
                raise InputError(f"{self.name} has no choice {value} (one of {', '.join(map(str, self.choices))})")
            return (self.choices.index(value) + 0.5) / len(self.choices)
        return min(max(math.log(float(value) / self.low) / math.log(self.high / self.low), 0.0), 1.0)

    def value(self, decoded: float) -> Any:
        """Return one decoded number as it would be written: a choice, a count, an SI number."""
        if self.choices and isinstance(self.choices[0], str):
            return self.choices[int(decoded)]
        return round(float(decoded)) if not self.dimension else float(decoded)

    def text(self, value: Any) -> str:
        """Return a value with its unit."""
        return format_quantity(value, self.dimension) if self.dimension else str(value)


@dataclass(frozen=True)
class DesignSpace:
    """The axes of a unit cube; a design is a point in it."""

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise InputError("nothing varies: name a range, such as bandwidth=2TB/s:8TB/s")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"{twice[0]} varies twice")

    @property
    def names(self) -> list[str]:
        """Return the axes' names, in the order of a design's numbers."""
        return [axis.name for axis in self.axes]

    def decode(self, unit: Any) -> dict[str, Any]:
        """Return columns of values for designs ``unit`` (rows of numbers from 0 to 1, a column an axis)."""
        return {axis.name: axis.decode(unit[:, i]) for i, axis in enumerate(self.axes)}

    def encode(self, values: Mapping[str, Any]) -> list[float]:
        """Return a design as a point of the cube."""
        return [axis.encode(values[axis.name]) for axis in self.axes]


def parse_space(texts: Sequence[str], like: Device | None = None) -> DesignSpace:
    """Return the space of ``NAME=LOW:HIGH`` (a range) and ``NAME=A,B,C`` (choices). Errors: :class:`InputError`.

    The numbers of the engines of ``like`` are ``engines.NAME.KEY``.
    """
    engines = {} if like is None else engine_numbers(like)
    return DesignSpace(tuple(_axis(text, engines) for text in texts))


def _axis(text: str, engines: Mapping[str, EngineNumber]) -> Axis:
    name, equals, values = (piece.strip() for piece in text.partition("="))
    if not name.startswith(PREFIX):
        name = {"input": "input_tokens", "output": "output_tokens", "kv": "kv_precision"}.get(
            name, name.replace("-", "_")
        )
    if not equals or not values:
        raise InputError(f"'{text}' is not NAME=LOW:HIGH or NAME=A,B, such as bandwidth=2TB/s:8TB/s or tp=1,2,4")
    known: dict[str, str] = {**{chip: meaning for chip, (_, meaning) in CHIP.items()}, **LOAD, **PLAN,
                             **dict.fromkeys(engines, "number of an engine")}  # fmt: skip
    if name not in known:
        raise InputError(f"no number '{name}' to vary{did_you_mean(name, known)} (one of {', '.join(known)})")
    dimension = CHIP[name][0] if name in CHIP else engines[name].dimension if name in engines else ""
    meaning = known[name]
    if ":" not in values:
        parts = [part for piece in values.split(",") if (part := piece.strip())]
        words = name in ("precision", "kv_precision")
        return Axis(
            name, dimension, meaning, choices=tuple(parts if words else (_number(name, p, dimension) for p in parts))
        )
    if name in PLAN:
        raise InputError(f"{name} has choices, not a range: {name}=1,2,4")
    low, _, high = values.partition(":")
    ends = _number(name, low, dimension), _number(name, high, dimension)
    if not 0.0 < ends[0] < ends[1]:
        raise InputError(f"{name}: a range begins above 0 and ends above its start, not {values}")
    return Axis(name, dimension, meaning, *ends)


def _number(name: str, text: str, dimension: str) -> Any:
    if dimension:
        return parse_quantity(text.strip(), dimension)
    from perfmodel.arguments import whole

    return whole(name, text.strip())
