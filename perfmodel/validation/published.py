"""Published inference results against the model: what was run, what we predict for it, and how far off that is.

The file is a table of one metric a row with its conditions (``../shared/reference/published_inference.csv.gz``). A row
whose model, device or conditions cannot be told is counted with its reason and not guessed. Nothing is fitted on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.phases import Phases
from perfmodel.serving.scenario import Question, Setup, prepare
from perfmodel.serving.timed import Time
from perfmodel.validation.names import device_name, engine_name, kv_of, model_name, precision_of
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel

SHORT_PROMPT_TOKENS = 64.0
"""Assumed length of a prompt that a source calls short."""


@dataclass(frozen=True)
class Published:
    """One published figure beside ours; ``bound`` is the best that the physics allows (time: least, rate: most)."""

    id: str
    kind: str
    engine: str
    device: str
    model: str
    precision: str
    devices: int
    batch: float
    metric: str
    published: float
    predicted: float
    low: float
    high: float
    bound: float
    is_rate: bool

    @property
    def ratio(self) -> float:
        """Return the predicted time over the published one (of a rate, the inverse): above 1 is too slow."""
        return self.published / self.predicted if self.is_rate else self.predicted / self.published

    @property
    def in_band(self) -> bool:
        """Say whether the published figure lies between p10 and p90."""
        return self.low <= self.published <= self.high

    @property
    def beats_bound(self) -> bool:
        """Say whether the published figure is better than the bound, by more than a percent."""
        better = self.published / self.bound if self.is_rate else self.bound / self.published
        return better > 1.01


def read_published(path: Path) -> tuple[list[Published], dict[str, int]]:
    """Return the rows that can be answered, and how many could not be, by reason.

    Errors: :class:`InputError` if the file cannot be read or lacks a column.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, low_memory=False, dtype=str).fillna("")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    needed = {"gpu", "model", "precision", "engine", "load_kind", "batch_or_concurrency", "input_len", "output_len",
              "metric", "value"}  # fmt: skip
    if missing := needed - set(frame.columns):
        raise InputError(f"{path} has no column {', '.join(sorted(missing))}: is it a table of published results?")
    found: list[Published] = []
    reasons: dict[str, int] = {}
    for raw in frame.to_dict("records"):
        try:
            found.append(_row({str(k): str(v) for k, v in raw.items()}))
        except PerfmodelError as error:
            reason = re.sub(r"; nearest:.*|\(.*|'.*", "", str(error)).strip() if "no model" not in str(error) else str(
                error).split(";")[0]  # fmt: skip
            reasons[reason] = reasons.get(reason, 0) + 1
    return found, reasons


def load_group(kind: str) -> str:
    """Return how a run was loaded: ``static``, ``offline`` (as much as memory holds), ``closed`` or "" (unknown)."""
    text = kind.lower()
    if text.startswith("static (closed loop"):
        return "closed"
    if text.startswith(("static", "batch1", "llama-bench")):
        return "static"
    if text.startswith("offline_max"):
        return "offline"
    return "closed" if text.startswith("closed loop max_num_seqs") else ""


def _row(raw: Mapping[str, str]) -> Published:
    group = load_group(raw["load_kind"])
    if not group:
        raise InputError("load is not of known batch or concurrency")
    if "SUSPECT" in raw.get("notes", ""):
        raise InputError("flagged as suspect in its source table")
    metric = _METRICS.get(raw["metric"])
    if metric is None:
        raise InputError(f"metric {raw['metric']} is not predicted")
    # what the run is, before what it is on: a missing model counts as such whatever the device
    model, device = _model(model_name(raw["model"], raw["engine"])), _device(device_name(raw["gpu"]))
    question = Question(
        plan=_plan(raw), kv_precision=kv_of(raw), engine=engine_name(raw["engine"], raw.get("engine_version", "")),
        static=group == "static",
    )  # fmt: skip
    linear, experts = _precisions(raw, model)
    question = replace(question, precision=linear, moe_precision=experts)
    setup = prepare(model, device, question)
    inputs, outputs = _lengths(raw, metric.needs)
    batch = _batch(raw, group, setup, inputs, outputs)
    answer = setup.answer(batch, inputs, outputs)
    if group == "static" and not answer.fits:
        raise InputError("does not fit by our memory model")
    value = float(raw["value"])
    devices = setup.devices
    predicted, low, high, bound = metric.read(answer.phases, batch, inputs, outputs, devices)
    return Published(
        raw.get("id", ""), group, raw["engine"], device.name, model.name, raw["precision"], devices, batch,
        raw["metric"], value, predicted, low, high, bound, metric.is_rate,
    )  # fmt: skip


def _plan(raw: Mapping[str, str]) -> Plan:
    tp, pp = _whole(raw, "tp"), _whole(raw, "pp")
    if "neuron" in raw["engine"].lower():
        tp = _whole(raw, "n_gpu")  # NeuronX counts cores; a device here is a chip of two
    if pp > 1 and raw["metric"].startswith("prefill"):
        raise InputError("a prompt that goes down a pipeline in chunks is not modelled")
    return Plan(tp=tp, pp=pp)


