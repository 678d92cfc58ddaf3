"""Fit the GEMM form on measured kernels: ``python -m perfmodel.fitting.gemm --data DIR_OR_CSV [--out FILE]``."""

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

ASYNCHRONOUS = ["hopper", "blackwell"]
"""Architectures whose matrix units are fed by asynchronous bulk copies."""
GRAPHICS_ARCHITECTURES = ["ada", "blackwell-workstation", "turing"]
GRAPHICS_DEVICES = ["a10", "a10g", "a40", "rtx-3090", "rtx-a6000"]
"""Chips with GDDR memory and a narrow cache fabric (ampere ones by name: the A100 and A30 are not among them)."""

LIKE = {
    "bfloat16": ["bfloat16", "float16", "float32"],
    "fp8": ["fp8", "mxfp8", "w4a8", "w4a8_mxfp4_mxfp8"],
    "int4_wo": ["int4_wo", "w4a16_mxfp4", "nvfp4_wo"],
    "int8_wo": ["int8_wo", "fp8_wo"],
}
"""Precisions that share the rules of a measured one."""

_TIMING, _ASYNC, _GRAPHICS = ("timing",), ("asynchronous",), ("graphics",)
_VENDOR, _ARCHITECTURE, _DEVICE, _DTYPE = ("vendor",), ("architecture",), ("device",), ("kind_of_dtype",)
_BACKEND = ("backend", "kind_of_dtype")
_TIMED = ("backend", "kind_of_dtype", "timing")
_ARCHITECTURE_BACKEND = ("architecture", "backend", "kind_of_dtype")
_DEVICE_TIMED = ("device", "backend", "kind_of_dtype", "timing")

SPECIFICATION: Specification = {
    "launch_us": (3.0, [(_TIMING, 1.0), (("kind_of_dtype", "timing"), 0.5), (_TIMED, 0.5), (_DEVICE, 0.1),
                        (_ARCHITECTURE_BACKEND, 0.15)]),
    "math_efficiency": (0.85, [(_VENDOR, 0.1), (_ARCHITECTURE, 0.1), (_DEVICE, 0.07), (_DTYPE, 0.15), (_BACKEND, 0.15),
                               (_ARCHITECTURE_BACKEND, 0.1)]),
    "step_clocks": (3.6, [(_ASYNC, 0.7), (_GRAPHICS, 0.4), (_ARCHITECTURE, 0.3), (_DTYPE, 0.5), (_BACKEND, 0.3)]),
    "prologue_k": (105.0, [(_ARCHITECTURE, 0.2), (_DTYPE, 0.3), (_BACKEND, 0.2)]),
    "memory_efficiency": (0.85, [(_ARCHITECTURE, 0.1), (_DEVICE, 0.07), (_BACKEND, 0.1)]),
    "fabric_bytes_per_clock": (15.0, [(_GRAPHICS, 0.3), (_ARCHITECTURE, 0.2), (_DEVICE, 0.1), (_BACKEND, 0.1)]),
    "cache_share": (0.7, []),
    "weight_copies": (5.0, [(_BACKEND, 0.3)]),
    "split_us": (2.8, [(_DTYPE, 0.7), (_BACKEND, 0.3)]),
    "throttle": (0.2, [(_ARCHITECTURE, 0.5), (_BACKEND, 0.5), (_DEVICE, 0.2)]),
    "heat_ms": (1.5, []),
    "quantise_us": (3.0, [(_DTYPE, 0.5), (_BACKEND, 1.0), (_ARCHITECTURE_BACKEND, 0.5)]),
    "quantise_passes": (2.0, [(_BACKEND, 1.0), (_ARCHITECTURE_BACKEND, 0.3)]),
    "quantise_row_ns": (1.0, [(_BACKEND, 1.5), (_DEVICE, 0.3)]),
    "single_row_us": (0.1, [(_BACKEND, 1.0), (_ARCHITECTURE_BACKEND, 3.0)]),
    "unaligned_rows_us": (0.1, [(_TIMED, 3.0), (_DEVICE_TIMED, 1.5)]),
    "unaligned_block_us": (0.1, [(_TIMED, 3.0), (_DEVICE_TIMED, 1.5)]),
    "host_us": (0.3, [(_TIMED, 3.0), (_DEVICE_TIMED, 0.5)]),
}  # fmt: skip
STARTS = {("host_us", _TIMED, ("vllm", "fp8_block", "wall")): 5.5}

BY_REASON: list[dict[str, Any]] = [
    {"when": {"device": "h20"}, "scale": {"math_efficiency": 1.12, "throttle": 0.1},
     "note": "not measured: 15 % of the H100's peak at its power budget, so neither feeds nor watts limit it"},
    {"when": {"device": ["rtx-2080-ti", "rtx-3060", "rtx-3080", "rtx-4090", "rtx-5090"]},
     "scale": {"math_efficiency": 1.3, "throttle": 0.2},
     "note": "not measured as kernels: GeForce multiplies at half rate with 32-bit sums, so neither watts nor feeding "
     "limit it, as on the measured RTX 3090; timm's transformers on the RTX 4090 agree"},
    {"when": {"architecture": ["cdna3", "cdna4"]}, "scale": {"math_efficiency": 0.75},
     "note": "not measured: public matrix benchmarks of MI300X reach about half of its peak"},
    {"when": {"kind": "tpu"}, "scale": {"fabric_bytes_per_clock": 300, "step_clocks": 0.01},
     "note": "not measured: one core of large systolic arrays fed from on-chip memory"},
]  # fmt: skip
"""Rules for chips that were never measured and differ from every family that was."""


