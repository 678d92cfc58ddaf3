"""A mesh of small cores, each with its own SRAM and links to its four neighbours (wafers, tiled chips).

Source: He et al., WaferLLM, OSDI 2025 (arXiv:2502.04563): shifts of two hops at most (MeshGEMM), reduction in a tree of
few routes (MeshGEMV), and what bounds both: parallelism, hop latency, local memory, routing. The constants of a
stage are assumed, not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Engine, arithmetic_s, device_bound, matrix_dtypes, parts_of
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.errors import InputError
from perfmodel.numeric import Number, best_of, ceil, maximum, minimum, sqrt, total
from perfmodel.ops import (
    AddRmsNorm,
    AttentionDecode,
    AttentionPrefill,
    Collective,
    Experts,
    LayerNorm,
    Linear,
    MlaDecode,
    MlaPrefill,
    Operator,
    RmsNorm,
    Softmax,
)
from perfmodel.specs.schema import Block, Quantity, Real, Whole

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine

_SHARES = tuple((2.0**-i,) for i in range(6))
"""Parts of the mesh's sides that an operator may be laid out on: a small one is faster on fewer cores, nearer by."""

_REDUCTIONS: tuple[tuple[type[Operator], float], ...] = (
    (AttentionDecode, 3.0), (AttentionPrefill, 3.0), (MlaDecode, 3.0), (MlaPrefill, 3.0), (Experts, 2.0),
    (RmsNorm, 1.0), (AddRmsNorm, 1.0), (LayerNorm, 2.0), (Softmax, 2.0),
)  # fmt: skip
"""Sums over a side of the mesh: of scores their maximum, their sum and the outputs; of a norm its mean square."""


