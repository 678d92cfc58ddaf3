"""The answer of an estimate in words: what was asked, how fast, how much memory, and what limits it.

An estimate is that of a language model, which makes tokens, or of a network, which makes samples (:class:`Unit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from perfmodel.reports.text import (
    MISSING,
    Report,
    Row,
    amount,
    big,
    listed,
    number,
    percent,
    plain,
    quantity,
    seconds,
    size,
)

BANDS: tuple[str, ...] = ("bound", "p10", "expected", "p90")
"""The answers of every time, from the fastest on."""

MEANING = (
    "bound: no run of this plan on this device is faster on average; "
    "expected: what a good implementation reaches; p10 to p90: the error band of the expected value."
)
"""What the words of :data:`BANDS` mean."""

_TIMES = (
    ("ttft_s", "TTFT", "time to first token"),
    ("tpot_s", "TPOT", "time per output token after the first"),
    ("e2e_s", "E2E", "a whole request"),
    ("step_s", "Step", "one step of the machine"),
    ("latency_s", "Latency", "the whole batch"),
)
HEADLINES = ("TTFT", "TPOT", "Latency")
"""The times that an answer is first asked for."""

_MEMORY_PARTS = (
    ("weights_bytes", "weights"),
    ("kv_bytes", "KV cache"),
    ("activation_bytes", "activations"),
    ("overhead_bytes", "overhead"),
)
_QUIET = {
    **dict.fromkeys(("tp", "ep", "attention_dp", "moe_tp", "pp", "cp", "dp"), 1),
    **{"phase": "serve", "mode": "agg", "routing": "uniform", "static": False, "engine": ""},
    **{"microbatches": 0, "sequence_parallel": False, "redundant_experts": 0, "cp_mode": "ring", "overlap": "none"},
    **{"draft_tokens": 0, "acceptance": None},
    **{"layers": {}, "fusion": "", "sparsity": "dense", "changes": {}},
}


class Unit(NamedTuple):
    """What is made: a token, an image, a query; and the word for it in the keys of a report."""

    one: str
    many: str
    key: str


def unit_of(report: Report) -> Unit:
    """Return what the workload of an estimate makes."""
    sample = inputs_of(report).get("sample")
    if not sample:
        return Unit("token", "tokens", "token")
    return Unit(str(sample), plural(str(sample)), "sample")


def plural(noun: str) -> str:
    """Return several of what a noun names: ``"images"``, ``"queries"``."""
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


class Time(NamedTuple):
    """One time of the answer: short name, what it is, and its answers in seconds by the names in :data:`BANDS`."""

    name: str
    meaning: str
    answers: dict[str, float | None]

    def text(self, band: str) -> str:
        """Return one of the answers with its unit."""
        return seconds(self.answers.get(band))


def article(noun: str) -> str:
    """Return the article of a noun: ``"an"`` image, ``"a"`` query."""
    return "an" if noun[:1] in tuple("aeio") else "a"  # a user is none of them


def one_is(sample: str) -> str:
    """Return what a sample is: ``"a sample is an image"``."""
    return f"a sample is {article(sample)} {sample}"


def inputs_of(report: Report) -> Row:
    """Return what was asked."""
    return report.get("inputs") or {}


def title(report: Report) -> str:
    """Return what runs on what, such as ``"llama-3.1-8b on 2 x h100-sxm"``."""
    inputs = inputs_of(report)
    devices = number(inputs.get("devices")) or 1
    count = f"{devices:.0f} x " if devices > 1 else ""
    return f"{inputs.get('model', 'a model')} on {count}{inputs.get('device', 'a device')}"


def scenario(report: Report) -> str:
    """Return the lengths, the batch and every choice that is not the default, in one line."""
    inputs = inputs_of(report)
    said = [f"batch {plain(inputs.get('batch'))}", *_sizes(report)]
    said += [str(inputs["precision"])] if inputs.get("precision") else []
    quiet = {"moe_tp"} if _follows(inputs) else set[str]()
    said += [_choice(k, inputs[k]) for k in _QUIET if k in inputs and k not in quiet and _is_loud(k, inputs[k])]
    return ", ".join(said)


def _follows(inputs: Row) -> bool:
    """Say whether the experts' split is what follows from the others, so that it tells nothing."""
    tp, groups, ep, own = (number(inputs.get(name)) for name in ("tp", "attention_dp", "ep", "moe_tp"))
    return None not in (tp, groups, ep, own) and (own or 1) * (ep or 1) == (tp or 1) * (groups or 1)


def _sizes(report: Report) -> list[str]:
    """Return how long a request is, or how big a sample."""
    inputs, unit = inputs_of(report), unit_of(report)
    if unit.key == "sample":
        shapes = inputs.get("input_shapes") or inputs.get("output_shapes") or ()
        of = f" of {listed([shape_text(shape) for shape in shapes])}" if shapes else ""
        by = f" by {len(stages_of(report))} networks" if stages_of(report) else ""
        return [f"{unit.many}{of}{by}"]
    outputs = [f"{plain(inputs.get('output_tokens'))} tokens out"] if number(inputs.get("output_tokens")) else []
    return [f"{plain(inputs.get('input_tokens'))} tokens in", *outputs]