def _precisions(raw: Mapping[str, str], model: LanguageModel) -> tuple[str | None, str | None]:
    """Return the precision of linear layers and of experts.

    GGUF files of gpt-oss keep the experts as they are and everything else in 8 bit (ggml-org's conversion).
    """
    if "llama.cpp" in raw["engine"] and model.family == "gpt_oss":
        if (_number(raw["batch_or_concurrency"]) or 1) > 1 and raw["metric"].startswith("decode"):
            raise InputError("batched-bench decodes random tokens: how they spread over experts is not known")
        return "int8_wo", model.quantisation.experts
    return precision_of(raw["precision"]), None


def _whole(raw: Mapping[str, str], name: str) -> int:
    text = raw.get(name, "")
    return int(float(text)) if text else 1


def _number(text: str) -> float | None:
    match = re.fullmatch(r"\s*~?(\d+(?:\.\d+)?)\s*", text)
    return float(match[1]) if match else None


def _lengths(raw: Mapping[str, str], needs: str) -> tuple[float, float]:
    """Return (input, output) tokens; what the metric does not need may be missing."""
    inputs, outputs = _number(raw["input_len"]), _number(raw["output_len"])
    if inputs is None and raw["input_len"].lower().startswith("short"):
        inputs = SHORT_PROMPT_TOKENS
    if depth := re.search(r"depth (\d+)", raw["load_kind"]):
        if "o" not in needs and int(depth[1]) > 0:
            raise InputError("prefill on a cache that is filled already is not a phase of a request")
        inputs = float(depth[1]) + 1.0 if "o" in needs else inputs
    if inputs is None and needs == "o" and outputs is not None:
        inputs = SHORT_PROMPT_TOKENS
    if inputs is None or ("i" in needs and inputs <= 0):
        raise InputError("input length is not stated")
    if outputs is None:
        if "o" in needs:
            raise InputError("output length is not stated")
        outputs = 1.0
    return max(inputs, 1.0), max(outputs, 1.0)


def _batch(raw: Mapping[str, str], group: str, setup: Setup, inputs: float, outputs: float) -> float:
    if group == "offline":
        most = float(setup.most_running(inputs, outputs, together=False)) * setup.replicas
        if most < 1.0:
            raise InputError("does not fit by our memory model")
        return min(most, 4096.0)
    batch = _number(raw["batch_or_concurrency"])
    if batch is None or batch < 1:
        raise InputError("batch is not stated")
    return batch


@dataclass(frozen=True)
class _Metric:
    """How to read a metric off a time: ``part`` of the phases in seconds, and the count that a rate divides by it."""

    part: str
    needs: str
    is_rate: bool
    scale: float = 1.0
    per_device: bool = False

    def read(
        self, phases: Phases, batch: float, inputs: float, outputs: float, devices: int
    ) -> tuple[float, float, float, float]:
        """Return (expected, low, high, bound) of the metric in its own unit."""
        time = self._time(phases, outputs)
        if not self.is_rate:
            scaled = [self.scale * float(t) for t in (time.expected, time.p10, time.p90, time.bound)]
            return scaled[0], scaled[1], scaled[2], scaled[3]
        work = {"e2e": batch * outputs, "tpot": batch, "ttft": batch * inputs}[self.part]
        work /= devices if self.per_device else 1
        rates = [work / float(t) for t in (time.expected, time.p90, time.p10, time.bound)]
        return rates[0], rates[1], rates[2], rates[3]

    def _time(self, phases: Phases, outputs: float) -> Time:
        found: Time | None = getattr(phases, "tpot" if self.part == "decode" else self.part)
        assert found is not None
        if self.part == "decode":
            steps = max(outputs, 1.0)
            return Time(*(float(t) * steps for t in (found.bound, found.expected, found.p10, found.p90)))
        return found


_MS = 1e3
_METRICS: dict[str, _Metric] = {
    "tok_s_out_total": _Metric("e2e", "io", True),
    "tok_s_out_per_gpu": _Metric("e2e", "io", True, per_device=True),
    "decode_tok_s": _Metric("tpot", "o", True),
    "prefill_tok_s": _Metric("ttft", "i", True),
    "ttft_ms": _Metric("ttft", "i", False, _MS),
    "ttft_mean_ms": _Metric("ttft", "io", False, _MS),
    "ttft_p50_ms": _Metric("ttft", "i", False, _MS),
    "tpot_ms": _Metric("tpot", "o", False, _MS),
    "tpot_mean_ms": _Metric("tpot", "o", False, _MS),
    "tpot_p50_ms": _Metric("tpot", "o", False, _MS),
    "itl_p50_ms": _Metric("tpot", "o", False, _MS),
    "latency_total_ms": _Metric("e2e", "io", False, _MS),
    "decode_total_s": _Metric("decode", "o", False, 1.0),
}


@lru_cache(maxsize=256)
def _model(name: str) -> LanguageModel:
    return load_model(name)


@lru_cache(maxsize=256)
def _device(name: str) -> Device:
    return load_device(name)


def as_row(one: Published) -> dict[str, Any]:
    """Return a figure as a flat row of a table."""
    found = {name: getattr(one, name) for name in one.__dataclass_fields__ if name != "is_rate"}
    over = one.bound / one.published if one.is_rate else one.published / one.bound
    return found | {"ratio": one.ratio, "over_bound": over, "in_band": one.in_band, "beats_bound": one.beats_bound}