@register
@dataclass(frozen=True)
class Mesh(Engine):
    """``rows x columns`` cores with ``link_bytes_per_s`` to each neighbour and a hop of ``hop_s``.

    ``stage_s``: what a core's software takes to receive, add and send on, in a tree of ``depth`` levels. Peaks and the
    SRAM's bandwidth are the chip's, whose main memory is all SRAM together. ``efficiency``: the share of the peak that
    a core's loops reach.
    """

    rows: Number
    columns: Number
    link_bytes_per_s: Number
    hop_s: Number
    stage_s: Number
    depth: float = 2.0
    efficiency: Number = 0.7

    NAME = "mesh"
    RULE = Block(
        {
            "rows": Whole(), "columns": Whole(), "link": Quantity("bytes_per_s"), "hop": Quantity("seconds"),
            "stage": Quantity("seconds"),
        },
        {"depth": Whole(), "routes": Whole(), "efficiency": Real()},
    )  # fmt: skip
    SAMPLES = (
        {"rows": 64, "columns": 64, "link": "4 GB/s", "hop": "1 ns", "stage": "10 ns"},
        {"rows": 8, "columns": 16, "link": "32 GB/s", "hop": "2 ns", "stage": "50 ns", "depth": 1, "efficiency": 0.9},
    )
    FASTER = ("link_bytes_per_s", "efficiency")

    _PARTIAL_BYTES: ClassVar[float] = 4.0

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        depth = values.get("depth", 2)
        routes = values.get("routes", depth + 1)
        if isinstance(depth, int) and isinstance(routes, int) and routes < depth + 1:
            raise InputError(
                f"{chip.name}: a tree of depth {depth} needs {depth + 1} routes through a core, and there are "
                f"{routes}; lower depth"
            )
        return cls(
            1.0 * values["rows"], 1.0 * values["columns"], values["link"], values["hop"], values["stage"],
            1.0 * depth, values.get("efficiency", 0.7),
        )  # fmt: skip

    def runs(self, op: Operator) -> bool:
        return not isinstance(op, Collective)

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return the sum over fused parts: a product's on the mesh, or arithmetic and SRAM traffic, and reductions."""
        return total(self._part_s(part, chip) for part in parts_of(op))

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, chip, machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        """Return an error of a half or twice in four of five: only whole models were compared, few of them."""
        return 0.54, 0.54

    def _part_s(self, op: Operator, chip: ChipFacts) -> Number:
        if isinstance(op, Linear):
            return minimum(self._stationary_s(op, chip), self._shifted_s(op, chip))
        times = next((n for kind, n in _REDUCTIONS if isinstance(op, kind)), 0.0)
        math = arithmetic_s(op, {**chip.sparse_peaks, **chip.peaks}, chip.vector_flops_per_s) / self.efficiency
        local = maximum(math, op.counts().total_bytes() / chip.memory_bandwidth_bytes_per_s)
        if isinstance(op, (AttentionPrefill, AttentionDecode)):
            return local + self._attention_s(op, times)
        if not times:
            return local
        size = self._PARTIAL_BYTES * getattr(op, "rows", getattr(op, "tokens", 1.0))  # a number for each row

        def laid_out(share: Number) -> Number:
            side, columns = maximum(self.rows * share, 1.0), maximum(self.columns * share, 1.0)
            return local / (share * share) + times * self.reduced_s(size / columns, side)

        return best_of(_SHARES, laid_out, size, local, *self._numbers)

    def _attention_s(self, op: AttentionPrefill | AttentionDecode, times: float) -> Number:
        """Return the communication of attention; heads and sequences lie apart, in squares of their own.

        One query: sums over a side of maximum, sum and output. Many: keys and values shift past them, twice. Omits that
        a short cache would rather lie on fewer cores (WaferLLM lays it out on all).
        """
        apart = sqrt(maximum(op.batch * op.kv_heads, 1.0))
        side, columns = maximum(self.rows / apart, 1.0), maximum(self.columns / apart, 1.0)
        if isinstance(op, AttentionDecode):
            outputs = op.heads / op.kv_heads * op.head_dim * self._PARTIAL_BYTES
            return times * self.reduced_s(outputs / columns, side)
        cached = op.kv_tokens * op.head_dim * 2.0 * op.cache.bytes_per_element
        return 2.0 * side * (self.stage_s + 2.0 * self.hop_s) + cached / columns / self.link_bytes_per_s

    def reduced_s(self, size: Number, side: Number) -> Number:
        """Return the seconds to sum ``size`` bytes of each of ``side`` cores in a line and hand the sum back.

        ``side*hop + K*side^(1/K)*(stage + size/link) + size/link`` in a tree of depth K around the middle: each of its
        levels adds up ``side^(1/K)`` cores one after the other; routers multicast the sum without stages.
        """
        stages = self.depth * side ** (1.0 / self.depth)
        flow = size / self.link_bytes_per_s
        return side * self.hop_s + stages * (self.stage_s + flow) + flow

    @property
    def _numbers(self) -> tuple[Number, ...]:
        """Return the numbers of the mesh, any of which may be a column."""
        return self.rows, self.columns, self.hop_s, self.stage_s, self.link_bytes_per_s

    def _core(self, op: Linear, chip: ChipFacts) -> tuple[Number, Number]:
        """Return what one core computes and reads from its SRAM in a second."""
        cores = self.rows * self.columns
        peak = chip.peak_flops_per_s(next(iter(matrix_dtypes(op))))
        return self.efficiency * peak / cores, chip.memory_bandwidth_bytes_per_s / cores

    def _stationary_s(self, op: Linear, chip: ChipFacts) -> Number:
        """Return the time with weights that stay: each core multiplies its tile, then partial sums are added up.

        ``max(2*m*kt*nt/rate, kt*nt*b/sram) + reduce(m*nt*4)``, tiles ``kt = ceil(k/rows)``, ``nt = ceil(n/columns)``.
        """
        rate, sram = self._core(op, chip)

        def laid_out(share: Number) -> Number:
            side = maximum(self.rows * share, 1.0)
            kt, nt = ceil(op.k / side), ceil(op.n / maximum(self.columns * share, 1.0))
            local = maximum(2.0 * op.m * kt * nt / rate, kt * nt * op.format.weight.bytes_per_element / sram)
            return local + self.reduced_s(op.m * nt * self._PARTIAL_BYTES, side)

        return best_of(_SHARES, laid_out, op.m, op.n, op.k, rate, sram, *self._numbers)

    def _shifted_s(self, op: Linear, chip: ChipFacts) -> Number:
        """Return the time of MeshGEMM: as many steps as the longer side, in each a tile product while tiles shift on.

        ``steps*max(2*mt*nt*kt/rate, stage + 2*hop + max(mt*kt*b, kt*nt*b)/link)``: two hops, because neighbours in the
        order of shifts are interleaved instead of a ring whose ends lie apart.
        """
        rate, sram = self._core(op, chip)
        a, b = op.format.activation.bytes_per_element, op.format.weight.bytes_per_element

        def laid_out(share: Number) -> Number:
            rows, columns = maximum(self.rows * share, 1.0), maximum(self.columns * share, 1.0)
            steps = maximum(rows, columns)
            mt, nt, kt = ceil(op.m / rows), ceil(op.n / columns), ceil(op.k / steps)
            local = maximum(2.0 * mt * nt * kt / rate, (mt * kt * a + kt * nt * b) / sram)
            moved = maximum(mt * kt * a, kt * nt * b) / self.link_bytes_per_s
            return steps * maximum(local, self.stage_s + 2.0 * self.hop_s + moved)

        return best_of(_SHARES, laid_out, op.m, op.n, op.k, rate, sram, *self._numbers)
