"""Processors: cores with vector and matrix instructions by dtype, caches, and memory channels.

Source: instruction sets' peaks (Intel optimisation manual: AMX tiles of 16 rows, AVX-512 BF16 and VNNI); roofline
(Williams et al. 2009) with the last-level cache as a ceiling of its own. Shares of the peaks are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import (
    Engine,
    device_bound,
    main_bytes,
    parts_of,
    reuse_bytes,
    split_bytes,
)
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.devices.schema import DTYPES
from perfmodel.numeric import Number, ceil, maximum, minimum, total
from perfmodel.ops import Collective, Experts, Linear, Operator
from perfmodel.specs.schema import Block, Quantity, Real, Table, Whole

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

_EMULATED_IN = {
    "bfloat16": "float32", "float16": "float32", "fp8": "float32", "fp6": "float32", "fp4": "float32",
    "tf32": "float32", "int4": "int8", "int8": "float32",
}  # fmt: skip
"""What a dtype without instructions of its own is converted to."""


@register
@dataclass(frozen=True)
class Simd(Engine):
    """``cores`` at ``clock_hz`` with ``vector`` and ``matrix`` flops a core and cycle by dtype.

    Matrix instructions work on tiles of ``tile_rows`` rows. A dtype without instructions is converted to a wider one,
    and stored weights are unpacked, at ``convert_ops`` vector operations for 64 bytes of results. ``barrier_s``: an
    operator's threads meet once. ``cache_bytes_per_s``: the last-level cache's bandwidth.
    """

    cores: Number
    clock_hz: Number
    vector: Mapping[str, Number]
    matrix: Mapping[str, Number]
    tile_rows: Number = 16.0
    convert_ops: Number = 4.0
    barrier_s: Number = 3e-6
    compute_efficiency: Number = 0.6
    memory_efficiency: Number = 0.8
    cache_bytes_per_s: Number | None = None

    NAME = "simd"
    RULE = Block(
        {"vector": Table(Real(), DTYPES, least=1)},
        {
            "matrix": Table(Real(), DTYPES, least=1), "tile_rows": Whole(), "cores": Whole(),
            "clock": Quantity("hertz"), "convert_ops": Real(), "barrier": Quantity("seconds"),
            "compute_efficiency": Real(), "memory_efficiency": Real(),
        },
    )  # fmt: skip
    SAMPLES = (
        {"vector": {"float32": 64, "int8": 256}, "matrix": {"bfloat16": 2048, "int8": 4096}},
        {"vector": {"float32": 16}, "cores": 4, "clock": "2 GHz", "barrier": "10 us"},
    )
    FASTER = ("cores", "clock_hz", "compute_efficiency", "memory_efficiency")

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        named = {"clock": "clock_hz", "barrier": "barrier_s"}
        given = {named.get(key, key): value for key, value in values.items()}
        cache = next((t.bandwidth_bytes_per_s for t in chip.tiers if t.role == "last_level_cache"), None)
        defaults: dict[str, Any] = {"cores": chip.core_count, "clock_hz": chip.clock_hz, "matrix": {}}
        return cls(**{**defaults, **given}, cache_bytes_per_s=cache)

    @property
    def peak_scale(self) -> Number | None:
        return self.cores * self.clock_hz

    @property
    def start_s(self) -> Number:
        return self.barrier_s

    def runs(self, op: Operator) -> bool:
        return not isinstance(op, Collective)

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return ``barrier + max((flops/peak + conversion)/efficiency, cache bytes/rate, bytes/(efficiency*rate))``.

        The peak is the better of the vector units' and the tiles', of whose rows a product of m rows fills
        ``m/(16*ceil(m/16))``. Bytes: weights, activations beyond the cache, what products re-read through it.
        """
        math = total(self._math_s(part) for part in parts_of(op)) / self.compute_efficiency
        cache = maximum(chip.llc_bytes, 2.0**20)
        moved = maximum(main_bytes(op, machine, chip.llc_bytes), reuse_bytes(op, cache))
        longest = maximum(math, moved / (self.memory_efficiency * chip.memory_bandwidth_bytes_per_s))
        if self.cache_bytes_per_s is not None:
            longest = maximum(longest, total(split_bytes(op, machine)) / self.cache_bytes_per_s)
        return self.barrier_s + longest

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        peaks = {dtype: maximum(*(rate for rate in self._rates(dtype))) for dtype in DTYPES}
        return device_bound(op, replace(chip, peaks=peaks, vector_flops_per_s=self._vector("float32")), machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        """Return an error of a half or twice in four of five: libraries differ that much."""
        return 0.54, 0.54

    def _vector(self, dtype: str) -> Number:
        """Return the flop/s of the vector units; of a dtype that they lack those of the one it is converted to."""
        while dtype not in self.vector and dtype in _EMULATED_IN:
            dtype = _EMULATED_IN[dtype]
        each = self.vector.get(dtype, next(iter(self.vector.values())))
        return each * self.cores * self.clock_hz

    def _rates(self, dtype: str) -> tuple[Number, Number]:
        return self._vector(dtype), self.matrix.get(dtype, 0.0) * self.cores * self.clock_hz

    def _math_s(self, op: Operator) -> Number:
        rows = op.m if isinstance(op, Linear) else None
        spent: Number = 0.0
        other: Number = 0.0
        for key, flops in op.counts().flops.items():
            if key.engine != "tensor":
                other = other + flops / self._vector("float32")
                continue
            vector, tiles = self._rates(key.dtype.partition("@")[0])
            if key.dtype.partition("@")[0] in self.matrix:
                padded = 1.0 if rows is None else self.tile_rows * ceil(rows / self.tile_rows) / maximum(rows, 1.0)
                spent = spent + minimum(flops / vector, flops * padded / tiles)
            else:
                spent = spent + flops / vector
        return spent + other + self._conversion_s(op)

    def _conversion_s(self, op: Operator) -> Number:
        """Return the seconds to unpack weights of fewer bits than the arithmetic's, or to widen an emulated dtype."""
        if not isinstance(op, (Linear, Experts)):
            return 0.0
        compute = op.format.compute
        native = compute in self.vector or compute in self.matrix
        if native and not op.format.weight_only:
            return 0.0
        stored = total(v for k, v in op.counts().bytes.items() if k.role == "weight")
        elements = stored / op.format.weight.bytes_per_element
        width = 2.0 if native else 4.0
        return elements * width / 64.0 * self.convert_ops / (self.cores * self.clock_hz)
