"""A comparison as one HTML page: times with bands, the operators of each case, and a waterfall from the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.page import escape, page, section, table
from perfmodel.reports.summary import one_is
from perfmodel.reports.text import MISSING, Report, plain, seconds, size
from perfmodel.reports.views.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    axis,
    base_layout,
    escaped,
    names_axis,
    part_colour,
    time_scale,
)
from perfmodel.reports.views.view import Key, Plot, Table, View

_MOST_TERMS = 9
_SHOWN = (
    ("ttft_s", "TTFT", seconds),
    ("tpot_s", "TPOT", seconds),
    ("e2e_s", "E2E", seconds),
    ("latency_s", "Latency", seconds),
    ("samples_per_s", "samples/s", plain),
    ("samples_per_s_per_device", "samples/s a device", plain),
    ("joules_per_sample", "J/sample", plain),
    ("usd_per_million_samples", "USD per million samples", plain),
    ("tokens_per_s", "tokens/s", plain),
    ("tokens_per_s_per_device", "tokens/s a device", plain),
    ("memory_bytes_per_device", "memory a device", size),
    ("joules_per_token", "J/token", plain),
    ("usd_per_million_tokens", "USD per million tokens", plain),
)
_HEADLINES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "latency_s": "Latency"}
_KINDS = (
    "attention", "ffn", "head", "embedding", "pipeline", "communication", "convolution", "depthwise", "dense", "lookup",
    "pooling", "element-wise",
)  # fmt: skip
"""Parts of language models and kinds of networks' layers, in the order in which bars stack them."""


def comparison_html(report: Report) -> str:
    """Return the page of a comparison (schema ``perfmodel/compare/1``)."""
    answered = [case for case in report["cases"] if not case["error"]]
    views = [_times_view(answered), _operators_view(report, answered), *_waterfalls(report, answered)]
    plots = [plot for view in views for plot in view.plots]
    heading = f"{len(report['cases'])} cases against {report['baseline']}"
    header = f"<h1>{escape(heading)}</h1>\n"
    header += _said(report)
    body = _summary(report) + "".join(map(section, views))
    return page(heading, header, body, escape(f"perfmodel {report['version']}, {report['schema']}"), plots)


def _said(report: Report) -> str:
    said = [f"{name}: {'; '.join(filter(None, texts))}." for name, texts in report["explanations"].items()]
    samples = {str(case["inputs"]["sample"]) for case in report["cases"] if "sample" in case["inputs"]}
    words = [f"{one_is(name).capitalize()}." for name in sorted(samples)]
    if not said:
        return '<p class="soft">No case but the baseline could be answered.</p>'
    return f'<ul class="said">{"".join(f"<li>{escape(text)}</li>" for text in (*said, *words))}</ul>'


def _summary(report: Report) -> str:
    rows: list[tuple[str, ...]] = []
    for key, name, text in _SHOWN:
        cells = [_cell(case, key, text) for case in report["cases"]]
        if any(cell != MISSING for cell in cells):
            rows.append((name, *cells))
    rows.append(("fits", *(_yes(case) for case in report["cases"])))
    rows.append(("limited by", *(case.get("bottleneck") or MISSING for case in report["cases"])))
    heads = ("", *(case["case"] for case in report["cases"]))
    found = table(Table(heads, rows), "The cases", "The cases, with their ratio to the baseline")
    failed = [f"<li>{escape(c['case'])}: {escape(c['error'])}</li>" for c in report["cases"] if c["error"]]
    return found + (f"<h3>Cases that cannot be</h3><ul>{''.join(failed)}</ul>" if failed else "")


def _yes(case: Mapping[str, Any]) -> str:
    return MISSING if case["error"] else "yes" if case["fits"] else "no"


def _cell(case: Mapping[str, Any], key: str, text: Any) -> str:
    value, ratio = case.get(key), case.get(f"{key}_ratio")
    if value is None:
        return MISSING
    return text(value) + (f" (x{ratio:.2f})" if ratio is not None and abs(ratio - 1) > 5e-4 else "")


