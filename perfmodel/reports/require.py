"""Requirements as one HTML page: what each number must be, and the region of what is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.page import escape, page, section, table
from perfmodel.reports.views.style import BLUE, GREY, ORANGE, base_layout, log_axis
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
    headers = ("number of a device", "has", "physics asks for", "that is", "expected times ask for", "verdict")
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
    others = curve["others"]
    rest = "all else as it is" if others == 1 else f"the other numbers being {others:.3g} times what they are"
    finding = f"Above the curve, {curve['x_meaning']} and {curve['y_meaning']} are enough, {rest}."
    headers = (curve["x_meaning"], f"least {curve['y_meaning']}")
    return View("region", "What is enough", finding, [_plot(report, curve)], Table(headers, cells))


def _floors(least: Sequence[float]) -> list[dict[str, Any]]:
    """Return a line at the least of each number that any machine must have."""
    ends = ({"yref": "paper", "y0": 0, "y1": 1}, {"xref": "paper", "x0": 0, "x1": 1})
    line = {"width": 1.5, "dash": "dot", "color": GREY}
    return [
        {"type": "line", **across, f"{axis}0": value, f"{axis}1": value, "line": line}
        for axis, value, across in zip("xy", least, ends, strict=False)
    ]


def _plot(report: Report, curve: Report) -> Plot:
    (x_scale, x_unit), (y_scale, y_unit) = _UNITS[curve["x"]], _UNITS[curve["y"]]
    known = [point for point in curve["points"] if point["y"] is not None]
    x = [point["x"] / x_scale for point in known]
    y = [point["y"] / y_scale for point in known]
    has = curve["x_has"] / x_scale, curve["y_has"] / y_scale
    floors = {need["number"]: need["floor"] for need in report["needs"] if need["floor"]}
    least = [floors[name] / scale for name, scale in ((curve["x"], x_scale), (curve["y"], y_scale)) if name in floors]
    across, up = (
        log_axis(f"{curve['x_meaning']}, {x_unit}", [*x, has[0], *least[:1]]),
        log_axis(f"{curve['y_meaning']}, {y_unit}", [min([*y, has[1], *least[1:]]), 1.5 * max([*y, has[1]])]),
    )
    top = 10.0 ** up["range"][1]
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": x, "y": [top] * len(x), "line": {"width": 0}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines+markers", "x": x, "y": y, "fill": "tonexty",
         "fillcolor": "rgba(0,114,178,0.15)", "line": {"color": BLUE, "width": 2},
         "hovertemplate": f"%{{x:.3g}} {x_unit}<br>least %{{y:.3g}} {y_unit}<extra></extra>"},
        {"type": "scatter", "mode": "markers", "x": [has[0]], "y": [has[1]],
         "marker": {"color": ORANGE, "symbol": "diamond", "size": 13},
         "hovertemplate": f"the device: %{{x:.3g}} {x_unit}, %{{y:.3g}} {y_unit}<extra></extra>"},
    ]  # fmt: skip
    layout = base_layout(xaxis=across, yaxis=up, shapes=_floors(least))
    legend = (Key("bar", BLUE, "enough, above the curve"), Key("diamond", ORANGE, "the device as it is"),
              Key("bar", "", "dotted: what physics asks for"))  # fmt: skip
    label = f"Least {curve['y_meaning']} for each {curve['x_meaning']}"
    return Plot("region-plot", "", label, 420, data, layout, legend, True)