class Rows:
    """Measured rows as operators: one vectorised :class:`Linear` for each format."""

    def __init__(self, frame: Any) -> None:
        from perfmodel.formats import runnable_format
        from perfmodel.ops.linear import Linear

        self.measured = frame["latency_us"].to_numpy() * 1e-6
        self.groups: list[Any] = []
        for (dtype, quantises), rows in frame.groupby(["dtype", "includes_quantisation"]).indices.items():
            part = frame.iloc[rows]
            chip = facts_by_row(part["device"].tolist())
            m, n, k = (part[name].to_numpy(dtype=float) for name in ("m", "n", "k"))
            op = Linear(m, n, k, runnable_format(dtype, frozenset(chip.peaks)), bool(quantises))
            self.groups.append((rows, op, chip))

    def seconds(self, coefficients: Any) -> Any:
        """Return the form's time of every row."""
        import numpy as np

        from perfmodel.cost.gpu.gemm import expected_s

        times = np.empty(len(self.measured))
        for rows, op, chip in self.groups:
            times[rows] = expected_s(op, chip, {name: value[rows] for name, value in coefficients.items()})
        return times

    def roofline_s(self) -> Any:
        """Return the datasheet roofline of every row."""
        import numpy as np

        times = np.empty(len(self.measured))
        for rows, op, chip in self.groups:
            counts = op.counts()
            math = 2.0 * op.m * op.n * op.k / chip.peak_flops_per_s(op.format.compute)
            times[rows] = np.maximum(math, counts.total_bytes() / chip.memory_bandwidth_bytes_per_s)
        return times


def prepare(frame: Any) -> Any:
    """Add the key columns of the levels (empty: no factor of that level)."""
    graphics = frame["device"].isin(GRAPHICS_DEVICES) | frame["architecture"].isin(GRAPHICS_ARCHITECTURES)
    return frame.assign(
        kind_of_dtype=frame["dtype"].replace({"float16": "bfloat16"}),
        asynchronous=frame["architecture"].isin(ASYNCHRONOUS).map({True: "yes"}),
        graphics=graphics.map({True: "yes"}),
    )


def expand(keys: tuple[str, ...], values: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the ``when`` mappings of a level's value."""
    if keys == _GRAPHICS:
        return [{"architecture": GRAPHICS_ARCHITECTURES}, {"device": GRAPHICS_DEVICES}]
    if keys == _ASYNC:
        return [{"architecture": ASYNCHRONOUS}]
    when: dict[str, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key == "kind_of_dtype":
            when["dtype"] = LIKE.get(value, value)
        else:
            when[key] = value
    return [when]


def main() -> None:
    """Fit, print the errors and write the calibration file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default="hardware_specs/calibration/gemm.yaml")
    arguments = parser.parse_args()
    frame = prepare(read_measured(arguments.data, "gemm"))
    held = shape_split(frame, ["m", "n", "k"])
    levels = Shrunken(frame, SPECIFICATION, STARTS)
    known = frame[~held].reset_index(drop=True)
    rows = Rows(known)
    theta = levels.fit(rows.seconds, rows.measured, levels.index(known), iterations=40)
    everything = Rows(frame)
    fitted = everything.seconds(levels.coefficients(theta, levels.index(frame))) / everything.measured
    left_out = leave_devices_out(frame, levels, theta, held, Rows)
    roofline = everything.roofline_s() / everything.measured
    errors = three_errors(frame, held, fitted, left_out, roofline, ["dtype", "device"])
    final = levels.fit(everything.seconds, everything.measured, levels.index(frame), start=theta, iterations=15)
    write_calibration(arguments.out, calibration(frame, levels, final, held, fitted, left_out, errors))


def calibration(frame: Any, levels: Shrunken, theta: Any, held: Any, fitted: Any, left_out: Any, errors: Any) -> Any:
    """Return the calibration file's content."""
    return {
        "schema": "calibration/1",
        "operator": "gemm",
        "form": "tiles-waves-flow/1 (perfmodel/cost/gpu/gemm.py)",
        "data": [
            "ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0, NVIDIA Corporation",
            "microsoft/vidur, MIT",
            "microsoft/apex_plus, MIT",
            "casys-kaist/LLMServingSim, MIT",
            "alibaba/InferSim, Apache-2.0",
            "PrincetonUniversity/LLMCompass, BSD-3-Clause",
        ],
        "date": "2026-11-20",
        "split": (
            "30 % of the shapes (m, n, k) held out by a hash, left_out_device refitted without each device; "
            "the rules below are refitted on all rows"
        ),
        "errors": {"unit": "% of |expected/measured - 1|", **errors},
        "measured_devices": sorted(frame["device"].unique().tolist()),
        "rules": [*levels.rules(theta, expand, least=0.03), *BY_REASON],
        "bands": quantile_bands(frame, held, fitted, left_out, [("dtype",), ("timing",), ("backend", "dtype")]),
    }


if __name__ == "__main__":
    main()