def _times_view(cases: Sequence[Mapping[str, Any]]) -> View:
    """Return TTFT and TPOT, or the latency, of every case as bars with their bands and bounds."""
    plots = [_times_plot(cases, key, name) for key, name in _HEADLINES.items()]
    found = [plot for plot in plots if plot]
    key = "latency_s" if any(case.get("latency_s") for case in cases) else "tpot_s"
    best = min((c for c in cases if c.get(key)), key=lambda c: c[key], default=None)
    name = "latency" if key == "latency_s" else "TPOT"
    finding = f"{best['case']} has the shortest {name}, {seconds(best[key])}." if best else f"No case has a {name}."
    caption = "Bars are expected times, whiskers go from p10 to p90, a white diamond is the bound."
    return View("times", "Times", finding, found, Table((), []), caption if found else "")


def _times_plot(cases: Sequence[Mapping[str, Any]], key: str, name: str) -> Plot | None:
    shown = [(case["case"], case["bands"][key]) for case in cases if case["bands"].get(key)]
    if not shown:
        return None
    unit_s, unit = time_scale(max(band["expected"] for _, band in shown))
    above = [(band["p90"] - band["expected"]) / unit_s for _, band in shown]
    below = [(band["expected"] - band["p10"]) / unit_s for _, band in shown]
    y = list(range(len(shown)))
    bars = {
        "type": "bar", "orientation": "h", "y": y, "x": [b["expected"] / unit_s for _, b in shown], "width": 0.6,
        "marker": {"color": BLUE},
        "error_x": {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": "#333333",
                    "thickness": 1.3, "width": 4},
        "hovertemplate": "%{x:.4g} " + unit + "<extra></extra>",
    }  # fmt: skip
    bound = {
        "type": "scatter", "mode": "markers", "y": y, "x": [b["bound"] / unit_s for _, b in shown], "hoverinfo": "skip",
        "marker": {"symbol": "diamond", "size": 8, "color": "#ffffff", "line": {"color": "#000000", "width": 1.2}},
    }  # fmt: skip
    layout = base_layout(
        xaxis=axis(f"{name}, {unit}", rangemode="tozero", fixedrange=True),
        yaxis=names_axis([escaped(n) for n, _ in shown]),
        margin={"l": 8, "r": 16, "t": 8, "b": 44},
    )  # fmt: skip
    legend = (Key("bar", BLUE, "expected"), Key("diamond", "#ffffff", "bound"))
    label = f"{name} of {len(shown)} cases"
    return Plot(f"plot-{name.lower()}", name, label, 70 + 36 * len(shown), [bars, bound], layout, legend)


def _operators_view(report: Report, cases: Sequence[Mapping[str, Any]]) -> View:
    """Return the steps of every case as stacked bars, a part of the model each."""
    phases = ("prefill", "decode") if any("tpot_s" in case["bands"] for case in cases) else ("batch",)
    plots = [p for phase in phases if (p := _stacked(report, cases, phase))]
    finding = "Each step is the sum of its operators; the parts of the model have a colour each."
    if phases == ("batch",):
        finding = "Each batch is the sum of its kernels; the kinds of layers have a colour each."
    return View("parts", "Where the time goes", finding if plots else "No case has a step.", plots, Table((), []))


def _stacked(report: Report, cases: Sequence[Mapping[str, Any]], phase: str) -> Plot | None:
    rows = {c["case"]: [r for r in report["operators"][c["case"]] if phase in ("batch", r["phase"])] for c in cases}
    rows = {name: found for name, found in rows.items() if found}
    if not rows:
        return None
    totals: dict[str, dict[str, float]] = {name: dict.fromkeys(_KINDS, 0.0) for name in rows}
    for name, found in rows.items():
        for row in found:
            key = "communication" if row["link_bytes"] else row["part"]
            totals[name][key] = totals[name].get(key, 0.0) + row["expected_s"]
    unit_s, unit = time_scale(max(sum(parts.values()) for parts in totals.values()))
    used = [kind for kind in _KINDS if any(parts.get(kind) for parts in totals.values())]
    data = [
        {"type": "bar", "orientation": "h", "y": list(range(len(totals))), "width": 0.6, "name": kind,
         "x": [parts[kind] / unit_s for parts in totals.values()], "marker": {"color": _colour(kind)},
         "hovertemplate": f"{kind} %{{x:.4g}} {unit}<extra></extra>"}
        for kind in used
    ]  # fmt: skip
    layout = base_layout(
        xaxis=axis(f"{_step(phase)}, {unit}", rangemode="tozero", fixedrange=True),
        yaxis=names_axis([escaped(name) for name in totals]),
        barmode="stack", margin={"l": 8, "r": 16, "t": 8, "b": 44},
    )  # fmt: skip
    legend = tuple(Key("bar", _colour(kind), kind) for kind in used)
    label = f"{_step(phase)} of {len(totals)} cases by part of the model"
    return Plot(f"plot-parts-{phase}", phase, label, 70 + 36 * len(totals), data, layout, legend)


