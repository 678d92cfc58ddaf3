"""``perfmodel run``: rows of deployments, and their predicted latency, throughput and memory.

A row's model is a language model, or a network (:mod:`perfmodel.tables.networks`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.arguments import positive, truth
from perfmodel.devices import Device, load_device
from perfmodel.errors import PerfmodelError
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.words import PLAN_FIELDS, plan_from
from perfmodel.serving.closed_loop import bottlenecks
from perfmodel.serving.scenario import Answer, Pool, Question, Setup, prepare
from perfmodel.serving.timed import Time
from perfmodel.tables import networks
from perfmodel.tables.stream import Job, Progress, Row, Summary, number, process, word
from perfmodel.workloads.kinds import NETWORK, kind_of
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel

_METRICS = ("ttft", "tpot", "e2e")
OUTPUTS = (
    *(f"{m}_ms" for m in _METRICS),
    *(f"{m}_{q}_ms" for m in _METRICS for q in ("bound", "p10", "p90")),
    "tokens_per_s", "tokens_per_s_per_device", "requests_per_s", "joules_per_token", "usd_per_million_tokens",
    *networks.OUTPUTS,
    "memory_gb_per_device", "fits", "bottleneck", "error",
)  # fmt: skip


@dataclass(frozen=True)
class _Key:
    model: str
    device: str
    question: Question


def run_scenarios(source: str, target: str, *, static: bool = False, progress: Progress | None = None) -> Summary:
    """Read scenarios (a CSV path or ``-``), write the answers beside them, and say how many were answered.

    Columns in and out are those of the command's contract; unknown columns are carried through. ``static`` starts all
    requests of every row together.
    """
    networks.forget()
    for cache in (_setup_or_reason, _model, _device, _is_network):
        cache.cache_clear()  # files may have changed since the last run
    return process(source, target, OUTPUTS, lambda row: _prepare(row, static), _evaluate, progress)


def _prepare(row: Row, static: bool) -> Job:
    if _is_network(_model_name(word(row, "model", None))):
        found, batch = networks.network_row(row)
        networks.network_setup(found, _device(found.device))
        return Job(found, batch)
    model, device, question, numbers = scenario_of(row, static=static)
    key = _Key(model, device, question)
    _setup(key)  # a model, device or plan that cannot be is this row's error
    return Job(key, numbers)


def scenario_of(row: Row, *, static: bool = False) -> tuple[str, str, Question, tuple[float, float, float]]:
    """Return (model, device, question, (batch, input, output)) of a row of the contract's columns."""
    mode = word(row, "mode", "agg")
    question = Question(
        plan=_plan(row) if mode != "disagg" else Plan(),
        precision=word(row, "precision") or None,
        moe_precision=word(row, "moe_precision") or None,
        kv_precision=word(row, "kv_precision") or None,
        phase=word(row, "phase", "serve"),
        static=static or truth("column static", word(row, "static", "false")),
        engine=word(row, "engine").lower(),
        mode=mode,
        routing=word(row, "routing", "uniform"),
        prefill_pool=_pool(row, "prefill") if mode == "disagg" else None,
        decode_pool=_pool(row, "decode") if mode == "disagg" else None,
        power_limit_w=_real(row, "power_limit_w"),
        price_kind=word(row, "price_kind", "cloud_hour"),
        usd_per_device_hour=_real(row, "usd_per_device_hour"),
        usd_per_kwh=_real(row, "usd_per_kwh"),
    )
    outputs = number(row, "output_tokens", 1.0 if question.phase == "prefill" else None)
    numbers = number(row, "batch", 1), number(row, "input_tokens", None), outputs
    return word(row, "model", None), word(row, "device", None), question, numbers


def _real(row: Row, name: str) -> float | None:
    text = word(row, name)
    return positive(f"column {name}", text) if text else None


def _plan(row: Row, prefix: str = "") -> Plan:
    fields = (name for name in PLAN_FIELDS if not (prefix and name == "dp"))
    return plan_from({name: word(row, prefix + name) for name in fields}, lambda name: f"column {prefix}{name}")


def _pool(row: Row, name: str) -> Pool:
    return Pool(int(number(row, f"{name}_workers", 1)), _plan(row, f"{name}_"))


@lru_cache(maxsize=4096)
def _setup_or_reason(key: _Key) -> Setup | PerfmodelError:
    try:
        return prepare(_model(key.model), _device(key.device), key.question)
    except PerfmodelError as error:
        return error


@lru_cache(maxsize=1024)
def _is_network(name: str) -> bool:
    return kind_of(name) == NETWORK


@lru_cache(maxsize=1024)
def _model(name: str) -> LanguageModel:
    """Return a model; one name in 100,000 rows is looked up once, and read anew by the next run."""
    return load_model(_model_name(name))


@lru_cache(maxsize=1024)
def _device(name: str) -> Device:
    return load_device(name)


def _model_name(text: str) -> str:
    return str(Path(text)) if "/" in text and Path(text).exists() else text


def _setup(key: _Key) -> Setup:
    found = _setup_or_reason(key)
    if isinstance(found, PerfmodelError):
        raise found
    return found


def _evaluate(key: Hashable, numbers: Any) -> Mapping[str, Any]:
    if isinstance(key, networks.NetworkKey):
        return networks.network_columns(networks.network_setup(key, _device(key.device)), numbers)
    assert isinstance(key, _Key)
    setup = _setup(key)
    count = numbers.shape[1]
    # one row is cheaper with plain floats: arrays of one element pay for every call
    answer = setup.answer(*(numbers[:, 0].tolist() if count == 1 else numbers))
    step = answer.phases.decode or answer.phases.prefill
    assert step is not None
    factor = numbers[1] if key.question.phase == "prefill" else 1.0
    columns: dict[str, Any] = {
        "tokens_per_s": answer.tokens_per_s * factor,
        "tokens_per_s_per_device": answer.tokens_per_s * factor / setup.devices,
        "requests_per_s": answer.requests_per_s,
        **{
            name: answer.extras[name]
            for name in ("joules_per_token", "usd_per_million_tokens")
            if name in answer.extras
        },
        "memory_gb_per_device": answer.memory.used_bytes / 1e9,
        "fits": answer.fits,
        "bottleneck": bottlenecks(step, count),
        "error": "",
    }
    return columns | _times(answer)


def _times(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _METRICS:
        time: Time | None = getattr(answer.phases, name)
        if time is not None:
            found[f"{name}_ms"] = time.expected * 1e3
            found |= {f"{name}_{q}_ms": getattr(time, q) * 1e3 for q in ("bound", "p10", "p90")}
    return found
