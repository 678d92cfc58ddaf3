"""Sensitivities as one HTML page: a tornado for each metric, and where the bottleneck switches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.crossovers import crossover_view
from perfmodel.reports.page import escape, page, section
from perfmodel.reports.views.style import BLUE, ORANGE, axis, base_layout, escaped, names_axis
from perfmodel.reports.views.view import Key, Plot, Table, View

Report = Mapping[str, Any]
_LEAST = 5e-4


def sensitivity_html(report: Report) -> str:
    """Return the page of sensitivities: it holds plotly.js once and loads nothing."""
    title = f"{report['model']} on {report['device']}: what the answer hangs on"
    views = [_tornado(report, metric) for metric in report["metrics"]]
    views.append(crossover_view(report))
    header = f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(report["scenario"])}</p>'
    plots = [plot for view in views for plot in view.plots]
    footer = escape(f"perfmodel {report['version']}, {report['schema']}")
    return page(title, header, "".join(map(section, views)), footer, plots)


def _tornado(report: Report, metric: Report) -> View:
    rows = [row for row in report["elasticities"] if row["metric"] == metric["metric"]]
    shown = [row for row in rows if abs(row["up"] - row["down"]) >= _LEAST or abs(row["elasticity"]) >= _LEAST]
    headers = ("number", "is", "% for 1 %", "10 % less", "10 % more")
    cells = [
        (row["meaning"], row["text"], f"{row['elasticity']:+.3f}", _percent(row["down"]), _percent(row["up"]))
        for row in rows
    ]
    title = f"{metric['name']}, {report['of']}: {metric['text']}"
    if not shown:
        return View(
            metric["metric"], title, "No number of the machine or the load changes it.", [], Table(headers, cells)
        )
    first = shown[0]
    finding = (
        f"Most hangs on {first['meaning']} ({first['text']}): 10 % more changes it by {_percent(first['up'])}, "
        f"10 % less by {_percent(first['down'])}."
    )
    return View(metric["metric"], title, finding, [_bars(metric, shown)], Table(headers, cells))


def _bars(metric: Report, rows: Sequence[Report]) -> Plot:
    names = [escaped(row["meaning"]) for row in rows]
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "y": list(range(len(rows))),
            "x": [100.0 * (row[side] - 1.0) for row in rows], "width": 0.65, "text": names, "textposition": "none",
            "marker": {"color": colour}, "hovertemplate": "%{text}, " + text + ": %{x:+.2f} %<extra></extra>",
        }
        for side, colour, text in (("up", BLUE, "10 % more"), ("down", ORANGE, "10 % less"))
    ]  # fmt: skip
    layout = base_layout(
        barmode="overlay", xaxis=axis(f"change of {metric['name']}, %", zeroline=True), yaxis=names_axis(names)
    )
    legend = (Key("bar", BLUE, "the number 10 % higher"), Key("bar", ORANGE, "10 % lower"))
    label = f"Change of {metric['name']} with each number 10 % higher and lower"
    return Plot(f"tornado-{metric['metric']}", "", label, 90 + 34 * len(rows), data, layout, legend)


def _percent(factor: float) -> str:
    return f"{100.0 * (factor - 1.0):+.1f} %"
