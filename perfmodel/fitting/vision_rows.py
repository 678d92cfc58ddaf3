"""Rows of published vision benchmarks as questions: which network, device, engine, precision and batch a figure is of.

The file is a figure a row with its conditions (``../shared/reference/published_vision.csv.gz``). Conditions that a
source leaves out are taken from its rules: MLPerf's closed division runs int8 where the chip has it, its offline
scenario batches of :data:`OFFLINE_BATCH`; benchmarks of NPUs run one image at a time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError
from perfmodel.fitting.vision_names import network_name
from perfmodel.serving.network import NetworkQuestion, NetworkSetup, prepare_network
from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.networks.library import load_network

COLUMNS = ("id", "task", "system", "gpu", "n_gpu", "model", "framework", "precision", "batch", "seq_or_img", "metric",
           "params_m", "stat", "value", "unit", "notes")  # fmt: skip
OFFLINE_BATCH = 256.0
"""Assumed batch of MLPerf's offline scenario, as far as memory holds it."""

_PRECISIONS = {
    "float": "float16", "fp16": "float16", "mixed(fp16)": "float16", "fp32": "float32", "tf32": "float32",
    "fp32, bf16": "bfloat16", "int8": "int8", "w8a8": "int8", "uint8": "int8",
}  # fmt: skip
_ENGINES = (
    ("tensorrt", "tensorrt"), ("jetpack", "tensorrt"), ("jetson", "tensorrt"), ("pytorch", "torch-channels-last"),
    ("tensorflow", "torch-channels-last"), ("mxnet", "torch-channels-last"), ("fastertransformer", "torch-compile"),
    ("onnxruntime", "onnxruntime"),
)  # fmt: skip


@dataclass(frozen=True)
class Conditions:
    """What a row ran: the setup, the batch of a device, how many devices share it, and what that took.

    ``measured_s`` is the time of a device's batch; ``is_rate`` says that the source states a rate of all devices.
    """

    setup: NetworkSetup
    group: str
    precision: str
    batch: float
    devices: float
    is_rate: bool
    measured_s: float


def conditions(raw: Mapping[str, str]) -> Conditions:
    """Return what a row ran; :class:`InputError` with the reason if that cannot be told."""
    rate = raw["metric"] == "throughput"
    text = f"{raw['task']} {raw['system']}".lower()
    if "training" in text:
        raise InputError("training is not modelled")
    if "server" in raw["task"].lower() or raw["unit"] == "queries/s":
        raise InputError("a server's rate depends on its latency limit")
    if raw["stat"] in ("p95", "p99", "Latency P99 (ms)", "lat_p99_ms_8samples"):
        raise InputError("tails of a latency are not predicted")
    said = " ".join(raw.get(column, "") for column in ("task", "notes", "framework", "date"))
    network = _network(raw["model"], said, raw["seq_or_img"])
    _check_parameters(network, raw.get("params_m", ""))
    if not raw["gpu"].strip(" -"):
        raise InputError("no device is named")
    device = _device(raw["gpu"])
    precision = _precision(raw, device)
    setup = _setup(network, device, NetworkQuestion(precision, engine=_engine(raw["framework"], device)))
    batch = _batch(raw, setup)
    devices = _number("n_gpu", raw["n_gpu"] or "1")
    value = _number("value", raw["value"])
    seconds = batch * devices / value if rate else value * 1e-3
    return Conditions(setup, _group(raw), precision, batch, devices, rate, seconds)


@lru_cache(maxsize=4096)
def _setup(network: AnyNetwork, device: Device, question: NetworkQuestion) -> NetworkSetup:
    return prepare_network(network, device, question)


def _number(column: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise InputError(f"{column} is no number") from None
    if not found > 0:
        raise InputError(f"{column} is not above zero")
    return found


@lru_cache(maxsize=8192)
def _network(model: str, said: str, size: str) -> AnyNetwork:
    found = network_name(model, said, size)
    if found is None:
        raise InputError("model not in the library")
    name, fields = found
    try:
        return load_network(name, **fields)
    except TypeError:
        raise InputError(f"{name} takes no image of {size}") from None


def _check_parameters(network: AnyNetwork, stated: str) -> None:
    """Raise if a row states parameters that are not those of the network that has its name here."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)", stated.strip())
    if match is None:
        return
    millions = float(match[1]) * {"": 1.0, "K": 1e-3, "M": 1.0, "G": 1e3}[match[2]]
    ours = float(network.parameters) / 1e6
    if not 0.9 * millions - 0.01 <= ours <= 1.1 * millions + 0.01:
        raise InputError("another network of that name: its parameters are not ours")


@lru_cache(maxsize=256)
def _device(name: str) -> Device:
    return load_device(name)


def _precision(raw: Mapping[str, str], device: Device) -> str:
    text = raw["precision"].strip().lower()
    if text.startswith("int8"):
        return "int8"
    if text in _PRECISIONS:
        return _PRECISIONS[text]
    if not text and " closed" in raw["task"].lower():
        return "int8" if device.has_peak("int8") else "float16"
    raise InputError(f"precision '{raw['precision']}' has no counterpart")


def _engine(framework: str, device: Device) -> str:
    if device.vendor != "nvidia":
        return ""
    lower = framework.lower()
    return next((engine for word, engine in _ENGINES if word in lower), "tensorrt" if "cuda" in lower else "")


def _batch(raw: Mapping[str, str], setup: NetworkSetup) -> float:
    text = raw["batch"].strip()
    if re.fullmatch(r"\d+(\.0)?", text):
        return float(text)
    if "offline" in raw["task"].lower():
        return max(1.0, min(OFFLINE_BATCH, float(setup.largest_batch())))
    raise InputError("batch is not stated")


_SYSTEMS = (
    ("ai hub", "Qualcomm AI Hub"), ("hailo", "Hailo"), ("npu freq", "Rockchip"), ("inf2", "Neuron"),
    ("inference performance", "DeepLearningExamples"), ("inference latency", "DeepLearningExamples"),
    ("vision transformer(vit)", "FasterTransformer"),
)  # fmt: skip


def _group(raw: Mapping[str, str]) -> str:
    framework, system = raw["framework"].lower(), raw["system"]
    for word, group in _SYSTEMS:
        if word in system.lower():
            return group
    if "closed" in raw["task"].lower() or "open" in raw["task"].lower():
        return f"MLPerf {raw['task'].split()[0].lower()}"
    return framework.split()[0] if framework else "other"
