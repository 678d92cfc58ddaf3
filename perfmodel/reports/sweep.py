"""A sweep as one HTML page: lines along one axis, heat maps over two, and the iso-lines of a service level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.page import escape, page, section
from perfmodel.reports.summary import one_is, plural
from perfmodel.reports.text import MISSING, plain, seconds
from perfmodel.reports.views.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, axis, base_layout, escaped, time_scale
from perfmodel.reports.views.view import Key, Plot, Table, View

Row = Mapping[str, Any]
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, GREY)
_TIMES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E", "latency_s": "Latency"}
_METRICS = {**_TIMES, "tokens_per_s_per_device": "tokens/s a device", "samples_per_s_per_device": "samples/s a device",
            "joules_per_token": "J/token", "usd_per_million_tokens": "USD per million tokens",
            "joules_per_sample": "J/sample", "usd_per_million_samples": "USD per million samples"}  # fmt: skip
_SPOKEN = {**_TIMES, "latency_s": "latency"}
_RATES = ("tokens_per_s_per_device", "samples_per_s_per_device")
_MOST_LINES, _MOST_PANELS, _MOST_ROWS = 6, 6, 400
_SCALE = [[0.0, "#f7fbff"], [0.5, SKY], [1.0, "#08306b"]]


def sweep_html(report: Mapping[str, Any]) -> str:
    """Return the page of a sweep: ``model, device, version, axes, rows`` and ``slo`` (metric -> most seconds)."""
    rows: list[Row] = [row for row in report["rows"] if row.get("fits") is not False]
    slo: Mapping[str, float] = report["slo"]
    varied = [name for name, values in report["axes"].items() if len(values) > 1]
    best = best_point(rows, slo)
    plots = _plots(rows, report["axes"], varied, slo, best) if rows and varied else []
    title = f"{report['model']} on {report['device']}: {', '.join(varied) or 'one point'}"
    view = View(
        "sweep", "The grid", _finding(report, rows, varied, slo, best), plots, _table(rows, varied), _caption(slo)
    )
    said = [f"{len(report['rows'])} points, of which {len(rows)} fit in memory", *report.get("notes", ())]
    said += [one_is(report["sample"])] if report.get("sample") else []
    header = f'<h1>{escape(title)}</h1>\n<p class="soft">{escape("; ".join(said))}</p>'
    return page(title, header, section(view), escape(f"perfmodel {report['version']}, {report['schema']}"), plots)


def meets(row: Row, slo: Mapping[str, float]) -> bool:
    """Say whether a point keeps every limit of the service level."""
    return all(row.get(name) is not None and row[name] <= most for name, most in slo.items())


def best_point(rows: Sequence[Row], slo: Mapping[str, float]) -> Row | None:
    """Return the point of the highest throughput a device that keeps the service level, None if there is none."""
    able = [row for row in rows if meets(row, slo) and _rate(row) is not None]
    return max(able, key=lambda row: _rate(row) or 0.0, default=None)


def _rate(row: Row) -> float | None:
    """Return the throughput a device of a point, in tokens or in samples."""
    return next((row[name] for name in _RATES if row.get(name) is not None), None)


def _finding(
    report: Mapping[str, Any], rows: Sequence[Row], varied: Sequence[str], slo: Mapping[str, float], best: Row | None
) -> str:
    if not report["rows"]:
        return "No point of this grid can be answered."
    if not rows:
        return "No point of this grid fits in memory."
    limits = " and ".join(f"{_SPOKEN[name]} within {seconds(most)}" for name, most in slo.items())
    if best is None:
        return f"No point keeps {limits}." if slo else "No point has a throughput."
    at = ", ".join(f"{name} {_word(best[name])}" for name in varied)
    most = plain(_rate(best))
    made = plural(report["sample"]) if report.get("sample") else "tokens"
    able = sum(meets(row, slo) for row in rows)
    kept = f"{able} of {len(rows)} points keep {limits}; of these " if slo else ""
    return f"{kept}{'t' if kept else 'T'}he most throughput a device, {most} {made}/s, is at {at}."


def _caption(slo: Mapping[str, float]) -> str:
    text = "Points that do not fit in memory are left out."
    return text if not slo else text + " Lines named SLO are where a limit of the service level is just kept."


def _plots(
    rows: Sequence[Row],
    axes: Mapping[str, Sequence[Any]],
    varied: list[str],
    slo: Mapping[str, float],
    best: Row | None,
) -> list[Plot]:
    numeric = sorted((n for n in varied if _numbers(axes[n])), key=lambda n: (-len(axes[n]), n != "batch"))
    if len(numeric) >= 2 and len(axes[numeric[1]]) > 2:
        return _heat_maps(rows, axes, numeric[:2], [n for n in varied if n not in numeric[:2]], slo, best)
    along = numeric[0] if numeric else varied[0]
    others = [n for n in varied if n != along]
    metrics = [m for m in _METRICS if any(row.get(m) is not None for row in rows)]
    return [_lines(rows, axes, along, others, metric, slo, best) for metric in metrics]


def _numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _lines(
    rows: Sequence[Row], axes: Mapping[str, Sequence[Any]], along: str, others: Sequence[str], metric: str,
    slo: Mapping[str, float], best: Row | None,
) -> Plot:  # fmt: skip
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[n] for n in others), []).append(row)
    shown = list(groups.items())[:_MOST_LINES]
    unit_s, unit = _unit(metric, rows)
    data: list[dict[str, Any]] = []
    legend: list[Key] = []
    for place, (values, members) in enumerate(shown):
        colour = _COLOURS[place % len(_COLOURS)]
        name = ", ".join(f"{n} {_word(v)}" for n, v in zip(others, values, strict=True)) or _METRICS[metric]
        data += _line(members, axes[along], along, metric, unit_s, unit, colour, name, alone=len(shown) == 1)
        legend.append(Key("bar", colour, name))
    if metric in slo:
        data.append(_limit_line(axes[along], slo[metric] / unit_s))
        legend.append(Key("bar", "#000000", f"SLO {seconds(slo[metric])}"))
    if best is not None and best.get(metric) is not None:
        data.append(_star([_place(best[along], axes[along])], [best[metric] / unit_s]))
    left_out = len(groups) - len(shown)
    label = f"{_METRICS[metric]} along {along}" + (f", {left_out} more lines left out" if left_out else "")
    layout = base_layout(
        xaxis=_category(along, axes[along]), margin={"l": 12, "r": 16, "t": 12, "b": 48},
        yaxis=axis(f"{_METRICS[metric]}{unit and ', ' + unit}", rangemode="tozero"),
    )  # fmt: skip
    heading = _METRICS[metric] + (f" ({left_out} more lines in the table)" if left_out else "")
    return Plot(f"plot-{metric}", heading, label, 340, data, layout, tuple(legend), zoomable=True)


def _line(
    rows: Sequence[Row], values: Sequence[Any], along: str, metric: str, unit_s: float, unit: str, colour: str,
    name: str, *, alone: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    x = [_place(row[along], values) for row in rows]
    y = [row[metric] / unit_s if row.get(metric) is not None else None for row in rows]
    found: list[dict[str, Any]] = []
    stem = metric.removesuffix("_s")
    if alone and all(row.get(f"{stem}_p10_s") is not None for row in rows):
        low, high = ([row[f"{stem}_{q}_s"] / unit_s for row in rows] for q in ("p10", "p90"))
        found.append({"type": "scatter", "x": x + x[::-1], "y": high + low[::-1], "fill": "toself", "hoverinfo": "skip",
                      "fillcolor": "rgba(0,114,178,0.18)", "line": {"width": 0}, "mode": "lines"})  # fmt: skip
        bound = [row[f"{stem}_bound_s"] / unit_s for row in rows]
        found.append({"type": "scatter", "x": x, "y": bound, "mode": "lines", "line": {"color": GREY, "dash": "dot"},
                      "hovertemplate": f"bound %{{y:.4g}} {unit}<extra></extra>"})  # fmt: skip
    found.append({
        "type": "scatter", "x": x, "y": y, "mode": "lines+markers", "line": {"color": colour}, "marker": {"size": 6},
        "hovertemplate": f"{escaped(name)}<br>%{{y:.4g}} {unit}<extra></extra>",
    })  # fmt: skip
    return found


def _limit_line(values: Sequence[Any], at: float) -> dict[str, Any]:
    return {"type": "scatter", "x": [-0.3, len(values) - 0.7], "y": [at, at], "mode": "lines", "hoverinfo": "skip",
            "line": {"color": "#000000", "dash": "dash", "width": 1.5}}  # fmt: skip


def _star(x: list[float], y: list[float]) -> dict[str, Any]:
    marker = {"symbol": "star", "size": 16, "color": ORANGE, "line": {"color": "#000000", "width": 1}}
    best = "best<extra></extra>"
    return {"type": "scatter", "x": x, "y": y, "mode": "markers", "marker": marker, "hovertemplate": best}


def _heat_maps(
    rows: Sequence[Row], axes: Mapping[str, Sequence[Any]], pair: Sequence[str], others: Sequence[str],
    slo: Mapping[str, float], best: Row | None,
) -> list[Plot]:  # fmt: skip
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[n] for n in others), []).append(row)
    wanted = (*_RATES, "tpot_s", "ttft_s", "latency_s")
    metrics = [m for m in wanted if any(r.get(m) is not None for r in rows)]
    found: list[Plot] = []
    for place, (values, members) in enumerate(list(groups.items())[:_MOST_PANELS]):
        where = ", ".join(f"{n} {_word(v)}" for n, v in zip(others, values, strict=True))
        here = best if best is not None and tuple(best[n] for n in others) == values else None
        found += [_heat_map(members, axes, pair, metric, where, place, slo, here) for metric in metrics]
    return found


def _heat_map(
    rows: Sequence[Row], axes: Mapping[str, Sequence[Any]], pair: Sequence[str], metric: str, where: str, place: int,
    slo: Mapping[str, float], best: Row | None,
) -> Plot:  # fmt: skip
    along, up = pair
    unit_s, unit = _unit(metric, rows)
    grid = _matrix(rows, axes, pair, metric, unit_s)
    logs = [[None if v is None or v <= 0 else math.log10(v) for v in line] for line in grid]
    xs, ys = list(range(len(axes[along]))), list(range(len(axes[up])))
    values = [v for line in grid for v in line if v]
    data: list[dict[str, Any]] = [{
        "type": "heatmap", "x": xs, "y": ys, "z": logs, "colorscale": _SCALE, "customdata": grid,
        "hovertemplate": f"{along} %{{x}}, {up} %{{y}}<br>%{{customdata:.4g}} {unit}<extra></extra>",
        "colorbar": _colour_bar(values, unit or _METRICS[metric]), "hoverongaps": False,
        "text": [[("" if v is None else _brief(v)) for v in line] for line in grid],
        "texttemplate": "%{text}" if len(xs) * len(ys) <= 120 else "", "textfont": {"size": 11},
    }]  # fmt: skip
    legend: list[Key] = []
    for name, colour in zip(slo, (ORANGE, PURPLE, GREEN), strict=False):
        contour = _matrix(rows, axes, pair, name, slo[name])
        data.append(_iso_line(xs, ys, contour, colour))
        legend.append(Key("bar", colour, f"SLO {_SPOKEN[name]} {seconds(slo[name])}"))
    if best is not None:
        data.append(_star([_place(best[along], axes[along])], [_place(best[up], axes[up])]))
        legend.append(Key("diamond", ORANGE, "best that keeps the SLO" if slo else "best"))
    layout = base_layout(
        xaxis=_category(along, axes[along]) | {"showgrid": False}, yaxis=_category(up, axes[up]) | {"showgrid": False},
        margin={"l": 12, "r": 16, "t": 34, "b": 48},
    )  # fmt: skip
    heading = _METRICS[metric] + (f", {unit}" if unit else "") + (f" ({where})" if where else "")
    label = f"{_METRICS[metric]} over {along} and {up} {where}"
    height = 152 + max(28 * len(ys), 160)
    return Plot(f"plot-{metric}-{place}", heading, label, height, data, layout, tuple(legend), zoomable=True)


def _iso_line(xs: list[int], ys: list[int], ratios: list[list[float | None]], colour: str) -> dict[str, Any]:
    """Return the line where a metric over its limit is one; logarithms make it lie well between far points."""
    logs = [[None if v is None or v <= 0 else math.log(v) for v in line] for line in ratios]
    return {
        "type": "contour", "x": xs, "y": ys, "z": logs, "autocontour": False, "showscale": False, "hoverinfo": "skip",
        "contours": {"start": 0.0, "end": 0.0, "size": 1.0, "coloring": "none"}, "connectgaps": False,
        "line": {"color": colour, "width": 3.5},
    }  # fmt: skip


def _matrix(
    rows: Sequence[Row], axes: Mapping[str, Sequence[Any]], pair: Sequence[str], metric: str, unit: float
) -> list[list[float | None]]:
    along, up = pair
    found: list[list[float | None]] = [[None] * len(axes[along]) for _ in axes[up]]
    for row in rows:
        if row.get(metric) is not None:
            found[_place(row[up], axes[up])][_place(row[along], axes[along])] = row[metric] / unit
    return found


def _colour_bar(values: Sequence[float], title: str) -> dict[str, Any]:
    if not values:
        return {"title": {"text": title}}
    low, high = math.log10(min(values)), math.log10(max(values))
    ticks = [low + (high - low) * i / 4 for i in range(5)] if high > low else [low]
    return {"title": {"text": title, "side": "right"}, "tickvals": ticks, "ticktext": [_brief(10**t) for t in ticks],
            "thickness": 14, "outlinewidth": 0}  # fmt: skip


def _brief(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _category(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return an axis with an equal step for each value, so that doublings and words look alike."""
    step = max(1, math.ceil(len(values) / 14))
    places = list(range(0, len(values), step))
    return axis(
        name.replace("_", " "), tickvals=places, ticktext=[escaped(_word(values[i])) for i in places],
        range=[-0.5, len(values) - 0.5],
    )  # fmt: skip


def _word(value: Any) -> str:
    return value if isinstance(value, str) else plain(value)


def _place(value: Any, values: Sequence[Any]) -> int:
    return list(values).index(value)


def _unit(metric: str, rows: Sequence[Row]) -> tuple[float, str]:
    if metric not in _TIMES:
        return 1.0, ""
    return time_scale(max((row[metric] for row in rows if row.get(metric) is not None), default=1.0))


def _table(rows: Sequence[Row], varied: Sequence[str]) -> Table:
    metrics = [m for m in (*_METRICS, "tokens_per_s", "samples_per_s") if any(row.get(m) is not None for row in rows)]
    heads = (*varied, *(_METRICS.get(m, m) for m in metrics))
    cells = [tuple([_word(row[n]) for n in varied] + [_cell(row, m) for m in metrics]) for row in rows[:_MOST_ROWS]]
    return Table(heads, cells if varied else [], frozenset())


def _cell(row: Row, metric: str) -> str:
    value = row.get(metric)
    if value is None:
        return MISSING
    return seconds(value) if metric in _TIMES else plain(value)
