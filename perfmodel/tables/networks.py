"""The rows of ``perfmodel run`` whose model is a network: their questions, and their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from perfmodel.arguments import positive
from perfmodel.devices import Device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.serving.network import NetworkQuestion, NetworkSetup, prepare_network
from perfmodel.serving.network_options import check_layers
from perfmodel.serving.network_rows import bottlenecks
from perfmodel.tables.stream import Row, number, word
from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.networks.what_if import field_values, find_network, image_fields

OUTPUTS = (
    "latency_ms", *(f"latency_{q}_ms" for q in ("bound", "p10", "p90")), "samples_per_s", "samples_per_s_per_device",
    "joules_per_sample", "usd_per_million_samples",
)  # fmt: skip
"""The columns that only networks fill."""

_SPLITS = ("tp", "ep", "moe_tp", "attention_dp", "pp", "cp")


@dataclass(frozen=True)
class NetworkKey:
    """What the rows of one formula share: everything but the batch."""

    model: str
    image: int
    device: str
    question: NetworkQuestion


def network_row(row: Row) -> tuple[NetworkKey, tuple[float]]:
    """Return the key and the batch of a row. Errors: :class:`InputError` that names the column."""
    for column in _SPLITS:
        if number(row, column, 1) != 1:
            raise InputError(f"column {column}: a network is not split; dp replicas share the batch")
    question = NetworkQuestion(
        precision=word(row, "precision"),
        layers=_layers(word(row, "layers")),
        fusion=word(row, "fusion"),
        sparsity=word(row, "sparsity", "dense") or "dense",
        engine=word(row, "engine").lower(),
        dp=int(number(row, "dp", 1)),
        power_limit_w=_real(row, "power_limit_w"),
        price_kind=word(row, "price_kind", "cloud_hour") or "cloud_hour",
        usd_per_device_hour=_real(row, "usd_per_device_hour"),
        usd_per_kwh=_real(row, "usd_per_kwh"),
    )
    image = int(number(row, "image", 0, 0))
    key = NetworkKey(str(word(row, "model", None)), image, str(word(row, "device", None)), question)
    return key, (number(row, "batch", 1),)


def _real(row: Row, name: str) -> float | None:
    text = word(row, name)
    return positive(f"column {name}", text) if text else None


def _layers(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of ``fc=float16;layer1.*=int8``."""
    found: list[tuple[str, str]] = []
    for part in filter(None, (piece.strip() for piece in text.replace(",", ";").split(";"))):
        pattern, equals, precision = (piece.strip() for piece in part.rpartition("="))
        if not equals or not pattern or not precision:
            raise InputError(f"column layers: '{part}' is not PATTERN=PRECISION")
        found.append((pattern, precision))
    return tuple(found)


def network_setup(key: NetworkKey, device: Device) -> NetworkSetup:
    """Return the setup that a row asks for. Errors: its own, with the reason."""
    found = _setup_or_reason(key, device)
    if isinstance(found, PerfmodelError):
        raise found
    return found


@lru_cache(maxsize=1024)
def _setup_or_reason(key: NetworkKey, device: Device) -> NetworkSetup | PerfmodelError:
    try:
        network = _network(key.model, key.image)
        check_layers(network, key.question.layers)
        return prepare_network(network, device, key.question)
    except PerfmodelError as error:
        return error


@lru_cache(maxsize=256)
def _network(model: str, image: int) -> AnyNetwork:
    if not image:
        return find_network(model)
    fields = image_fields(model, image)
    return find_network(model, field_values({name.removeprefix("model."): text for name, text in fields.items()}))


def forget() -> None:
    """Forget what was read: files may have changed since the last run."""
    for cache in (_setup_or_reason, _network):
        cache.cache_clear()


def network_columns(setup: NetworkSetup, numbers: Any) -> Mapping[str, Any]:
    """Return the columns of rows of one setup; ``numbers`` is an array of shape (1, rows)."""
    count = numbers.shape[1]
    # one row is cheaper with a plain float: arrays of one element pay for every call
    answer = setup.answer(float(numbers[0, 0]) if count == 1 else numbers[0])
    time = answer.latency
    return {
        "latency_ms": time.expected * 1e3,
        **{f"latency_{q}_ms": getattr(time, q) * 1e3 for q in ("bound", "p10", "p90")},
        "samples_per_s": answer.samples_per_s,
        "samples_per_s_per_device": answer.samples_per_s / setup.question.dp,
        "joules_per_sample": answer.joules_per_sample,
        "usd_per_million_samples": answer.usd_per_million_samples,
        "memory_gb_per_device": answer.memory.used_bytes / 1e9,
        "fits": answer.fits,
        "bottleneck": bottlenecks(answer, setup.machine, count),
        "error": "",
    }
