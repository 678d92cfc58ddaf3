"""Measured columns of a table of scenarios or kernels against the answers for them."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from perfmodel.csv_input import Row, read_header, read_rows
from perfmodel.errors import InputError
from perfmodel.tables.kernels import run_kernels
from perfmodel.tables.scenarios import run_scenarios

_SERVING = {"ttft_ms": "measured_ttft_ms", "tpot_ms": "measured_tpot_ms"}
_KERNELS = {"latency_us": "measured_latency_us"}


def read_serving(path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return a row a metric of each scenario with a measured TTFT or TPOT, and the reasons of those not answered."""
    return _read(path, _SERVING, run_scenarios)


def read_kernels(path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return a row a measured kernel (column latency_us), and the reasons of those not answered.

    ``path`` may be a folder of such tables.
    """
    return _read(path, _KERNELS, run_kernels)


def _read(path: Path, metrics: dict[str, str], run: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    if path.is_dir():
        return _read_folder(path, metrics, run)
    if not {*metrics, *metrics.values()} & set(read_header(path)):
        wanted = " or ".join(metrics.values())
        raise InputError(f"{path} has no measured column: {wanted} (or {', '.join(metrics)}) is compared")
    rows, reasons = answered_rows(path, run)
    found = [_compared(row, ours, theirs) for row in rows for ours, theirs in metrics.items() if row.get(theirs)]
    return found, reasons


def answered_rows(path: Path, run: Any) -> tuple[list[Row], dict[str, int]]:
    """Return the rows of a table with the answers beside what was measured, and the reasons of those without.

    ``run`` writes a table with answers, such as :func:`run_scenarios`.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "answers.csv"
        run(str(path), str(target))
        rows = read_rows(target)
    reasons = Counter(row["error"].split(";")[0] for row in rows if row["error"])
    return [row for row in rows if not row["error"]], dict(reasons)


def _read_folder(folder: Path, metrics: dict[str, str], run: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the rows of all tables of a folder; a file that is no such table is a reason."""
    found: list[dict[str, Any]] = []
    reasons: dict[str, int] = {}
    files = [path for path in sorted(folder.iterdir()) if path.name.endswith((".csv", ".csv.gz"))]
    if not files:
        raise InputError(f"{folder} has no .csv or .csv.gz file")
    for path in files:
        try:
            rows, refused = _read(path, metrics, run)
        except InputError as error:
            rows, refused = [], {f"file {path.name}: {error}": 1}
        found += rows
        for reason, count in refused.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return found, reasons


def _compared(row: dict[str, str], ours: str, theirs: str) -> dict[str, Any]:
    stem, unit = ours.rsplit("_", 1)
    prefix = "" if stem == "latency" else f"{stem}_"
    predicted, measured = float(row[ours]), float(row[theirs])
    low, high, bound = (float(row[f"{prefix}{name}_{unit}"]) for name in ("p10", "p90", "bound"))
    kept = {name: text for name, text in row.items() if name in _KEPT}
    return kept | {
        "metric": ours, "published": measured, "predicted": predicted, "low": low, "high": high,
        "bound": bound, "ratio": predicted / measured, "over_bound": measured / bound if bound else None,
        "in_band": low <= measured <= high, "beats_bound": bound / measured > 1.01,
    }  # fmt: skip


_KEPT = ("id", "op", "device", "backend", "dtype", "timing", "ranks", "topology", "model", "config", "engine", "mode",
         "precision", "tp", "batch")  # fmt: skip
