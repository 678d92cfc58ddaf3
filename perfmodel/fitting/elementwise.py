"""Fit the row-wise form on measured kernels.

``python -m perfmodel.fitting.elementwise --data DIR_OR_CSV [--out FILE]``
"""

from __future__ import annotations

import argparse
from typing import Any

from perfmodel.fitting.common import (
    Shrunken,
    Specification,
    facts_by_row,
    leave_devices_out,
    quantile_bands,
    read_measured,
    shape_split,
    three_errors,
    write_calibration,
)

GRAPHICS_ARCHITECTURES = ["ada", "blackwell-workstation", "turing"]
GRAPHICS_DEVICES = ["a10", "a10g", "a40", "rtx-3090", "rtx-a6000"]
"""Chips with GDDR memory and a narrow cache fabric (ampere ones by name: the A100 and A30 are not among them)."""

_OP, _DEVICE, _ARCHITECTURE, _VENDOR = ("op",), ("device",), ("architecture",), ("vendor",)
_TIMED, _GRAPHICS = ("op", "timing"), ("graphics",)

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
    graphics = frame["device"].isin(GRAPHICS_DEVICES) | frame["architecture"].isin(GRAPHICS_ARCHITECTURES)
    return frame.assign(graphics=graphics.map({True: "yes"}))


def expand(keys: tuple[str, ...], values: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the ``when`` mappings of a level's value."""
    if keys == _GRAPHICS:
        return [{"architecture": GRAPHICS_ARCHITECTURES}, {"device": GRAPHICS_DEVICES}]
    return [dict(zip(keys, values, strict=True))]


def main() -> None:
    """Fit, print the errors and write the calibration file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default="hardware_specs/calibration/elementwise.yaml")
    arguments = parser.parse_args()
    frame = prepare(read_measured(arguments.data, "elementwise"))
    held = shape_split(frame, ["op", "rows", "cols"])
    levels = Shrunken(frame, SPECIFICATION)
    known = frame[~held].reset_index(drop=True)
    rows = Rows(known)
    theta = levels.fit(rows.seconds, rows.measured, levels.index(known), iterations=60)
    everything = Rows(frame)
    fitted = everything.seconds(levels.coefficients(theta, levels.index(frame))) / everything.measured
    left_out = leave_devices_out(frame, levels, theta, held, Rows)
    roofline = everything.roofline_s() / everything.measured
    errors = three_errors(frame, held, fitted, left_out, roofline, ["op", "device"])
    final = levels.fit(everything.seconds, everything.measured, levels.index(frame), start=theta, iterations=15)
    write_calibration(arguments.out, calibration(frame, levels, final, held, fitted, left_out, errors))


def calibration(frame: Any, levels: Shrunken, theta: Any, held: Any, fitted: Any, left_out: Any, errors: Any) -> Any:
    """Return the calibration file's content."""
    return {
        "schema": "calibration/1",
        "operator": "elementwise",
        "form": "passes-rows/1 (perfmodel/cost/gpu/elementwise.py)",
        "data": [
            "microsoft/vidur, MIT",
            "casys-kaist/LLMServingSim, MIT",
            "PrincetonUniversity/LLMCompass, BSD-3-Clause",
        ],
        "date": "2026-11-20",
        "split": (
            "30 % of the shapes (op, rows, cols) held out by a hash, left_out_device refitted without each device; "
            "the rules below are refitted on all rows"
        ),
        "errors": {"unit": "% of |expected/measured - 1|", **errors},
        "measured_devices": sorted(frame["device"].unique().tolist()),
        "rules": [*levels.rules(theta, expand), *BY_REASON],
        "bands": quantile_bands(frame, held, fitted, left_out, [("op",), ("timing",), ("op", "timing")]),
    }


if __name__ == "__main__":
    main()