def _step(phase: str) -> str:
    return "kernels of a batch" if phase == "batch" else f"{phase} step"


def _colour(kind: str) -> str:
    return {"communication": SKY, "pipeline": GREY}.get(kind, part_colour(kind))


def _waterfalls(report: Report, cases: Sequence[Mapping[str, Any]]) -> list[View]:
    """Return for each case how its TPOT (TTFT, latency) comes about from the baseline's, term by term."""
    found: list[View] = []
    base = next(c for c in cases if c["case"] == report["baseline"])
    for place, (name, metrics) in enumerate(report["attribution"].items()):
        metric = next((name for name in ("tpot", "latency") if metrics.get(name)), "ttft")
        case = next(c for c in cases if c["case"] == name)
        if metrics.get(metric) and base.get(f"{metric}_s"):
            found.append(_waterfall(place, name, metric, base, case, metrics[metric]))
    return found


def _waterfall(
    place: int, name: str, metric: str, base: Mapping[str, Any], case: Mapping[str, Any], terms: list[dict[str, Any]]
) -> View:
    least = 1e-9 * max(base[f"{metric}_s"], case[f"{metric}_s"])  # less is the rounding of sums
    shown = [t for t in terms[:_MOST_TERMS] if abs(t["difference_s"]) > least]
    rest = sum(t["difference_s"] for t in terms[_MOST_TERMS:])
    labels = [base["case"], *(t["name"] for t in shown), *(["others"] if abs(rest) > least else []), name]
    steps = [base[f"{metric}_s"], *(t["difference_s"] for t in shown), *([rest] if abs(rest) > least else []), 0.0]
    unit_s, unit = time_scale(max(base[f"{metric}_s"], case[f"{metric}_s"]))
    data = [{
        "type": "waterfall", "orientation": "h", "y": list(range(len(labels))), "x": [s / unit_s for s in steps],
        "measure": ["absolute", *["relative"] * (len(labels) - 2), "total"], "width": 0.6,
        "decreasing": {"marker": {"color": GREEN}}, "increasing": {"marker": {"color": ORANGE}},
        "totals": {"marker": {"color": BLUE}}, "connector": {"line": {"color": GREY, "width": 1}},
        "hovertemplate": "%{delta:.4g} " + unit + "<extra></extra>",
    }]  # fmt: skip
    layout = base_layout(
        xaxis=axis(f"{_spoken(metric)}, {unit}", rangemode="tozero", fixedrange=True),
        yaxis=names_axis([escaped(text) for text in labels]),
        margin={"l": 8, "r": 16, "t": 8, "b": 44},
    )  # fmt: skip
    legend = (Key("bar", BLUE, "whole"), Key("bar", GREEN, "less"), Key("bar", ORANGE, "more"))
    label = f"{_spoken(metric)} from {base['case']} to {name}, term by term"
    plot = Plot(f"plot-waterfall-{place}", "", label, 80 + 26 * len(labels), data, layout, legend)
    rows = [(t["name"], t["part"], t["baseline_limit"] or MISSING, t["case_limit"] or MISSING, seconds(t["baseline_s"]),
             seconds(t["case_s"]), f"{t['difference_s'] * 1e3:+.4g} ms") for t in terms]  # fmt: skip
    heads = ("operator", "part", "limited by", "then by", "baseline", "case", "difference")
    finding = f"{_spoken(metric)} goes from {seconds(base[f'{metric}_s'])} to {seconds(case[f'{metric}_s'])}."
    contents = Table(heads, rows, frozenset({0, 1, 2, 3}))
    return View(f"waterfall-{place}", f"{name} against {base['case']}", finding, [plot], contents)


def _spoken(metric: str) -> str:
    return _HEADLINES[f"{metric}_s"]
