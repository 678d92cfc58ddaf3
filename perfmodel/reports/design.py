"""A search for a chip as one HTML page: the best, the front, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.page import escape, page, section, table
from perfmodel.reports.views.style import BLUE, ORANGE, base_layout, escaped, log_axis
from perfmodel.reports.views.view import Key, Plot, Table, View
from perfmodel.search.design.report import metric_text

Report = Mapping[str, Any]


def design_html(report: Report) -> str:
    """Return the page: it holds plotly.js once and loads nothing; the same report gives the same bytes."""
    title = f"{report['model']}: which chip to build"
    inputs = report["inputs"]
    asked = (
        f"Chips like {report['like']} with {', '.join(inputs['vary'])}; "
        f"{inputs['batch']:.0f} request{'s' * (inputs['batch'] != 1)} in flight, "
        f"{inputs['input_tokens']:.0f} input and {inputs['output_tokens']:.0f} output tokens; "
        + (", ".join(f"{report['metrics'][n]['name']} within {metric_text(n, v)}" for n, v in inputs["limits"].items())
           or "no limits")
    )  # fmt: skip
    header = f"<h1>{escape(title)}</h1>\n<p class='soft'>{escape(asked)}</p>"
    if report["best"] is None:
        missed = "; ".join(report["nearest"]["misses"])
        header += (
            f'\n<p class="alert" role="alert">No chip keeps these limits. The nearest misses: {escape(missed)}.</p>'
        )
    view = _front(report)
    body = _best(report) + section(view)
    footer = escape(f"perfmodel {report['version']}, {report['schema']}; {report['evaluated']:,} designs")
    return page(title, header, body, footer, list(view.plots))


def _best(report: Report) -> str:
    best = report["best"] or report["nearest"]
    names = list(report["metrics"])
    rows = [
        (report["metrics"][name]["name"], metric_text(name, best[name]), metric_text(name, report["model_chip"][name]))
        for name in names
    ]
    said = f'<p class="finding"><b>{escape(best["design"])}</b></p>\n'
    return said + table(Table(("", "this chip", report["like"]), rows), "The chip", "The chip and the one it is like")


def _front(report: Report) -> View:
    rows: Sequence[Report] = report["front"]
    first, second = [*report["objectives"], report["objectives"][0]][:2]
    named = report["metrics"]
    headers = (named[first]["name"], named[second]["name"], "design")
    cells = [(metric_text(first, row[first]), metric_text(second, row[second]), row["design"]) for row in rows]
    heading = "What the objectives cost each other"
    if not rows:
        return View("front", heading, "No chip keeps the limits: there is no trade.", [], Table(headers, []))
    finding = (
        f"From {metric_text(first, rows[0][first])} {named[first]['name']} at {metric_text(second, rows[0][second])} "
        f"{named[second]['name']} to {metric_text(first, rows[-1][first])} at {metric_text(second, rows[-1][second])}."
    )
    return View("front", heading, finding, [_plot(report, first, second)], Table(headers, cells, frozenset({2})),
                "Designs that no other beats in all objectives")  # fmt: skip


def _plot(report: Report, first: str, second: str) -> Plot:
    rows: Sequence[Report] = report["front"]
    model, named = report["model_chip"], report["metrics"]
    data: list[dict[str, Any]] = [
        _points(rows, first, second, BLUE, "circle", "designs"),
        _points([model], first, second, ORANGE, "diamond", report["like"]),
    ]
    layout = base_layout(
        xaxis=log_axis(named[second]["name"], [row[second] for row in (*rows, model)]),
        yaxis=log_axis(named[first]["name"], [row[first] for row in (*rows, model)]),
    )
    legend = (Key("circle", BLUE, "designs"), Key("diamond", ORANGE, report["like"]))
    return Plot(
        "front-plot", "", f"{named[first]['name']} against {named[second]['name']}", 420, data, layout, legend, True
    )


def _points(rows: Sequence[Report], first: str, second: str, colour: str, symbol: str, name: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": escaped(name),
        "marker": {"color": colour, "symbol": symbol, "size": 9},
        "x": [row[second] for row in rows], "y": [row[first] for row in rows],
        "text": [escaped(row.get("design", name)) for row in rows],
        "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
    }  # fmt: skip