def shape_text(shape: Sequence[object]) -> str:
    """Return a shape such as ``"3x224x224"``."""
    return "x".join(str(side) for side in shape)


def _is_loud(key: str, value: object) -> bool:
    return value is not None and value != _QUIET[key]


def _choice(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        return str(input_text(value))
    return key if value is True else f"{key} {value}"


def input_text(value: object) -> object:
    """Return an input as one cell: a mapping or a list of shapes as a text, anything else as it is."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    if isinstance(value, (list, tuple)):
        shapes = [shape_text(part) if isinstance(part, (list, tuple)) else str(part) for part in value]
        return ", ".join(shapes)
    return value


def times(report: Report) -> list[Time]:
    """Return the times that the estimate has, the first token first."""
    found = [(name, meaning, report.get(key)) for key, name, meaning in _TIMES]
    return [Time(name, meaning, {band: number(row.get(band)) for band in BANDS}) for name, meaning, row in found if row]


def rates(report: Report) -> list[tuple[str, str]]:
    """Return throughput, energy and price as pairs of a name and a text, without what is not known."""
    unit = unit_of(report)
    rows = [
        ("throughput", _rate(report.get(f"{unit.key}s_per_s"), f"{unit.many}/s")),
        ("per device", _rate(report.get(f"{unit.key}s_per_s_per_device"), f"{unit.many}/s")),
        ("requests", _rate(report.get("requests_per_s"), "requests/s")),
        ("energy", _energy(report, unit)),
        ("price", _price(report, unit)),
    ]
    return [(name, text) for name, text in rows if text != MISSING]


def _energy(report: Report, unit: Unit) -> str:
    text = _rate(report.get(f"joules_per_{unit.key}"), f"J/{unit.one}")
    energy: Row = report.get("energy") or {}
    if text == MISSING or not energy:
        return text
    return f"{text}, {quantity(energy.get('power_w_per_device'), 'watts')} a device"


def _price(report: Report, unit: Unit) -> str:
    text = _rate(report.get(f"usd_per_million_{unit.key}s"), f"USD per million {unit.many}")
    money: Row = report.get("money") or {}
    if text == MISSING or not money:
        return text
    hour = f"at {plain(money.get('usd_per_device_hour'))} USD a device hour ({money.get('price_origin')})"
    ends = [money.get(f"usd_per_million_{end}_tokens") for end in ("input", "output")]
    split = f" ({plain(ends[0])} in, {plain(ends[1])} out)" if unit.key == "token" else ""
    return f"{text}{split} {hour}"


def work(report: Report) -> list[tuple[str, str]]:
    """Return what a sample takes, as pairs of a name and a text; nothing for language models."""
    unit = unit_of(report)
    if unit.key != "sample":
        return []
    macs = number(report.get("matmul_flops_per_sample"))
    rows = [
        ("parameters", big(report.get("parameters"), "B")),
        ("products", f"{big(macs / 2)}MAC" if macs is not None else MISSING),
        ("arithmetic", quantity(report.get("flops_per_sample"), "flops")),
        ("traffic", quantity(report.get("bytes_per_sample"), "bytes")),
        ("intensity", _rate(report.get("arithmetic_intensity_flops_per_byte"), "FLOP/byte")),
    ]
    per = {name: f" {article(unit.one)} {unit.one}" for name in ("products", "arithmetic", "traffic")}
    return [(name, text + per.get(name, "")) for name, text in rows if text != MISSING]


def work_line(report: Report) -> str:
    """Return the same in one line."""
    found, unit = dict(work(report)), unit_of(report)
    each = f" {article(unit.one)} {unit.one}"
    sample = [found[name].removesuffix(each) for name in ("products", "arithmetic", "traffic") if name in found]
    said = [f"{found['parameters']} parameters"] if "parameters" in found else []
    said += [listed(sample) + each] if sample else []
    return ", ".join([*said, *([found["intensity"]] if "intensity" in found else [])])


def stages_of(report: Report) -> list[Row]:
    """Return the networks of a pipeline; none for one network alone."""
    rows: list[Row] = list(report.get("stages") or ())
    return rows if len(rows) > 1 else []


STAGE_COLUMNS = ("network", "runs", "samples a run", "parameters", "GMAC", "latency", "bound", "share")
"""The heads of :func:`stages`."""


def stages(report: Report) -> list[tuple[str, ...]]:
    """Return a row of texts for each network of a pipeline; GMAC are those of one request."""
    rows = stages_of(report)
    whole = sum(amount(row.get("latency_s")) for row in rows)
    batch = amount(inputs_of(report).get("batch")) / (number(inputs_of(report).get("dp")) or 1.0)
    return [
        (
            str(row.get("network")), plain(row.get("repeat")), plain(amount(row.get("copies")) * batch),
            big(row.get("parameters"), "B"), plain(amount(row.get("macs_per_sample")) / 1e9),
            seconds(row.get("latency_s")), seconds(row.get("bound_s")),
            percent(amount(row.get("latency_s")) / whole if whole else None),
        )
        for row in rows
    ]  # fmt: skip


def _rate(value: object, unit: str) -> str:
    return MISSING if number(value) is None else f"{plain(value)} {unit}"


def memory_of(report: Report) -> Row:
    """Return the memory of one device."""
    return report.get("memory") or {}


def memory_parts(report: Report) -> list[tuple[str, float]]:
    """Return what takes memory on one device, as pairs of a name and bytes."""
    memory = memory_of(report)
    return [(name, amount(memory.get(key))) for key, name in _MEMORY_PARTS if number(memory.get(key)) is not None]


def used_bytes(report: Report) -> float | None:
    """Return the memory that one device needs."""
    stated = number(report.get("memory_bytes_per_device"))
    parts = memory_parts(report)
    return stated if stated is not None else sum(part for _, part in parts) if parts else None


def fit(report: Report) -> str:
    """Return ``"fits"`` or ``"does not fit"``, and by how much."""
    if report.get("fits") is None:
        return MISSING
    memory = memory_of(report)
    used, capacity = used_bytes(report), number(memory.get("capacity_bytes"))
    if not report["fits"]:
        over = max((used or 0) - (capacity or 0), -amount(memory.get("free_bytes")))
        return f"does not fit: {size(over)} too much" if capacity and over > 0 else "does not fit"
    free = number(memory.get("free_bytes"))
    return f"fits: {size(free)} free of {size(capacity)}" if free is not None and free >= 0 and capacity else "fits"


def warning(report: Report) -> str:
    """Return what a reader must know before the times of a plan that does not fit, otherwise an empty text."""
    if report.get("fits") is not False:
        return ""
    text = f"This plan {fit(report)}".replace(":", " on each device,")
    text = f"{text}; the times are those of a device with more memory." if times(report) else f"{text}."
    return f"{text} {_mend(report)}"


def _mend(report: Report) -> str:
    """Return what would make a plan fit."""
    most, unit = number(memory_of(report).get("largest_batch")), unit_of(report)
    if most and most >= 1.0:
        return f"At most {plain(most)} {unit.many if unit.key == 'sample' else 'requests'} fit."
    if unit.key == "sample":
        return "Fewer bits (--precision) need less."
    return "More devices (--tp, --pp), fewer bits (--precision, --kv) or other memory (perfmodel offload) make room."


def limit(report: Report) -> str:
    """Return what bounds the estimate and how busy compute (MFU) and memory (MBU) are."""
    shares = [(name, percent(report.get(key))) for key, name in (("mfu", "MFU"), ("mbu", "MBU"))]
    said = ", ".join(f"{name} {text}" for name, text in shares if text != MISSING)
    return f"{report.get('bottleneck') or MISSING}" + (f" ({said})" if said else "")


def queue(report: Report) -> str:
    """Return how many requests run and wait, or an empty text if none waits."""
    waiting = number(report.get("waiting"))
    return f"{plain(report.get('running'))} running, {plain(waiting)} waiting" if waiting else ""


def room(report: Report) -> list[tuple[str, str]]:
    """Return the largest batch and the longest context that the memory holds, where known."""
    memory = memory_of(report)
    rows = [
        ("largest batch", plain(memory.get("largest_batch"))),
        ("longest context", _rate(memory.get("longest_context_tokens"), "tokens")),
    ]
    return [(name, text) for name, text in rows if text != MISSING]


def memory_sentence(report: Report) -> str:
    """Return one sentence: how much of the memory is taken, by what, and what still fits."""
    used, capacity = used_bytes(report), number(memory_of(report).get("capacity_bytes"))
    if used is None or not capacity:
        return "The memory of this plan is not known."
    ordered = sorted(memory_parts(report), key=lambda item: -item[1])
    mostly = listed([f"{name} ({size(part)})" for name, part in ordered if part][:2])
    most = f", mostly {mostly}" if mostly else ""
    if report.get("fits") is False:
        return f"It does not fit: one device has {size(capacity)} and would need {size(used)}{most}."
    extra = listed([f"the {name} that fits is {text}" for name, text in room(report)])
    return f"One device needs {size(used)} of its {size(capacity)} ({percent(used / capacity)}){most}" + (
        f"; {extra}." if extra else "."
    )


def datasheet(report: Report) -> list[tuple[str, str]]:
    """Return the datasheet of the device, as pairs of a name and a text with its unit."""
    device: Row = report.get("device") or {}
    peaks: Row = device.get("peak_flops_per_s") or {}
    rows = [(f"{dtype} peak", quantity(peak, "flops_per_s")) for dtype, peak in peaks.items()]
    rows += [
        ("memory bandwidth", quantity(device.get("memory_bandwidth_bytes_per_s"), "bytes_per_s")),
        ("memory", size(device.get("memory_bytes"))),
        ("link bandwidth", quantity(device.get("link_bandwidth_bytes_per_s"), "bytes_per_s")),
    ]
    return [(name, text) for name, text in rows if text != MISSING]
