"""Fit how fast engines run networks on GPUs: the form of convolutions, and the stretch of each class of kernels.

``python -m perfmodel.fitting.network --data CSV [--out FOLDER]``

The CSV is timm's own benchmark (``timm_inference.csv.gz``): images a second of whole networks on an RTX 3090 and an
RTX 4090. Half of the networks are held out by a hash of their names; each family of networks and each GPU is left
out in turn. The coefficients are the same for all GPUs: those of other kernels come from their own fits.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu import conv
from perfmodel.cost.operator_cost import expected_s
from perfmodel.devices import load_device
from perfmodel.errors import PerfmodelError
from perfmodel.fitting.timm import COLUMNS, DEVICES, read_frame, timm_engine, timm_network
from perfmodel.fitting.writing import write_calibration
from perfmodel.ops import BatchedMatmul
from perfmodel.ops.conv import Convolution
from perfmodel.serving.network import NetworkQuestion, has_layer_norms, kernel_class, prepare_network

CLASSES = ("gemm", "attention", "norm", "residual", "pointwise")
"""Classes of kernels whose times come from their own fits, times a stretch."""

START = {
    "launch_us": 2.0, "math_efficiency": 0.6, "vector_efficiency": 0.3, "memory_efficiency": 0.85, "passes": 1.1,
    "granule": 8.0,
}  # fmt: skip
FREE = ("math_efficiency", "vector_efficiency", "passes")
"""Coefficients of the form of convolutions that are fitted; the others stay (launch: short against these batches)."""

PRIOR_SIGMA = 0.5
"""Spread of a coefficient around its start, in ln; a weak pull that decides only what the data leave open."""

HELD_OUT = 0.5


@dataclass(frozen=True)
class Run:
    """One measured run: the numbers of its convolutions, and what the other classes of kernels take by their fits."""

    model: str
    family: str
    device: str
    engine: str
    measured_s: float
    convolutions: Any
    known_s: tuple[float, ...]

    @property
    def held(self) -> bool:
        """Whether the run's network is held out."""
        return zlib.crc32(self.model.split(".")[0].encode()) % 1000 < 1000 * HELD_OUT


def read_runs(path: Path) -> tuple[list[Run], dict[str, int]]:
    """Return the runs that the library covers, of each (model, size, GPU, engine) the newest, and what is missing."""
    frame = read_frame(path, (*COLUMNS, "torch")).sort_values("torch")
    frame["engine"] = [timm_engine(a, b) for a, b in zip(frame["layout"], frame["compile"], strict=True)]
    frame = frame.drop_duplicates(["model", "img_size", "gpu", "engine"], keep="last")
    runs: list[Run] = []
    reasons: dict[str, int] = {}
    for raw in frame.to_dict("records"):
        try:
            runs.append(_run({str(k): str(v) for k, v in raw.items()}))
        except PerfmodelError as error:
            reason = str(error).splitlines()[0][:80]
            reasons[reason] = reasons.get(reason, 0) + 1
    return runs, reasons


def _run(raw: Mapping[str, str]) -> Run:
    network, batch = timm_network(raw["model"], raw["img_size"]), float(raw["batch"])
    device = DEVICES[raw["gpu"]]
    setup = prepare_network(network, load_device(device), NetworkQuestion("float16", engine=raw["engine"]))
    known: dict[str, float] = dict.fromkeys(CLASSES, 0.0)
    rows: list[tuple[float, ...]] = []
    repeats: dict[int, int] = {}
    for like in setup.alike[0]:
        repeats[like] = repeats.get(like, 0) + 1
    layered = has_layer_norms(kernel.operator for kernel in setup.schedules[0])
    for index, count in repeats.items():
        op = setup.schedules[0][index].operator.batched(batch)
        kind = kernel_class(op, layered)
        if kind != "conv":
            known[kind] += count * float(expected_s(op, setup.machine))
        elif isinstance(op, Convolution):
            rows.append(_conv_row(op, count))
        elif isinstance(op, BatchedMatmul):
            rows.append((op.m, op.n, op.k, 1.0, op.batch, float(op.counts().total_bytes()), 0.0, float(count)))
        else:
            raise AssertionError(f"{network.name}: a fused kernel of class conv")
    return Run(
        raw["model"], network.family, device, raw["engine"], batch / float(raw["samples_per_s"]), tuple(rows),
        tuple(known.values()),
    )  # fmt: skip


def _conv_row(op: Convolution, count: int) -> tuple[float, ...]:
    macs = float(op.multiplications())
    rows = macs / float(op.weights)
    return (
        rows, float(op.out_per_group), float(op.in_per_group), float(op.taps), float(op.groups),
        float(op.counts().total_bytes()), macs, float(count),
    )  # fmt: skip


