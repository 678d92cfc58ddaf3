"""The page of an explorer: one file with its formulas as script, that needs nothing from anywhere else."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from perfmodel import __version__
from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.explorer.choices import Choices, Explored, Traced
from perfmodel.explorer.formulas import OperatorLabel
from perfmodel.explorer.numbers import device_numbers
from perfmodel.formats import runnable_format
from perfmodel.network_api import NetworkEstimate
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.words import PLAN_FIELDS
from perfmodel.readings.javascript import PRELUDE, Call
from perfmodel.reports.page import escape, page, safe_json
from perfmodel.reports.summary import plural
from perfmodel.serving.scenario import Pool
from perfmodel.workloads.network import NetworkPipeline
from perfmodel.workloads.spec import LanguageModel

SCHEMA = "perfmodel/explore/1"
TITLES = {
    "tp": ("tensor parallel", "tp"), "ep": ("expert parallel", "ep"), "dp": ("replicas", "dp"),
    "attention_dp": ("attention groups", "attention-dp"), "pp": ("pipeline stages", "pp"),
    "prefill_pool": ("prefill pool", "prefill"), "decode_pool": ("decode pool", "decode"),
    "draft_tokens": ("draft tokens", "draft-tokens"),
    "precision": ("precision", "precision"), "kv_precision": ("KV cache", "kv"), "engine": ("engine", "engine"),
    "image": ("image, pixels a side", "image"), "fusion": ("fusion", "fusion"), "sparsity": ("sparsity", "sparsity"),
}  # fmt: skip
"""The options that a page can offer, with their title and the option of the command."""

_WORDS = ("precision", "kv_precision", "engine", "fusion", "sparsity", "image")
_POOLS = ("prefill_pool", "decode_pool")

SPARSE = "@2:4"
_LONGEST_TOKENS = 2**20
_SCRIPTS = ("numbers.js", "charts.js", "answers.js", "{kind}.js", "controls.js", "shown.js", "explorer.js")


def explorer_html(
    explored: Explored, request: Mapping[str, int], words: Mapping[str, Sequence[str]], fixed: Sequence[str]
) -> str:
    """Return the page.

    ``request`` are the batch and lengths to begin with; ``words`` the model and the devices as the command line calls
    them (``model``, ``device``), ``fixed`` the words of the options that stay as they are.
    """
    title = f"{_workload(explored).name}: explorer"
    data = _data(explored, request, words, fixed)
    header = f'<h1>{escape(title)}</h1>\n<p class="soft" id="scenario"></p>'
    footer = escape(", ".join([f"perfmodel {__version__}", SCHEMA, f"model spec {_workload(explored).spec_hash}"]))
    assets = [_asset(name.format(kind=data["kind"])) for name in _SCRIPTS]
    scripts = "".join(f"<script>\n{text}</script>\n" for text in (_functions(explored), *assets))
    embedded = f'<script type="application/json" id="data">{safe_json(data)}</script>\n{scripts}'
    return page(title, header, _asset("explorer.html"), footer, [], style=_asset("explorer.css"), scripts=embedded)


def _workload(explored: Explored) -> LanguageModel | NetworkPipeline:
    """Return the workload of the first combination that can be."""
    first = next(iter(explored.traced.values())).estimate
    return first.network if isinstance(first, NetworkEstimate) else first.model


def _asset(name: str) -> str:
    return files("perfmodel.explorer").joinpath(name).read_text(encoding="utf-8")


def _functions(explored: Explored) -> str:
    """Return the formulas, and the tables that say which of them to call with which constants."""
    tables = (("CALLS", explored.functions.calls), ("PACES", explored.paces.calls))
    listed = "".join(f"const {name} = [\n{_calls(calls)}];\n" for name, calls in tables)
    inside = f"{PRELUDE}{explored.functions.source}{explored.paces.source}{listed}"
    return f'"use strict";\nconst [CALLS, PACES] = (() => {{\n{inside}return [CALLS, PACES];\n}})();\n'


def _calls(calls: Sequence[Call]) -> str:
    return "".join(f"[{c.function},{_compact(c.arguments)},{_compact(c.k)}],\n" for c in calls)


def _compact(values: Sequence[Any]) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def _data(
    explored: Explored, request: Mapping[str, int], words: Mapping[str, Sequence[str]], fixed: Sequence[str]
) -> dict[str, Any]:
    choices = explored.choices
    names: dict[tuple[str, ...], int] = {}
    operators: dict[tuple[OperatorLabel, ...], int] = {}
    combinations: dict[str, Any] = {}
    taken = 0
    for place, traced in explored.traced.items():
        count = len(traced.answers)
        combinations[",".join(map(str, place))] = {
            "calls": list(range(taken, taken + count)),
            "memory": taken + count,
            "names": names.setdefault(traced.names, len(names)),
            "operators": operators.setdefault(_runnable(traced), len(operators)),
            "notes": list(traced.notes),
        }
        taken += count + 1
    return {
        "schema": SCHEMA, "version": __version__, "model": _workload(explored).name,
        "word": shlex.quote(words["model"][0]), "request": dict(request), **_of_kind(explored, request),
        "devices": [_device(device, choices) for device in choices.devices],
        "axes": [_device_axis(choices, words["device"]), *(_axis(explored, name) for name in choices.axes)],
        "names": list(names),
        "operators": [[{**vars(label)} for label in labels] for labels in operators],
        "combinations": combinations,
        "refused": {",".join(map(str, place)): reason for place, reason in explored.refused.items()},
        "fixed": [shlex.quote(word) for word in fixed], "said": _said(choices),
    }  # fmt: skip


def _of_kind(explored: Explored, request: Mapping[str, int]) -> dict[str, Any]:
    """Return what only pages of language models, or only those of networks, have."""
    first = next(iter(explored.traced.values())).estimate
    if isinstance(first, NetworkEstimate):
        stages = [stage.network.name for stage in first.network.stages]
        return {"kind": "network", "sample": first.network.sample, "samples": plural(first.network.sample),
                "stages": stages}  # fmt: skip
    longest = max(first.model.maximum_tokens, 2 * (request["input_tokens"] + request["output_tokens"]), 32768)
    return {"kind": "language", "phase": first.setup.question.phase, "longest": min(longest, _LONGEST_TOKENS)}


def _said(choices: Choices) -> list[str]:
    fixed = choices.fixed
    found = [] if fixed.get("phase", "serve") == "serve" else [f"phase {fixed['phase']} alone"]
    return found + (["all started together"] if fixed.get("static") else [])


def _runnable(traced: Traced) -> tuple[OperatorLabel, ...]:
    """Return the operators, each with the dtype of the peak that it runs at."""
    return tuple(label.at_peak(_peak(label.dtype, traced.peaks)) for label in traced.operators)


def _peak(dtype: str, peaks: frozenset[str]) -> str:
    if dtype.removesuffix(SPARSE) in peaks:
        return dtype
    try:
        return runnable_format(dtype, peaks).compute
    except InputError:
        return ""


def _device(device: Device, choices: Choices) -> dict[str, Any]:
    from perfmodel.cost.price import rates_for

    rates = rates_for(device, choices.fixed.get("price_kind", "cloud_hour"))
    price = "price of a device" + (f" ({rates.origin})" if rates else "")
    numbers: list[dict[str, Any]] = [{**vars(number)} for number in device_numbers(device)]
    numbers += [
        {"argument": "usd_per_hour", "flag": "--usd-per-hour", "name": price, "dimension": "usd", "unit": "$/h",
         "value": rates.usd_per_device_hour if rates else None},
        {"argument": "usd_per_kwh", "flag": "--usd-per-kwh", "name": "electricity, if it comes on top",
         "dimension": "usd", "unit": "$/kWh", "value": 0.0},
    ]  # fmt: skip
    return {
        "name": device.name, "spec": device.spec_hash, "numbers": numbers,
        "bandwidth": device.main_bandwidth_bytes_per_s,
        "peaks": {dtype: device.peak_flops_per_s(dtype) for dtype in device.dtypes()},
    }  # fmt: skip


def _device_axis(choices: Choices, words: Sequence[str]) -> dict[str, Any]:
    pairs = zip(choices.devices, words, strict=True)
    values = [{"key": device.name, "text": device.name, "word": shlex.quote(word)} for device, word in pairs]
    return {"name": "device", "title": "device", "flag": "--on", "values": values}


def _axis(explored: Explored, name: str) -> dict[str, Any]:
    title, option = TITLES[name]
    return {"name": name, "title": title, "flag": f"--{option}",
            "values": [_choice(explored, name, value) for value in explored.choices.axes[name]]}  # fmt: skip


def _choice(explored: Explored, name: str, value: Any) -> dict[str, str]:
    """Return a value as the address, the list, the command line and the title write it."""
    if name in _POOLS:
        word = pool_words(value)
        return {"key": word, "text": word, "word": word, "said": f"{TITLES[name][1]} {word}"}
    if name in _WORDS:
        word = "" if value is None else str(value)
        said = f"{word} pixels" if word and name == "image" else word
        return {"key": word, "text": word or _usual(explored, name), "word": shlex.quote(word) if word else "",
                "said": said}  # fmt: skip
    default = 0 if name == "draft_tokens" else 1
    said = f"{TITLES[name][1].replace('-', ' ')} {value}" if value != default else ""
    return {"key": str(value), "text": str(value), "word": str(value) if value != default else "", "said": said}


def _usual(explored: Explored, name: str) -> str:
    """Return what an option is that nobody has stated."""
    workload = _workload(explored)
    if isinstance(workload, LanguageModel):
        usual = {"precision": f"as stored ({workload.quantisation.linear})", "engine": "bare kernels"}
        return usual.get(name, "as stored")
    usual = {"precision": "16 bits, or the widest", "engine": "bare kernels", "fusion": "as the engine fuses",
             "sparsity": "dense"}  # fmt: skip
    return usual.get(name, "as published")


def pool_words(pool: Pool) -> str:
    """Return a pool as the command line writes it: ``workers=2,tp=4``."""
    usual = Plan()
    stated = {name: getattr(pool.plan, name) for name in PLAN_FIELDS}
    other = [f"{name}={value}" for name, value in stated.items() if value != getattr(usual, name) and name != "dp"]
    return ",".join([f"workers={pool.workers}", *other])
