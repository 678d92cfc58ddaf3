"""Requirements as one HTML page: what each number must be, and the region of what is enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.reports.page import escape, page, section, table
from perfmodel.reports.views.style import BLUE, ORANGE, axis, base_layout
from perfmodel.reports.views.view import Key, Plot, Table, View

Report = Mapping[str, Any]
_UNITS = {"peak": (1e12, "TFLOP/s"), "bandwidth": (1e12, "TB/s"), "capacity": (1e9, "GB"), "link": (1e9, "GB/s"),
          "network": (1e9, "GB/s")}  # fmt: skip


def require_html(report: Report) -> str:
    """Return the page of requirements: it holds plotly.js once and loads nothing."""
    title = f"{report['model']}: what a platform like {report['device']} must have"
    header = (
        f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(report["scenario"])}; required: '
        f'{escape(report["required"])}</p>\n<p class="finding"><b>{escape(report["finding"])}</b></p>'
    )
    rows = [
        (n["meaning"], n["has_text"], n["floor_text"], n["formula"], n["alone_text"], n["verdict"])
        for n in report["needs"]
    ]
    headers = ("number of a device", "has", "physics asks for", "that is", "expected times ask for", "")
    body = table(Table(headers, rows, frozenset({0, 3, 5})), "Requirements", "Each number by itself")
    view = _region(report)
    footer = escape(f"perfmodel {report['version']}, {report['schema']}")
    return page(title, header, body + section(view), footer, list(view.plots))


def _region(report: Report) -> View:
    curve = report["curve"]
    if curve is None:
        return View(
            "region", "What is enough", "No pair of these two numbers keeps the limits.", [], Table(("", ""), [])
        )
    cells = [(point["x_text"], point["y_text"]) for point in curve["points"]]
    finding = f"Above the curve, {curve['x_meaning']} and {curve['y_meaning']} are enough, all else as it is."
    headers = (curve["x_meaning"], f"least {curve['y_meaning']}")
    return View("region", "What is enough", finding, [_plot(curve)], Table(headers, cells))


def _plot(curve: Report) -> Plot:
    (x_scale, x_unit), (y_scale, y_unit) = _UNITS[curve["x"]], _UNITS[curve["y"]]
    known = [point for point in curve["points"] if point["y"] is not None]
    x = [point["x"] / x_scale for point in known]
    y = [point["y"] / y_scale for point in known]
    top = 2.0 * max([*y, curve["y_has"] / y_scale])
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": x, "y": [top] * len(x), "line": {"width": 0}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines+markers", "x": x, "y": y, "fill": "tonexty",
         "fillcolor": "rgba(0,114,178,0.15)", "line": {"color": BLUE, "width": 2},
         "hovertemplate": f"%{{x:.3g}} {x_unit}<br>least %{{y:.3g}} {y_unit}<extra></extra>"},
        {"type": "scatter", "mode": "markers", "x": [curve["x_has"] / x_scale], "y": [curve["y_has"] / y_scale],
         "marker": {"color": ORANGE, "symbol": "diamond", "size": 13},
         "hovertemplate": f"the device: %{{x:.3g}} {x_unit}, %{{y:.3g}} {y_unit}<extra></extra>"},
    ]  # fmt: skip
    layout = base_layout(
        xaxis=axis(f"{curve['x_meaning']}, {x_unit}", type="log"),
        yaxis=axis(f"{curve['y_meaning']}, {y_unit}", type="log"),
    )
    legend = (Key("bar", BLUE, "enough, above the curve"), Key("diamond", ORANGE, "the device as it is"))
    label = f"Least {curve['y_meaning']} for each {curve['x_meaning']}"
    return Plot("region-plot", "", label, 420, data, layout, legend, True)
