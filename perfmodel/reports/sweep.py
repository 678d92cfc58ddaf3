"""A sweep as one HTML page: lines along one axis, heat maps over two, and the iso-lines of a service level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.page import escape, page, section
from perfmodel.reports.summary import one_is, plural
from perfmodel.reports.sweep_axes import METRICS, RATES, SPOKEN, TIMES, category, place_of, spaced, unit_of, word
from perfmodel.reports.sweep_maps import heat_maps
from perfmodel.reports.text import MISSING, plain, seconds
from perfmodel.reports.views.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, axis, base_layout, escaped
from perfmodel.reports.views.view import Key, Plot, Table, View

Row = Mapping[str, Any]
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, GREY)
_MOST_LINES, _MOST_ROWS = 6, 400


def sweep_html(report: Mapping[str, Any]) -> str:
    """Return the page of a sweep: ``model, device, version, axes, rows`` and ``slo`` (metric -> most seconds)."""
    rows: list[Row] = [row for row in report["rows"] if row.get("fits") is not False]
    slo: Mapping[str, float] = report["slo"]
    varied = [name for name, values in report["axes"].items() if len(values) > 1]
    best = best_point(rows, slo)
    plots = _plots(rows, report["axes"], varied, slo, best) if rows and varied else []
    title = f"{report['model']} on {report['device']}: {', '.join(map(spaced, varied)) or 'one point'}"
    view = View(
        "sweep", "The grid", _finding(report, rows, varied, slo, best), plots, _table(rows, varied), _caption(slo)
    )
    count = len(report["rows"])
    said = [f"{count:,} point{'s' * (count != 1)}, {_of_them(len(rows), count)}", *report.get("notes", ())]
    said += [one_is(report["sample"])] if report.get("sample") else []
    header = f'<h1>{escape(title)}</h1>\n<p class="soft">{escape("; ".join(said))}</p>'
    return page(title, header, section(view), escape(f"perfmodel {report['version']}, {report['schema']}"), plots)


def _of_them(fit: int, count: int) -> str:
    if fit == count:
        return "which fits in memory" if count == 1 else "all of which fit in memory"
    return f"of which {fit:,} fit{'s' * (fit == 1)} in memory"


def meets(row: Row, slo: Mapping[str, float]) -> bool:
    """Say whether a point keeps every limit of the service level."""
    return all(row.get(name) is not None and row[name] <= most for name, most in slo.items())


def best_point(rows: Sequence[Row], slo: Mapping[str, float]) -> Row | None:
    """Return the point of the highest throughput a device that keeps the service level, None if there is none."""
    able = [row for row in rows if meets(row, slo) and _rate(row) is not None]
    return max(able, key=lambda row: _rate(row) or 0.0, default=None)


def _rate(row: Row) -> float | None:
    """Return the throughput a device of a point, in tokens or in samples."""
    return next((row[name] for name in RATES if row.get(name) is not None), None)


def _finding(
    report: Mapping[str, Any], rows: Sequence[Row], varied: Sequence[str], slo: Mapping[str, float], best: Row | None
) -> str:
    if not report["rows"]:
        return "No point of this grid can be answered."
    if not rows:
        return "No point of this grid fits in memory."
    limits = " and ".join(f"{SPOKEN[name]} within {seconds(most)}" for name, most in slo.items())
    if best is None:
        return f"No point keeps {limits}." if slo else "No point has a throughput."
    at = ", ".join(f"{spaced(name)} {word(best[name])}" for name in varied)
    most = plain(_rate(best))
    made = plural(report["sample"]) if report.get("sample") else "tokens"
    if not varied:
        return f"There is one point alone, {'which keeps ' + limits + ', ' if slo else ''}of {most} {made}/s a device."
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
        return heat_maps(rows, axes, numeric[:2], [n for n in varied if n not in numeric[:2]], slo, best)
    along = numeric[0] if numeric else varied[0]
    others = [n for n in varied if n != along]
    metrics = [m for m in METRICS if any(row.get(m) is not None for row in rows)]
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
    unit_s, unit = unit_of(metric, rows)
    data: list[dict[str, Any]] = []
    legend: list[Key] = []
    for place, (values, members) in enumerate(shown):
        colour = _COLOURS[place % len(_COLOURS)]
        name = ", ".join(f"{spaced(n)} {word(v)}" for n, v in zip(others, values, strict=True)) or METRICS[metric]
        data += _line(members, axes[along], along, metric, unit_s, unit, colour, name, alone=len(shown) == 1)
        legend.append(Key("bar", colour, name))
    if metric in slo:
        data.append(_limit_line(axes[along], slo[metric] / unit_s))
        legend.append(Key("bar", GREY, f"SLO {seconds(slo[metric])}"))
    if best is not None and best.get(metric) is not None:
        data.append(_best(place_of(best[along], axes[along]), best[metric] / unit_s))
        legend.append(Key("frame", GREY, "most throughput a device" + (" that keeps the SLO" if slo else "")))
    left_out = len(groups) - len(shown)
    label = f"{METRICS[metric]} along {spaced(along)}" + (f", {left_out} more lines left out" if left_out else "")
    layout = base_layout(
        xaxis=category(along, axes[along]), margin={"l": 12, "r": 16, "t": 12, "b": 48},
        yaxis=axis(f"{METRICS[metric]}{unit and ', ' + unit}", rangemode="tozero"),
    )  # fmt: skip
    heading = METRICS[metric] + (f" ({left_out} more lines in the table)" if left_out else "")
    return Plot(f"plot-{metric}", heading, label, 340, data, layout, tuple(legend), zoomable=True)


def _line(
    rows: Sequence[Row], values: Sequence[Any], along: str, metric: str, unit_s: float, unit: str, colour: str,
    name: str, *, alone: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    x = [place_of(row[along], values) for row in rows]
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
            "line": {"color": GREY, "dash": "dash", "width": 1.5}}  # fmt: skip


def _best(x: float, y: float) -> dict[str, Any]:
    """Return a frame around the best point of a line."""
    marker = {"symbol": "square-open", "size": 17, "color": GREY, "line": {"width": 2.5}}
    return {"type": "scatter", "x": [x], "y": [y], "mode": "markers", "marker": marker, "hoverinfo": "skip"}


def _table(rows: Sequence[Row], varied: Sequence[str]) -> Table:
    metrics = [m for m in (*METRICS, "tokens_per_s", "samples_per_s") if any(row.get(m) is not None for row in rows)]
    heads = (*(spaced(n) for n in varied), *(METRICS.get(m, spaced(m)) for m in metrics))
    cells = [tuple([word(row[n]) for n in varied] + [_cell(row, m) for m in metrics]) for row in rows[:_MOST_ROWS]]
    return Table(heads, cells, frozenset())


def _cell(row: Row, metric: str) -> str:
    value = row.get(metric)
    if value is None:
        return MISSING
    return seconds(value) if metric in TIMES else plain(value)
