"""Published latency and throughput of vision networks against the model: phones, boards, accelerators, data centres.

What a row ran is told by :mod:`perfmodel.fitting.vision_rows`; a row that cannot be told is counted with its reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.fitting.timm import read_frame
from perfmodel.fitting.vision_rows import COLUMNS, Conditions, conditions
from perfmodel.serving.network import NetworkSetup


def read_vision(path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the rows that can be answered, and how many could not be, by reason."""
    found: list[dict[str, Any]] = []
    reasons: dict[str, int] = {}
    for raw in read_frame(path, COLUMNS).to_dict("records"):
        try:
            found.append(_compared({str(k): str(v) for k, v in raw.items()}))
        except PerfmodelError as error:
            reason = str(error).splitlines()[0][:100]
            reasons[reason] = reasons.get(reason, 0) + 1
    return found, reasons


def _compared(raw: dict[str, str]) -> dict[str, Any]:
    c = conditions(raw)
    latency = _latency(c.setup, c.batch)
    expected = float(latency.expected)
    predicted, low, high, bound = (_in_unit(float(t), c) for t in (expected, latency.p10, latency.p90, latency.bound))
    return {
        "id": raw["id"], "group": c.group, "device": c.setup.device.name, "model": c.setup.pipeline.name,
        "family": c.setup.pipeline.family, "framework": raw["framework"], "precision": c.precision, "batch": c.batch,
        "metric": "samples_per_s" if c.is_rate else "latency_ms", "published": float(raw["value"]),
        "predicted": predicted, "low": min(low, high), "high": max(low, high), "bound": bound,
        "over_bound": c.measured_s / float(latency.bound), "ratio": expected / c.measured_s,
        "in_band": float(latency.p10) <= c.measured_s <= float(latency.p90),
        "beats_bound": float(latency.bound) / c.measured_s > 1.01,
        "published_gops": raw.get("gops", ""), "gops": float(c.setup.pipeline.matmul_flops) / 1e9,
        "published_parameters": raw.get("params_m", ""), "parameters_m": float(c.setup.pipeline.parameters) / 1e6,
    }  # fmt: skip


def _in_unit(time_s: float, c: Conditions) -> float:
    """Return a batch's time as what was published: samples a second of all devices, or milliseconds."""
    return c.batch * c.devices / time_s if c.is_rate else time_s * 1e3


_LATENCIES: dict[tuple[int, float], Any] = {}


def _latency(setup: NetworkSetup, batch: float) -> Any:
    key = (id(setup), batch)
    if key not in _LATENCIES:
        _LATENCIES[key] = (setup, setup.answer(batch).latency)  # the setup is kept, so that its id stays its own
    return _LATENCIES[key][1]