class Design:
    """The runs as arrays: the expected seconds of all of them for given coefficients."""

    def __init__(self, runs: Sequence[Run]) -> None:
        import numpy as np

        self.runs = list(runs)
        self.measured = np.array([run.measured_s for run in runs])
        self.known = np.array([run.known_s for run in runs])
        self.index = np.repeat(np.arange(len(runs)), [len(run.convolutions) for run in runs])
        table = np.array([row for run in runs for row in run.convolutions])
        self.table = table.reshape(-1, 8)
        self.device = np.array([run.device for run in runs])
        self.chips = {name: _facts(name) for name in sorted({run.device for run in runs})}

    def seconds(self, c: Mapping[str, float]) -> Any:
        """Return the expected seconds of each run."""
        import numpy as np

        spent = np.zeros(len(self.runs))
        for name, chip in self.chips.items():
            here = self.device[self.index] == name
            spent += np.bincount(self.index[here], _conv_s(self.table[here], chip, c), len(self.runs))
        return spent + self.known @ np.array([c[f"{name}_stretch"] for name in CLASSES])


def _facts(name: str) -> ChipFacts:
    from perfmodel.cost.facts import chip_facts

    return chip_facts(load_device(name))


def _conv_s(table: Any, chip: ChipFacts, c: Mapping[str, float]) -> Any:
    """Return the seconds of rows of convolutions and batched products by :mod:`perfmodel.cost.gpu.conv`."""
    import numpy as np

    rows, columns, inner, taps, groups, moved, macs, count = table.T
    matrix = conv.waves_s(rows, columns, conv.padded(inner, c["granule"]) * taps, groups, "float16", chip, c)
    vector = np.where(macs > 0, 2.0 * macs / (c["vector_efficiency"] * chip.vector_flops_per_s), np.inf)
    return count * conv.assembled(np.minimum(matrix, vector), moved, chip, c)


NAMES = (*FREE, *(f"{name}_stretch" for name in CLASSES))


def fit(design: Design, chosen: Any) -> dict[str, float]:
    """Return the coefficients of one engine from the chosen runs, by robust least squares of ln(expected/measured)."""
    import numpy as np
    from scipy.optimize import least_squares

    start = np.log([START.get(name, 1.0) for name in NAMES])

    def coefficients(theta: Any) -> dict[str, float]:
        return {**START, **dict(zip(NAMES, np.exp(theta).tolist(), strict=True))}

    def residuals(theta: Any) -> Any:
        off = np.log(design.seconds(coefficients(theta))[chosen] / design.measured[chosen])
        return np.concatenate([off, (theta - start) / PRIOR_SIGMA * 0.3])

    found = least_squares(residuals, start, loss="soft_l1", f_scale=0.1)
    return coefficients(found.x)


def errors_of(ratio: Any) -> dict[str, float]:
    """Return MAPE, median and bias of expected over measured, in percent."""
    import numpy as np

    off = 100.0 * (np.asarray(ratio) - 1.0)
    if not len(off):
        return {}
    return {"n": len(off), "mape": float(np.abs(off).mean()), "median": float(np.median(np.abs(off))),
            "bias": float(np.median(off))}  # fmt: skip


def main() -> None:
    """Fit, report and write both calibration files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", type=Path, default=Path("hardware_specs/calibration"))
    arguments = parser.parse_args()
    runs, reasons = read_runs(arguments.data)
    print(f"{len(runs)} runs; left out: {sorted(reasons.items(), key=lambda item: -item[1])[:8]}")
    found = {engine: fit_engine(engine, [r for r in runs if r.engine == engine]) for engine in ENGINES}
    write(arguments.out, found)


ENGINES = ("torch", "torch-channels-last", "torch-compile")


def fit_engine(engine: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the coefficients of an engine (fitted on all runs), its three errors and its bands."""
    import numpy as np

    design = Design(runs)
    held = np.array([run.held for run in runs])
    part = fit(design, ~held)
    ratio = design.seconds(part) / design.measured
    errors = {"fit": errors_of(ratio[~held]), "held_out_networks": errors_of(ratio[held])}
    unseen = np.full(len(runs), np.nan)
    families = np.array([run.family for run in runs])
    for name in sorted(set(families)):
        unseen[families == name] = (design.seconds(fit(design, families != name)) / design.measured)[families == name]
    errors["left_out_family"] = errors_of(unseen)
    left = np.full(len(runs), np.nan)
    for name in design.chips:
        others = design.device != name
        if others.any():
            left[~others] = (design.seconds(fit(design, others)) / design.measured)[~others]
    known = ~np.isnan(left)
    if known.any():
        errors["left_out_device"] = errors_of(left[known])
    final = fit(design, np.ones(len(runs), dtype=bool))
    bands = {
        "true": quantiles(1.0 / np.concatenate([ratio[held], unseen])),
        "false": quantiles(1.0 / (left[known] if known.any() else ratio[held]), wider=1.25),
    }
    print(f"\n{engine}: {len(runs)} runs")
    print({k: round(v, 3) for k, v in final.items()})
    for name, row in errors.items():
        print(f"  {name:20s} { {k: round(v, 1) for k, v in row.items()} }")
    report_families(runs, unseen)
    return {"coefficients": final, "errors": errors, "bands": bands}


