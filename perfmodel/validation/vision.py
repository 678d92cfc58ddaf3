"""Measured throughput of vision networks against the model: timm's own benchmark, and published results.

A row whose model, device or conditions cannot be told is counted with its reason and not guessed.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.fitting.timm import COLUMNS, DEVICES, read_frame, timm_engine, timm_network
from perfmodel.serving.network import NetworkQuestion, prepare_network


@lru_cache(maxsize=64)
def _device(name: str) -> Device:
    return load_device(name)


def read_timm(path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return a row a measured run that can be answered, and how many could not be, by reason."""
    frame = read_frame(path, COLUMNS).drop_duplicates(
        ["model", "img_size", "gpu", "layout", "compile", "batch", "torch"]
    )
    found: list[dict[str, Any]] = []
    reasons: dict[str, int] = {}
    answers: dict[tuple[Any, ...], Any] = {}
    for raw in frame.to_dict("records"):
        try:
            found.append(_compared({str(k): str(v) for k, v in raw.items()}, answers))
        except PerfmodelError as error:
            reason = str(error).splitlines()[0][:100]
            reasons[reason] = reasons.get(reason, 0) + 1
    return found, reasons


def _compared(raw: dict[str, str], answers: dict[tuple[Any, ...], Any]) -> dict[str, Any]:
    network = timm_network(raw["model"], raw["img_size"])
    engine, batch = timm_engine(raw["layout"], raw["compile"]), float(raw["batch"])
    if raw["gpu"] not in DEVICES:
        raise InputError(f"no device is known as {raw['gpu']}")
    key = (raw["model"], raw["img_size"], raw["gpu"], engine, batch)
    if key not in answers:
        setup = prepare_network(network, _device(DEVICES[raw["gpu"]]), NetworkQuestion("float16", engine=engine))
        answers[key] = setup.answer(batch).latency
    latency, measured_s = answers[key], batch / float(raw["samples_per_s"])
    return {
        "model": raw["model"], "family": network.family, "image": raw["img_size"], "device": DEVICES[raw["gpu"]],
        "engine": engine, "torch": raw.get("torch", ""), "batch": batch,
        "published": float(raw["samples_per_s"]), "predicted": batch / float(latency.expected),
        "metric": "samples_per_s", "low": batch / float(latency.p90), "high": batch / float(latency.p10),
        "bound": batch / float(latency.bound), "over_bound": measured_s / float(latency.bound),
        "ratio": float(latency.expected) / measured_s,
        "in_band": float(latency.p10) <= measured_s <= float(latency.p90),
        "beats_bound": float(latency.bound) / measured_s > 1.01,
        "gmacs": float(network.matmul_flops) / 2e9, "published_gmacs": float(raw["gmacs"]),
        "parameters_m": float(network.parameters) / 1e6, "published_parameters_m": float(raw["params_m"]),
    }  # fmt: skip
