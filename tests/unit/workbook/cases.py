"""Questions whose live workbooks are recalculated with other inputs, and the same question asked of Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from perfmodel.api import Estimate
from perfmodel.asking import estimate
from perfmodel.network_api import NetworkEstimate

_UNITS = {"bandwidth": "B/s", "capacity": "B", "clock": "Hz", "cores": "", "power": "W"}


@dataclass(frozen=True)
class Case:
    """A question, and what is changed: of the request, and of the device by its fields, in SI units."""

    model: str
    device: str
    options: Mapping[str, Any]
    request: Mapping[str, int]
    changes: Mapping[str, float] = field(default_factory=dict[str, float])

    def asked(self) -> Estimate | NetworkEstimate:
        """Return the estimate that the workbook is made of."""
        found: Estimate | NetworkEstimate = estimate(self.model, self.device, **self.options)
        return found

    def cells(self) -> dict[str, float]:
        """Return what to write into named cells."""
        names = {field: field.replace(".", "_") for field in self.changes}
        own = {names[field] if "_" in names[field] else f"device_{field}": value
               for field, value in self.changes.items()}  # fmt: skip
        return {**{name: float(value) for name, value in self.request.items()}, **own}

    def answered(self, **others: Any) -> dict[str, Any]:
        """Return the report of Python for the changed inputs."""
        changes = {f"device.{field}": _written(field, value) for field, value in self.changes.items()}
        options: dict[str, Any] = {**self.options, **self.request, **others, "changes": changes}
        return estimate(self.model, self.device, **options).report()


def _written(field: str, value: float) -> str:
    unit = "FLOP/s" if field.startswith("peaks") else _UNITS[field.rpartition(".")[2]]
    return f"{value!r} {unit}".strip() if unit else f"{value:g}"


def worst_difference(sheets: Mapping[str, list[dict[str, Any]]], case: Case) -> float:
    """Return the largest relative difference of a workbook's summary, operators and sweep from Python's answers."""
    report = case.answered()
    if "samples_per_s" in report:
        return _worst_of_network(sheets, case, report)
    pairs: list[tuple[float, float]] = []
    for row in sheets["summary"]:
        pairs += _of_summary(row, report)
    for phase in ("prefill", "decode"):
        told = [row for row in report["operators"] if row["phase"] == phase]
        shown = sheets.get(phase, [])
        assert [row["name"] for row in shown] == [row["name"] for row in told]
        for cells, row in zip(shown, told, strict=True):
            pairs += [(cells[name], row[name]) for name in _OPERATOR]
            assert cells["bottleneck"] == row["bottleneck"]
    for row in sheets["sweep"]:
        pairs += _of_sweep(row, case.answered(batch=int(row["batch"])))
    assert len(pairs) > 100
    return max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in pairs)


def _worst_of_network(
    sheets: Mapping[str, list[dict[str, Any]]], case: Case, report: Mapping[str, Any]
) -> float:  # fmt: skip
    pairs: list[tuple[float, float]] = []
    for row in sheets["summary"]:
        pairs += _of_network(row["answer"], row, report)
    told = iter(report["operators"])
    own = [name for name in _OPERATOR if name != "share" or len(report["stages"]) == 1]
    for name in kernel_sheets(sheets):
        for cells in sheets[name]:
            row = next(told)
            assert (cells["name"], cells["part"], cells["dtype"]) == (row["name"], row["part"], row["dtype"])
            assert cells["bottleneck"] == row["bottleneck"]
            pairs += [(cells[key], row[key]) for key in own]
    assert next(told, None) is None
    for row in sheets["sweep"]:
        other = case.answered(batch=int(row["batch"]))
        for name, value in row.items():
            metric, _, band = name.partition(" ")
            pairs += _of_network(metric, {band or "expected": value}, other)
    assert len(pairs) > 100
    return max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in pairs)


def kernel_sheets(names: Iterable[str]) -> list[str]:
    """Return the sheets of a network's kernels."""
    return [name for name in names if name.startswith(("kernels", "network"))]