def report_families(runs: Sequence[Run], ratio: Any) -> None:
    """Print the median ratio of each family by a fit on all others: what the form does not see."""
    import numpy as np

    for family in sorted({run.family for run in runs}):
        here = np.array([run.family == family for run in runs])
        print(f"    {family:24s} n {here.sum():4d} ratio {np.median(ratio[here]):.2f}"
              f" ({np.quantile(ratio[here], 0.1):.2f}-{np.quantile(ratio[here], 0.9):.2f})")  # fmt: skip


def quantiles(measured_over_expected: Any, wider: float = 1.0) -> dict[str, float]:
    """Return p10 and p90 of measured over expected; ``wider`` stretches them for devices that nobody measured."""
    import numpy as np

    low, high = np.quantile(measured_over_expected, [0.1, 0.9])
    return {"p10": float(min(low, 1.0) / wider), "p90": float(max(high, 1.0) * wider)}


def write(folder: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``conv.yaml`` and ``network.yaml``."""
    shared = {
        "data": ["huggingface/pytorch-image-models results/benchmark-infer-amp-*-rtx3090/4090.csv, Apache-2.0"],
        "date": "2026-11-21",
        "split": "half of the networks held out by crc32 of the name; each family and each GPU left out in turn; the "
        "rules below are refitted on all runs (amp float16, batches of 4 to 1024)",
    }  # fmt: skip
    errors = {engine: result["errors"] for engine, result in found.items()}
    devices = sorted(DEVICES.values())
    write_calibration(folder / "conv.yaml", {
        "schema": "calibration/1", "operator": "conv",
        "form": "implicit GEMM in waves of tiles, or plain arithmetic (perfmodel/cost/gpu/conv.py)", **shared,
        "errors": {"unit": "% of |expected/measured - 1| of whole networks", **errors}, "measured_devices": devices,
        "rules": [*_conv_rules(found)], "bands": _bands(found),
    })  # fmt: skip
    write_calibration(folder / "network.yaml", {
        "schema": "calibration/1", "operator": "network",
        "form": "sum of kernels with a stretch a class, or the host's time to issue them "
        "(perfmodel/serving/network.py)", **shared,
        "errors": {"unit": "% of |expected/measured - 1| of whole networks", **errors}, "measured_devices": devices,
        "rules": [*_network_rules(found)], "bands": _bands(found),
    })  # fmt: skip


def _conv_rules(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    best = found["torch-channels-last"]["coefficients"]
    rules: list[dict[str, Any]] = [{
        "set": {name: best[name] for name in START},
        "note": "other engines: as channels-last PyTorch, whose convolutions need no change of layout",
    }]  # fmt: skip
    for engine, result in found.items():
        rules.append({"when": {"backend": engine}, "set": {name: result["coefficients"][name] for name in FREE}})
    return rules


def _network_rules(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    plain = {"host_issue_us": 0.0, "start_us": 0.0, "conv_stretch": 1.0, **{f"{name}_stretch": 1.0 for name in CLASSES}}
    rules: list[dict[str, Any]] = [{"set": plain, "note": "a graph of kernels without a host; not measured"}]
    issue = {"torch": 8.0, "torch-channels-last": 8.0, "torch-compile": 4.0}
    for engine, result in found.items():
        stretch = {f"{name}_stretch": result["coefficients"][f"{name}_stretch"] for name in CLASSES}
        rules.append({
            "when": {"backend": engine}, "set": {**stretch, "host_issue_us": issue[engine]},
            "note": "host_issue_us assumed: Python and the dispatcher take 5 to 10 us a kernel",
        })  # fmt: skip
    return [*rules, QUERY_START]


QUERY_START: dict[str, Any] = {
    "when": {"backend": "tensorrt"}, "set": {"start_us": 110.0},
    "note": "the way of a query to the device and back: what MLPerf's single-stream times of ResNet-50 and "
    "SSD-MobileNet on A100 SXM 80 GB and A30 (mlcommons/inference_results v0.7 to v4.1) have beyond the kernels",
}  # fmt: skip
"""Of the other devices' figures none was used; their kernels' times come from the rules above."""


def _bands(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [{"set": {"p10": 0.6, "p90": 1.7}, "note": "engines that nobody measured"}]
    for engine, result in found.items():
        for measured, band in result["bands"].items():
            rules.append({"when": {"backend": engine, "measured": measured}, "set": band})
    return rules


if __name__ == "__main__":
    main()
