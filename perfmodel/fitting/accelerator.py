"""Fit the plain form of neural accelerators on published latencies of whole networks.

``python -m perfmodel.fitting.accelerator --data CSV [--out FOLDER]``

The CSV is a figure a row (``published_vision.csv.gz``): Qualcomm AI Hub's phones and boards, Hailo's and Rockchip's
model zoos. Of several runtimes of one network on one device the fastest counts. Half of the networks are held out by a
hash of their names, and each device is left out in turn. Coefficients are shared by a vendor's devices.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.cost.engines.accelerator import traffic
from perfmodel.cost.facts import ChipFacts
from perfmodel.errors import PerfmodelError
from perfmodel.fitting.network import errors_of, quantiles
from perfmodel.fitting.timm import read_frame
from perfmodel.fitting.vision_rows import COLUMNS, Conditions, conditions
from perfmodel.fitting.writing import write_calibration
from perfmodel.ops import Fused, Linear, Operator
from perfmodel.ops.conv import Convolution

START = {
    "issue_us": 5.0, "math_efficiency": 0.5, "product_efficiency": 0.2, "half_channels": 16.0,
    "depthwise_efficiency": 0.03, "vector_efficiency": 0.3, "memory_efficiency": 0.7, "start_us": 100.0,
}  # fmt: skip
PRIOR_SIGMA = {"memory_efficiency": 0.15, "half_channels": 0.7}
"""Spreads in ln around the start; 1 where nothing is said."""

CEILING = {
    "math_efficiency": 1.0,
    "product_efficiency": 1.0,
    "depthwise_efficiency": 1.0,
    "memory_efficiency": 1.0,
    "vector_efficiency": 1.0,
}


@dataclass(frozen=True)
class Run:
    """One network on one device: its kernels as rows of (kernel, work, in, out, kind) and their other seconds."""

    model: str
    device: str
    vendor: str
    precision: str
    measured_s: float
    bound_s: float
    parts: tuple[tuple[float, ...], ...]
    memory_s: tuple[float, ...]
    vector_s: tuple[float, ...]

    @property
    def held(self) -> bool:
        """Whether the run's network is held out."""
        return zlib.crc32(self.model.encode()) % 2 == 0


CONV, DEPTHWISE, LINEAR, OTHER = 0.0, 1.0, 2.0, 3.0


def read_runs(path: Path) -> tuple[list[Run], dict[str, int]]:
    """Return the fastest run of each (network, size, device, precision, batch), and what could not be told."""
    best: dict[tuple[Any, ...], tuple[float, Conditions]] = {}
    reasons: dict[str, int] = {}
    for raw in read_frame(path, COLUMNS).to_dict("records"):
        try:
            found = conditions({str(k): str(v) for k, v in raw.items()})
        except PerfmodelError as error:
            reason = str(error).splitlines()[0][:80]
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        if found.setup.machine.form != "accelerator":
            continue
        key = (id(found.setup), found.batch)
        if key not in best or found.measured_s < best[key][0]:
            best[key] = (found.measured_s, found)
    return [_run(seconds, found) for seconds, found in best.values()], reasons


def _run(measured_s: float, c: Conditions) -> Run:
    setup, chip = c.setup, c.setup.machine.chip
    parts: list[tuple[float, ...]] = []
    memory: list[float] = []
    vector: list[float] = []
    for index, kernel in enumerate(setup.schedules[0]):
        op = kernel.operator.batched(c.batch)
        rows = [_part(part, chip) for part in (op.batched_parts() if isinstance(op, Fused) else (op,))]
        heavy = [row for row in rows if row is not None]
        parts += [(float(index), *row) for row in heavy]
        memory.append(
            float(traffic(op.counts(), chip, setup.machine.cold_weights)) / float(chip.memory_bandwidth_bytes_per_s)
        )
        flops = 0.0 if heavy else float(op.counts().total_flops())
        vector.append(flops / float(chip.vector_flops_per_s))
    bound = float(setup.answer(c.batch).latency.bound)
    return Run(
        setup.pipeline.name, setup.device.name, setup.device.vendor, c.precision, measured_s, bound, tuple(parts),
        tuple(memory), tuple(vector),
    )  # fmt: skip


def _part(op: Operator, chip: ChipFacts) -> tuple[float, float, float, float] | None:
    counts = op.counts().filter_flops(engine="tensor").flops
    if not counts:
        return None
    work = sum(float(v) / float(chip.peak_flops_per_s(k.dtype)) for k, v in counts.items())
    if isinstance(op, Convolution):
        return work, float(op.in_per_group), float(op.out_per_group), CONV if op.in_per_group > 1 else DEPTHWISE
    if isinstance(op, Linear):
        return work, float(op.k), float(op.n), LINEAR
    return work, 1.0, 1.0, OTHER


class Design:
    """The runs as arrays."""

    def __init__(self, runs: Sequence[Run]) -> None:
        import numpy as np

        self.runs = list(runs)
        self.measured = np.array([run.measured_s for run in runs])
        sizes = [len(run.memory_s) for run in runs]
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.kernels = int(first[-1])
        self.run_of = np.repeat(np.arange(len(runs)), sizes)
        self.memory = np.concatenate([np.array(run.memory_s) for run in runs])
        self.vector = np.concatenate([np.array(run.vector_s) for run in runs])
        rows = [(start + row[0], *row[1:]) for run, start in zip(runs, first, strict=False) for row in run.parts]
        self.table = np.array(rows)

    def seconds(self, c: Mapping[str, float]) -> Any:
        """Return the expected seconds of each run, by :mod:`perfmodel.cost.engines.accelerator`."""
        import numpy as np

        kernel, work, inputs, outputs, kind = self.table.T
        half = c["half_channels"]
        used = np.where(kind == OTHER, 1.0, inputs / (inputs + half) * outputs / (outputs + half))
        used = np.where(kind == DEPTHWISE, c["depthwise_efficiency"] / c["math_efficiency"], used)
        efficiency = np.where(kind >= LINEAR, c["product_efficiency"], c["math_efficiency"])
        math = np.bincount(kernel.astype(int), work / (efficiency * used), self.kernels)
        math = math + self.vector / c["vector_efficiency"]
        each = c["issue_us"] * 1e-6 + np.maximum(math, self.memory / c["memory_efficiency"])
        return np.bincount(self.run_of, each, len(self.runs)) + c["start_us"] * 1e-6


