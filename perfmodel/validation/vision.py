"""Measured throughput of vision networks against the model: timm's own benchmark on consumer GPUs.

The file is a row a run: model, image size, GPU, layout, whether compiled, batch, samples a second, and timm's count of
multiply-accumulates and parameters (``../shared/reference/timm_inference.csv.gz``). A row whose model or GPU is not in
the library is counted with its reason.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.serving.network import NetworkQuestion, prepare_network
from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.networks.library import built, find_variant

COLUMNS = ("model", "img_size", "gpu", "dtype", "layout", "compile", "batch", "samples_per_s", "gmacs", "params_m")
DEVICES = {"RTX-3090-24GB": "rtx-3090", "RTX-4090-24GB": "rtx-4090"}


def timm_engine(layout: str, compiled: str) -> str:
    """Return the engine that a row of timm's benchmark ran with."""
    if compiled == "torch.compile":
        return "torch-compile"
    return "torch-channels-last" if layout == "nhwc" else "torch"


def read_frame(path: Path, columns: tuple[str, ...]) -> Any:
    """Return a CSV as a data frame of texts; :class:`InputError` if it cannot be read or lacks a column."""
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype=str, low_memory=False).fillna("")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    if missing := set(columns) - set(frame.columns):
        raise InputError(f"{path} has no column {', '.join(sorted(missing))}")
    return frame


def timm_network(name: str, image: str) -> AnyNetwork:
    """Return timm's network of a name at an image size; :class:`InputError` if the library does not have it."""
    variant = find_variant(name)
    if variant is None:
        raise InputError("model not in the library")
    return _built(name, int(float(image)))


@lru_cache(maxsize=2048)
def _built(name: str, image: int) -> AnyNetwork:
    variant = find_variant(name)
    assert variant is not None
    return built(variant, {"image": image})


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
        "bound": batch / float(latency.bound), "ratio": float(latency.expected) / measured_s,
        "in_band": float(latency.p10) <= measured_s <= float(latency.p90),
        "beats_bound": float(latency.bound) / measured_s > 1.01,
        "gmacs": float(network.matmul_flops) / 2e9, "published_gmacs": float(raw["gmacs"]),
        "parameters_m": float(network.parameters) / 1e6, "published_parameters_m": float(raw["params_m"]),
    }  # fmt: skip
