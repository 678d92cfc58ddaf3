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
from perfmodel.readings.javascript import PRELUDE, Call
from perfmodel.report import fixed_notes
from perfmodel.reports.page import escape, page, safe_json

SCHEMA = "perfmodel/explore/1"
TITLES = {
    "tp": ("tensor parallel", "tp"), "ep": ("expert parallel", "ep"), "dp": ("replicas", "dp"),
    "attention_dp": ("attention groups", "attention-dp"), "pp": ("pipeline stages", "pp"),
    "precision": ("precision", "precision"), "kv_precision": ("KV cache", "kv"), "engine": ("engine", "engine"),
}  # fmt: skip
"""The options that a page can offer, with their title and the option of the command."""

_LONGEST_TOKENS = 2**20
_SCRIPTS = ("numbers.js", "charts.js", "answers.js", "controls.js", "shown.js", "explorer.js")


def explorer_html(
    explored: Explored, request: Mapping[str, int], words: Mapping[str, Sequence[str]], fixed: Sequence[str]
) -> str:
    """Return the page.

    ``request`` are the batch and lengths to begin with; ``words`` the model and the devices as the command line calls
    them (``model``, ``device``), ``fixed`` the words of the options that stay as they are.
    """
    model = explored.choices.model.name
    title = f"{model}: explorer"
    data = _data(explored, request, words, fixed)
    header = f'<h1>{escape(title)}</h1>\n<p class="soft" id="scenario"></p>'
    footer = escape(", ".join([f"perfmodel {__version__}", SCHEMA, f"model spec {explored.choices.model.spec_hash}"]))
    scripts = "".join(f"<script>\n{text}</script>\n" for text in (_functions(explored), *map(_asset, _SCRIPTS)))
    embedded = f'<script type="application/json" id="data">{safe_json(data)}</script>\n{scripts}'
    return page(title, header, _asset("explorer.html"), footer, [], style=_asset("explorer.css"), scripts=embedded)


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
            "notes": fixed_notes(traced.estimate),
        }
        taken += count + 1
    first = next(iter(explored.traced.values())).estimate
    return {
        "schema": SCHEMA, "version": __version__, "model": choices.model.name, "word": shlex.quote(words["model"][0]),
        "phase": first.setup.question.phase, "request": dict(request), "longest": _longest(choices, request),
        "devices": [_device(device, choices) for device in choices.devices],
        "axes": [_device_axis(choices, words["device"]), *(_axis(choices, name) for name in choices.axes)],
        "names": list(names),
        "operators": [[{**vars(label)} for label in labels] for labels in operators],
        "combinations": combinations,
        "refused": {",".join(map(str, place)): reason for place, reason in explored.refused.items()},
        "fixed": [shlex.quote(word) for word in fixed], "said": _said(choices),
    }  # fmt: skip


def _longest(choices: Choices, request: Mapping[str, int]) -> int:
    longest = max(choices.model.maximum_tokens, 2 * (request["input_tokens"] + request["output_tokens"]), 32768)
    return min(longest, _LONGEST_TOKENS)


def _said(choices: Choices) -> list[str]:
    fixed = choices.fixed
    found = [] if fixed.get("phase", "serve") == "serve" else [f"phase {fixed['phase']} alone"]
    return found + (["all started together"] if fixed.get("static") else [])


def _runnable(traced: Traced) -> tuple[OperatorLabel, ...]:
    """Return the operators, each with the dtype of the peak that it runs at."""
    peaks = frozenset(traced.estimate.setup.decode.machine.chip.peaks)
    return tuple(label.at_peak(_peak(label.dtype, peaks)) for label in traced.operators)


def _peak(dtype: str, peaks: frozenset[str]) -> str:
    if dtype in peaks:
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


def _axis(choices: Choices, name: str) -> dict[str, Any]:
    title, option = TITLES[name]
    return {"name": name, "title": title, "flag": f"--{option}",
            "values": [_choice(choices, name, value) for value in choices.axes[name]]}  # fmt: skip


def _choice(choices: Choices, name: str, value: Any) -> dict[str, str]:
    """Return a value as the address, the list, the command line and the title write it."""
    if name in ("precision", "kv_precision", "engine"):
        usual = {"precision": f"as stored ({choices.model.quantisation.linear})", "engine": "bare kernels"}
        text = str(value or usual.get(name, "as stored"))
        return {"key": value or "", "text": text, "word": shlex.quote(value) if value else "", "said": value or ""}
    said = f"{TITLES[name][1]} {value}" if value != 1 else ""
    return {"key": str(value), "text": str(value), "word": str(value) if value != 1 else "", "said": said}
