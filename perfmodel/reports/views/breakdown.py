"""Where the time goes: the operators of each phase by time."""

from __future__ import annotations

import re
from typing import Any

from perfmodel.reports.ops_table import Phase, folded, label, main_phases, phases, share
from perfmodel.reports.text import MISSING, Report, Row, amount, listed, percent, plain, seconds
from perfmodel.reports.views.style import axis, base_layout, escaped, names_axis, part_colour, time_scale
from perfmodel.reports.views.view import Key, Plot, Table, View

_MOST_BARS = 16
_LARGEST_OTHERS = 0.4
"""The share of time above which the bar of all other operators is left out: it would dwarf those that have a name."""

_ROW_PX = 26
_BOUND_KEY = Key("diamond", "#ffffff", "bound")
_CAPTION = (
    "Bars are expected times of all repetitions together, whiskers go from p10 to p90, a white diamond is the bound."
)


def breakdown_view(report: Report) -> View:
    """Return the time of each operator, by phase, with its bound and its band."""
    groups = phases(report)
    timed = [phase for phase in main_phases(report) if phase.expected_s]
    finding = "; ".join(_clause(phase) for phase in timed)
    text = (
        f"{_capital(finding)}." if finding else "The estimate has no operators with a time: there is nothing to draw."
    )
    plots = [_plot(phase) for phase in timed]
    return View("breakdown", "Time by operator", text, plots, _table(groups), _CAPTION if timed else "")


def _capital(text: str) -> str:
    """Return a sentence that begins with a capital, unless it begins with a name."""
    return f"T{text[1:]}" if text.startswith("the ") else text


def _clause(phase: Phase) -> str:
    """Return what takes most of a phase."""
    slowest = [f"{percent(share(row, phase))} in {label(row, phase)}" for row in phase.rows[:3]]
    return f"{phase.spoken} ({seconds(phase.expected_s)}) spends {listed(slowest)}"


def _plot(phase: Phase) -> Plot:
    shown, others = folded(phase, _MOST_BARS)
    left_out = ""
    if others is not None and share(others, phase) > _LARGEST_OTHERS:
        left_out, others = f"; {others['name']} take {percent(share(others, phase))}", None
    rows = [row for row in [*shown, others] if row is not None]
    size_s, unit = time_scale(max(amount(row.get("expected_s")) for row in rows))
    layout = base_layout(
        xaxis=axis(f"expected time, {unit}", rangemode="tozero", fixedrange=True),
        yaxis=names_axis([f"{escaped(label(row, phase))}  {percent(share(row, phase))}" for row in rows]),
        barmode="overlay",
        margin={"l": 8, "r": 16, "t": 8, "b": 44},
    )
    data = [*_bars(rows, size_s), _bounds(rows, size_s)]
    spoken = f"{phase.name}: expected time of {len(rows)} operators, with bound and error band"
    heading = f"{phase.name}: {seconds(phase.expected_s)} expected, {seconds(phase.bound_s)} bound{left_out}"
    parts = dict.fromkeys(str(row.get("part") or "other") for row in rows)
    legend = (*(Key("bar", part_colour(part), part) for part in parts), _BOUND_KEY)
    div_id = "plot-breakdown-" + re.sub(r"\W+", "-", phase.name)
    return Plot(div_id, heading, spoken, 66 + _ROW_PX * len(rows), data, layout, legend)


def _bars(rows: list[Row], size_s: float) -> list[dict[str, Any]]:
    """Return a trace of bars for each part of the model, which has its colour."""
    groups: dict[str, list[tuple[int, Row]]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(str(row.get("part") or "other"), []).append((place, row))
    return [_bar_trace(part, found, size_s) for part, found in groups.items()]


def _bar_trace(part: str, found: list[tuple[int, Row]], size_s: float) -> dict[str, Any]:
    times = [amount(row.get("expected_s")) for _, row in found]
    above = [max(amount(row.get("p90_s")) - time, 0.0) for time, (_, row) in zip(times, found, strict=True)]
    below = [max(time - amount(row.get("p10_s")), 0.0) for time, (_, row) in zip(times, found, strict=True)]
    return {
        "type": "bar",
        "orientation": "h",
        "name": escaped(part),
        "y": [place for place, _ in found],
        "x": [time / size_s for time in times],
        "width": 0.7,
        "marker": {"color": part_colour(part)},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [time / size_s for time in above],
            "arrayminus": [time / size_s for time in below],
            "color": "#333333",
            "thickness": 1.3,
            "width": 4,
        },
        "text": [_hover(row) for _, row in found],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(row: Row) -> str:
    lines = [f"<b>{escaped(row.get('name'))}</b> ({escaped(row.get('part'))})"]
    lines += [f"{name} {seconds(row.get(f'{name}_s'))}" for name in ("bound", "p10", "expected", "p90")]
    lines += [f"limited by {escaped(row['bottleneck'])}"] if row.get("bottleneck") else []
    return "<br>".join(lines)


def _bounds(rows: list[Row], size_s: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "bound",
        "y": list(range(len(rows))),
        "x": [amount(row.get("bound_s")) / size_s for row in rows],
        "marker": {"symbol": "diamond", "size": 8, "color": "#ffffff", "line": {"color": "#000000", "width": 1.2}},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _table(groups: list[Phase]) -> Table:
    headers = ("operator", "phase", "part", "limited by", "repeat", "share", "bound", "p10", "expected", "p90")
    rows = [_cells(row, phase) for phase in groups for row in phase.rows]
    return Table(headers, rows, frozenset({0, 1, 2, 3}))


def _cells(row: Row, phase: Phase) -> tuple[str, ...]:
    texts = [str(row.get(key) or MISSING) for key in ("name", "part", "bottleneck")]
    bands = [seconds(row.get(f"{name}_s")) for name in ("bound", "p10", "expected", "p90")]
    return (texts[0], phase.name, *texts[1:], plain(row.get("repeat")), percent(share(row, phase)), *bands)
