"""The kernels of single engines that a table may ask for by their own shape, with or without a device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.arguments import truth
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.operator_cost import Z80
from perfmodel.cost.systolic import cycles, utilisation
from perfmodel.cost.systolic.array import check_dataflow
from perfmodel.devices import load_device
from perfmodel.formats import find_format
from perfmodel.numeric import Number, maximum, where
from perfmodel.tables.kernel_kind import Kind, columns, no_operator
from perfmodel.tables.stream import Row, word

SYSTOLIC_SPREAD = 0.42
"""ln-scale sigma of an array's time on a chip: assumed, for cycles were compared with a simulator only."""


def _systolic_statics(row: Row) -> tuple[str, bool]:
    dataflow = word(row, "dataflow", None).lower()
    check_dataflow(dataflow)
    return dataflow, truth("column double_buffered", word(row, "double_buffered", "false"))


def _systolic_gemm(x: Sequence[Number], s: tuple[Any, ...], device: str) -> Mapping[str, Any]:
    """Return cycles and utilisation of a product on an array; with a device also its time.

    ``latency = max(cycles/clock, bytes/bandwidth)``; the bound fills the array. Bytes: every operand once.
    """
    m, n, k, rows, columns_, arrays, groups = x
    dataflow, double_buffered, dtype = s
    taken = cycles(
        m, n, k, rows, columns_, dataflow, repeats=groups, arrays=arrays, double_buffered=double_buffered
    )  # fmt: skip
    used = utilisation(m, n, k, rows, columns_, taken, repeats=groups, arrays=arrays)
    moved = groups * (m * k + k * n + m * n) * find_format(dtype).activation.bytes_per_element
    found: dict[str, Any] = {
        "cycles": _exact(taken), "utilisation": _exact(used), "flops": 2.0 * groups * m * n * k, "bytes": moved,
        "error": "",
    }  # fmt: skip
    return found | _times(taken, used, moved, device) if device else found


def _exact(values: Number) -> list[str]:
    """Return numbers in full: a table's others are rounded to seven digits, and these are compared digit by digit."""
    return [f"{value:.15g}" for value in values]


def _times(taken: Number, used: Number, moved: Number, device: str) -> dict[str, Any]:
    chip = chip_facts(load_device(device))
    memory = moved / chip.memory_bandwidth_bytes_per_s
    filled = taken * used / chip.clock_hz
    expected, bound = maximum(taken / chip.clock_hz, memory), maximum(filled, memory)
    names = where(filled < memory, 1.0, 0.0)
    return {
        "latency_us": expected * 1e6,
        "bound_us": bound * 1e6,
        "p10_us": maximum(expected * math.exp(-Z80 * SYSTOLIC_SPREAD), bound) * 1e6,
        "p90_us": expected * math.exp(Z80 * SYSTOLIC_SPREAD) * 1e6,
        "bottleneck": ["memory" if name else "compute" for name in names],
    }


ENGINE_KINDS: dict[str, Kind] = {
    "systolic_gemm": Kind(
        columns("m", "n", "k", "rows", "cols", "arrays", "groups", arrays=1, groups=1),
        _systolic_statics, no_operator, answer=_systolic_gemm, needs_device=False,
    ),
}  # fmt: skip
"""The ops by name; each answers for itself, from its numbers, statics (the dtype last) and device."""