def _of_network(name: str, row: Mapping[str, Any], report: Mapping[str, Any]) -> list[tuple[float, float]]:
    if name == "batch":
        return []
    if name == "latency_s":
        return [(value, report[name][band]) for band, value in row.items() if band in report[name]]
    if name == "memory.used_bytes":
        return [(row["expected"], report["memory_bytes_per_device"])]
    where, dot, what = name.partition(".")
    return [(float(row["expected"]), float(report[where][what] if dot else report[name]))]


_OPERATOR = (
    "flops", "bytes", "link_bytes", "compute_s", "memory_s", "link_s", "bound_s", "expected_s", "p10_s", "p90_s",
    "share",
)  # fmt: skip
_RATES = (
    "tokens_per_s", "tokens_per_s_per_device", "requests_per_s", "running", "waiting", "usd_per_million_tokens",
    "joules_per_token", "fits",
)  # fmt: skip


def _of_summary(row: Mapping[str, Any], report: Mapping[str, Any]) -> list[tuple[float, float]]:
    name = row["answer"]
    if name in ("ttft_s", "tpot_s", "e2e_s"):
        return [(row[band], report[name][band]) for band in ("expected", "bound", "p10", "p90")]
    if name in _RATES:
        return [(float(row["expected"]), float(report[name]))]
    part = name.removeprefix("memory.")
    return [(row["expected"], report["memory"][part])] if name != part and part in report["memory"] else []


def _of_sweep(row: Mapping[str, Any], report: Mapping[str, Any]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for name, value in row.items():
        metric, _, band = name.partition(" ")
        if band:
            found.append((value, report[metric][band]))
        elif name in _RATES:
            found.append((float(value), float(report[name])))
        elif name == "memory.used_bytes":
            found.append((value, report["memory_bytes_per_device"]))
    return found


REQUEST = {"batch": 37, "input_tokens": 3001, "output_tokens": 411}
SERVED = Case(
    "llama-3.1-8b", "h100-sxm", {"batch": 8, "input_tokens": 2048, "output_tokens": 256}, REQUEST,
    {"memory.main.bandwidth": 4.1e12, "peaks.tensor.bfloat16": 7.3e14, "chip.cores": 144, "chip.clock": 1.7e9},
)  # fmt: skip
EXPERTS = Case(
    "deepseek-v3", "h200-sxm",
    {"batch": 64, "tp": 8, "ep": 8, "moe_tp": 1, "precision": "fp8", "engine": "sglang"},
    {"batch": 201, "input_tokens": 5000, "output_tokens": 700},
    {"links.scale_up.bandwidth": 3e11, "memory.main.capacity": 2e11, "power": 600},
)  # fmt: skip
STAGES = Case(
    "llama-3.1-70b", "a100-sxm-80gb", {"batch": 16, "tp": 2, "pp": 2, "static": True}, REQUEST,
    {"memory.last_level_cache.capacity": 6e7},
)  # fmt: skip
DECODE = Case("gemma-3-27b", "tpu-v6e", {"batch": 4, "phase": "decode", "tp": 4}, REQUEST)
CONVOLUTIONS = Case(
    "resnet50", "h100-sxm", {"batch": 16}, {"batch": 37},
    {"memory.main.bandwidth": 2.1e12, "peaks.tensor.float16": 7.3e14, "chip.cores": 120, "chip.clock": 1.5e9,
     "memory.last_level_cache.capacity": 3e7, "power": 300},
)  # fmt: skip
VISION = Case(
    "vit_base_patch16_224", "tpu-v4", {"batch": 4, "dp": 2, "precision": "int8", "engine": "torch"}, {"batch": 30},
    {"memory.main.bandwidth": 3e11},
)  # fmt: skip
PIPELINE = Case("dit-xl-2-256", "l40s", {"batch": 2, "power_limit_w": 250.0}, {"batch": 5})
EDGE = Case("mobilenetv2_100", "edge-tpu", {"batch": 1}, {"batch": 3}, {"memory.main.capacity": 6e6})
SHARDED = Case("llama-3.1-8b", "h100-sxm", {"batch": 8, "tp": 2, "engine": "vllm"}, REQUEST)