def fit(design: Design, chosen: Any, start: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the coefficients of the chosen runs; ``start`` is also what the data pull away from."""
    import numpy as np
    from scipy.optimize import least_squares

    begin = {**START, **(start or {})}
    names = tuple(begin)
    centre = np.log([begin[name] for name in names])
    sigma = np.array([PRIOR_SIGMA.get(name, 1.0) for name in names])
    top = np.log([CEILING.get(name, 1e9) for name in names])

    def coefficients(theta: Any) -> dict[str, float]:
        return dict(zip(names, np.exp(np.minimum(theta, top)).tolist(), strict=True))

    def residuals(theta: Any) -> Any:
        off = np.log(design.seconds(coefficients(theta))[chosen] / design.measured[chosen])
        return np.concatenate([off, (theta - centre) / sigma * 0.5])

    return coefficients(least_squares(residuals, centre, loss="soft_l1", f_scale=0.3).x)


def main() -> None:
    """Fit, report and write the calibration."""
    import numpy as np

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", type=Path, default=Path("hardware_specs/calibration/accelerator.yaml"))
    arguments = parser.parse_args()
    runs, reasons = read_runs(arguments.data)
    print(f"{len(runs)} runs; left out: {sorted(reasons.items(), key=lambda item: -item[1])[:8]}")
    every = Design(runs)
    shared = fit(every, np.ones(len(runs), dtype=bool))
    print("all", {k: round(v, 3) for k, v in shared.items()}, errors_of(every.seconds(shared) / every.measured))
    vendors = sorted({run.vendor for run in runs})
    found = {name: fit_vendor(name, [r for r in runs if r.vendor == name], shared) for name in vendors}
    write(arguments.out, shared, found, runs)


LEAST_RUNS = 12
"""Fewer runs than these give a vendor no coefficients of its own."""


def fit_vendor(vendor: str, runs: Sequence[Run], shared: Mapping[str, float]) -> dict[str, Any] | None:
    """Return a vendor's coefficients, errors and bands, or None if too few of its runs are known."""
    import numpy as np

    if len(runs) < LEAST_RUNS:
        return None
    design = Design(runs)
    held = np.array([run.held for run in runs])
    ratio = design.seconds(fit(design, ~held, shared)) / design.measured
    devices = np.array([run.device for run in runs])
    left = np.full(len(runs), np.nan)
    for name in sorted(set(devices)):
        others = devices != name
        coefficients = fit(design, others, shared) if others.any() else dict(shared)
        left[~others] = (design.seconds(coefficients) / design.measured)[~others]
    final = fit(design, np.ones(len(runs), dtype=bool), shared)
    errors = {"fit": errors_of(ratio[~held]), "held_out_networks": errors_of(ratio[held]),
              "left_out_device": errors_of(left)}  # fmt: skip
    print(f"\n{vendor}: {len(runs)} runs { ({k: round(v, 3) for k, v in final.items()}) }")
    for name, row in errors.items():
        print(f"  {name:20s} { {k: round(v, 1) for k, v in row.items()} }")
    for name in sorted(set(devices)):
        here = devices == name
        print(f"    {name:26s} n {here.sum():3d} median ratio, left out {np.median(left[here]):.2f}")
    return {
        "coefficients": final, "errors": errors, "devices": sorted(set(devices)),
        "bands": {"true": quantiles(1.0 / ratio[held]), "false": quantiles(1.0 / left)},
    }  # fmt: skip


def write(path: Path, shared: Mapping[str, float], found: Mapping[str, Any], runs: Sequence[Run]) -> None:
    """Write the calibration file."""
    known = {name: result for name, result in found.items() if result is not None}
    rules: list[dict[str, Any]] = [{"set": dict(shared), "note": "all vendors together"}]
    rules += [{"when": {"vendor": name}, "set": result["coefficients"]} for name, result in known.items()]
    bands: list[dict[str, Any]] = [{"set": {"p10": 0.4, "p90": 2.5}, "note": "vendors that nobody measured"}]
    for name, result in known.items():
        bands += [{"when": {"vendor": name, "measured": m}, "set": band} for m, band in result["bands"].items()]
    write_calibration(path, {
        "schema": "calibration/1", "operator": "accelerator",
        "form": "arithmetic against memory traffic (perfmodel/cost/engines/accelerator.py)",
        "data": ["qualcomm/ai-hub-models perf.yaml", "hailo-ai/hailo_model_zoo", "airockchip/rknn_model_zoo"],
        "date": "2026-11-21",
        "split": "half of the networks held out by crc32 of the name; each device left out in turn; the rules below "
        "are refitted on all runs",
        "errors": {"unit": "% of |expected/measured - 1| of whole networks",
                   **{name: result["errors"] for name, result in known.items()}},
        "measured_devices": sorted({run.device for run in runs}), "rules": rules, "bands": bands,
    })  # fmt: skip


if __name__ == "__main__":
    main()
