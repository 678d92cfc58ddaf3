"""Fit the row-wise form on measured kernels.

``python -m perfmodel.fitting.elementwise --data DIR_OR_CSV [--out FILE]``
"""

from __future__ import annotations

from typing import Any

from perfmodel.fitting.bands import SiblingBands
from perfmodel.fitting.command import run
from perfmodel.fitting.common import facts_by_row
from perfmodel.fitting.judging import Terms
from perfmodel.fitting.levels import LevelFit
from perfmodel.fitting.shrunken import Specification

GRAPHICS_MEMORY = "gddr"
"""Chips with GDDR memory have a narrow cache fabric."""

_OP, _DEVICE, _ARCHITECTURE, _VENDOR = ("op",), ("device",), ("architecture",), ("vendor",)
_TIMED, _GRAPHICS = ("op", "timing"), ("memory",)

SPECIFICATION: Specification = {
    "launch_us": (3.0, [(("timing",), 1.0), (_TIMED, 0.6), (_DEVICE, 0.15), (("device", "op", "timing"), 0.15)]),
    "next_kernel_us": (3.0, [(_OP, 0.3)]),
    "passes": (1.2, [(_OP, 0.5), (("op", "timing"), 0.3), (("vendor", "op"), 0.3)]),
    "next_kernel_bytes": (4.0, [(_OP, 0.5)]),
    "memory_efficiency": (0.85, [(_VENDOR, 0.2), (_ARCHITECTURE, 0.1), (_DEVICE, 0.1)]),
    "fabric_bytes_per_clock": (25.0, [(_GRAPHICS, 0.3), (_ARCHITECTURE, 0.2), (_OP, 0.2)]),
    "cache_share": (0.7, [(_OP, 0.2)]),
    "row_clocks": (0.1, [(_OP, 0.5), (_ARCHITECTURE, 0.2)]),
}

BY_REASON: list[dict[str, Any]] = [
    {"when": {"timing": "cuda_graph"}, "set": {"launch_us": 2.0},
     "note": "not measured: kernels of 1 to 2 us and the gap inside a graph, as for the least matrix kernels"},
    {"when": {"op": ["add_rmsnorm", "rope", "quantise", "embedding"]}, "set": {"passes": 1.2},
     "note": "not measured: four fifths of the bandwidth, as the better of the measured fused operators"},
    {"when": {"kind": "tpu"}, "scale": {"fabric_bytes_per_clock": 300, "row_clocks": 0.01},
     "note": "not measured: one core with wide vector units fed from on-chip memory"},
]  # fmt: skip
"""Rules for what was never measured and differs from every family that was."""

TERMS: Terms = {
    "launch floor": {"launch_us": 1e-3},
    "launch of further kernels": {"next_kernel_us": 1e-3},
    "bytes of further kernels": {"next_kernel_bytes": 1e-3},
    "cache fabric": {"fabric_bytes_per_clock": 1e6},
    "operands that stay in the cache": {"cache_share": 1e-6},
    "latency of a row": {"row_clocks": 1e-6},
}
"""Physical terms, and where their coefficients switch them off."""


class Rows:
    """Measured rows as operators: one vectorised operator for each kind."""

    def __init__(self, frame: Any) -> None:
        from perfmodel.ops import OPERATORS

        self.measured = frame["latency_us"].to_numpy() * 1e-6
        self.groups: list[Any] = []
        for kind, rows in frame.groupby("op").indices.items():
            part = frame.iloc[rows]
            shape = (part[name].to_numpy(dtype=float) for name in ("rows", "cols"))
            chip = facts_by_row(part["device"].tolist())
            self.groups.append((rows, OPERATORS[str(kind)](*shape), chip, part["kernels"].to_numpy(dtype=float)))

    def seconds(self, coefficients: Any) -> Any:
        """Return the form's time of every row."""
        import numpy as np

        from perfmodel.cost.gpu.elementwise import expected_s

        times = np.empty(len(self.measured))
        for rows, op, chip, kernels in self.groups:
            here = {name: value[rows] for name, value in coefficients.items()}
            times[rows] = expected_s(op, chip, here, kernels=kernels)
        return times

    def roofline_s(self) -> Any:
        """Return the datasheet roofline of every row."""
        import numpy as np

        times = np.empty(len(self.measured))
        for rows, op, chip, _ in self.groups:
            times[rows] = op.counts().total_bytes() / chip.memory_bandwidth_bytes_per_s
        return times


def prepare(frame: Any) -> Any:
    """Add the key columns of the levels (empty: no factor of that level)."""
    return frame.assign(memory=frame["memory_kind"].where(frame["memory_kind"] == GRAPHICS_MEMORY))


def expand(keys: tuple[str, ...], values: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the ``when`` mappings of a level's value."""
    return [dict(zip(keys, values, strict=True))]


FIT = LevelFit(
    operator="elementwise", form="passes-rows/1 (perfmodel/cost/gpu/elementwise.py)",
    data=("microsoft/vidur, MIT", "casys-kaist/LLMServingSim, MIT", "PrincetonUniversity/LLMCompass, BSD-3-Clause"),
    shape=("op", "rows", "cols"), specification=SPECIFICATION, rows_of=Rows, prepare=prepare, expand=expand,
    by_reason=BY_REASON, group="op", table_by=("op", "device"),
    bands=SiblingBands((("op",), ("timing",), ("op", "timing")), ("timing",)), terms=TERMS, iterations=40,
)  # fmt: skip


if __name__ == "__main__":
    run(FIT)
