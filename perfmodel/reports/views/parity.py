"""Predicted against measured: a figure a unit on logarithmic axes, and the spread of the error by group."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from perfmodel.reports.text import plain
from perfmodel.reports.views.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, axis, base_layout, escaped, names_axis
from perfmodel.reports.views.view import Key, Plot

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY)
_MOST_POINTS, _MOST_GROUPS, _BINS, _FEWEST_IN_BIN = 4000, 24, 12, 4
_LONGEST_NAME = 30
_BAND = "rgba(0,114,178,0.14)"
_UNITS: tuple[tuple[str, str], ...] = (
    ("_us", "µs"), ("_ms", "ms"), ("_per_sample", "J"), ("tok_s", "tokens/s"), ("tokens_per_s", "tokens/s"),
    ("samples_per_s", "samples/s"), ("joules", "J"), ("_s", "s"),
)  # fmt: skip


class Point(NamedTuple):
    """One figure: measured and predicted in ``unit``, its band, the group that colours it, and what it is."""

    measured: float
    predicted: float
    low: float
    high: float
    unit: str
    group: str
    label: str

    @property
    def inside(self) -> bool:
        """Say whether the measured value is in the band."""
        return self.low <= self.measured <= self.high


def unit_of(metric: str) -> str:
    """Return the unit that a metric's name ends in, the name itself where it tells none."""
    return next((unit for ending, unit in _UNITS if metric.endswith(ending) or ending in metric), metric)


def parity_plots(points: Sequence[Point]) -> list[Plot]:
    """Return predicted against measured, a figure a unit; points outside their band are hollow."""
    names = _coloured(points)
    units = list(dict.fromkeys(point.unit for point in points))
    return [_parity([p for p in points if p.unit == unit], unit, names, place) for place, unit in enumerate(units)]


def _coloured(points: Sequence[Point]) -> dict[str, str]:
    """Return the colour of the groups with most points; all others are grey."""
    counts: dict[str, int] = {}
    for point in points:
        counts[point.group] = counts.get(point.group, 0) + 1
    names = sorted(counts, key=lambda name: -counts[name])
    kept = names if len(names) <= len(_COLOURS) else names[: len(_COLOURS) - 1]
    return {name: _COLOURS[i] for i, name in enumerate(kept)}


def _parity(points: Sequence[Point], unit: str, colours: Mapping[str, str], place: int) -> Plot:
    values = [v for p in points for v in (p.measured, p.predicted)]
    low, high = min(values) / 1.3, max(values) * 1.3
    step = max(1, math.ceil(len(points) / _MOST_POINTS))
    shown = points[::step]
    data: list[dict[str, Any]] = []
    legend: list[Key] = []
    for name in [*colours, ""]:
        members = [p for p in shown if (p.group == name if name else p.group not in colours)]
        if members:
            data.append(_cloud(members, colours.get(name, GREY), unit))
            legend.append(Key("circle", colours.get(name, GREY), name or "others"))
    data += [*_ribbon(points), *_diagonals(low, high)]  # over the points, which may be thousands
    ticks = _ticks(low, high)
    layout = base_layout(
        xaxis=axis(f"measured, {unit}", **ticks), yaxis=axis(f"predicted, {unit}", **ticks),
        margin={"l": 12, "r": 16, "t": 12, "b": 48},
    )  # fmt: skip
    inside = 100.0 * statistics.fmean(p.inside for p in points)
    some = f" (every {step}th drawn)" if step > 1 else ""
    heading = f"{unit}: {len(points):,} figures{some}, {inside:.0f} % in their band"
    label = f"Predicted against measured in {unit}, logarithmic: {len(points)} figures"
    return Plot(f"plot-parity-{place}", heading, label, 440, data, layout, tuple(legend), zoomable=True)


def _ticks(low: float, high: float) -> dict[str, Any]:
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    marks = [10.0**power for power in powers]
    if len(marks) < 2:
        marks = [f * 10.0**power for power in range(math.floor(math.log10(low)), powers.stop + 1) for f in (1, 2, 5)]
    every = max(1, math.ceil(len(marks) / 8))
    chosen = [mark for mark in marks[::every] if low <= mark <= high]
    ends = [round(math.log10(low), 4), round(math.log10(high), 4)]
    return {"type": "log", "range": ends, "tickvals": chosen, "ticktext": [f"{mark:,.10g}" for mark in chosen]}


def _diagonals(low: float, high: float) -> list[dict[str, Any]]:
    """Return the lines on which predicted is measured, half and twice of it; the page's ink shows on any background."""
    lines: list[dict[str, Any]] = []
    for factor, dash, width in ((1.0, "solid", 1.5), (2.0, "dot", 1.0), (0.5, "dot", 1.0)):
        lines.append({"type": "scatter", "mode": "lines", "x": [low, high], "y": [low * factor, high * factor],
                      "line": {"color": GREY, "dash": dash, "width": width}, "hoverinfo": "skip"})  # fmt: skip
    return lines


def _ribbon(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the band along the diagonal: within it a figure of that size is inside its own p10 to p90, at the median.

    Measured is in the band where predicted is between ``measured/(p90/predicted)`` and ``measured/(p10/predicted)``.
    """
    known = sorted((p for p in points if 0 < p.low <= p.predicted <= p.high), key=lambda p: p.measured)
    count = min(_BINS, len(known) // _FEWEST_IN_BIN)
    if not count:
        return []
    at: list[float] = []
    below: list[float] = []
    above: list[float] = []
    for i in range(count):
        part = known[len(known) * i // count : len(known) * (i + 1) // count]
        most, least = (statistics.median(getattr(p, side) / p.predicted for p in part) for side in ("high", "low"))
        for x in (part[0].measured, part[-1].measured):
            at.append(x)
            below.append(x / most)
            above.append(x / least)
    return [{"type": "scatter", "mode": "lines", "x": at + at[::-1], "y": above + below[::-1], "fill": "toself",
             "fillcolor": _BAND, "line": {"width": 0}, "hoverinfo": "skip"}]  # fmt: skip


def _cloud(points: Sequence[Point], colour: str, unit: str) -> dict[str, Any]:
    symbols = ["circle" if p.inside else "circle-open" for p in points]
    return {
        "type": "scatter", "mode": "markers", "x": [p.measured for p in points], "y": [p.predicted for p in points],
        "marker": {"color": colour, "symbol": symbols, "size": 7 if len(points) < 400 else 5, "opacity": 0.75},
        "text": [f"{escaped(p.label)}<br>p10 to p90: {plain(p.low)} to {plain(p.high)} {unit}" for p in points],
        "hovertemplate": "%{text}<br>measured %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    }  # fmt: skip


def error_plot(
    groups: Mapping[str, Sequence[float]], div_id: str, what: str, heading: str = "", in_order: bool = False
) -> Plot:
    """Return boxes of predicted over measured by group: the middle half, whiskers from p10 to p90, and the median.

    The groups stand in the order of their error, or as they come (``in_order``).
    """
    names = sorted(groups, key=lambda name: -len(groups[name]))[:_MOST_GROUPS]
    left_out = len(groups) - len(names)
    if in_order:
        names = [name for name in groups if name in names]
    else:
        names.sort(key=lambda name: abs(math.log(statistics.median(groups[name]))))
    quantiles = [[_quantile(sorted(groups[name]), q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)] for name in names]
    far = max([2.2, *(max(q[4], 1 / q[0]) * 1.1 for q in quantiles)])
    marks = [m for m in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if 1 / far <= m <= far]
    layout = base_layout(
        xaxis=axis("predicted / measured time", type="log", range=[-math.log10(far), math.log10(far)], tickvals=marks,
                   ticktext=[f"{m:g}" for m in marks], fixedrange=True),
        yaxis=names_axis([f"{escaped(_short(name))}  ({len(groups[name]):,})" for name in names]),
        margin={"l": 8, "r": 16, "t": 8, "b": 44},
        shapes=[_mark(at, dash) for at, dash in ((1.0, "solid"), (2.0, "dot"), (0.5, "dot"))],
    )  # fmt: skip
    box: dict[str, Any] = {
        "type": "box", "orientation": "h", "y": list(range(len(names))), "hoverinfo": "x", "width": 0.6,
        "lowerfence": [q[0] for q in quantiles], "q1": [q[1] for q in quantiles], "median": [q[2] for q in quantiles],
        "q3": [q[3] for q in quantiles], "upperfence": [q[4] for q in quantiles],
        "line": {"color": BLUE, "width": 1.5}, "fillcolor": "rgba(86,180,233,0.45)",
    }  # fmt: skip
    title = heading or f"Predicted over measured by {what}"
    title += f" ({left_out} more in the table)" if left_out else ""
    label = f"Boxes of predicted over measured for {len(names)} groups by {what}, whiskers from p10 to p90"
    return Plot(div_id, title, label, 70 + 30 * len(names), [box], layout)


def _short(name: str) -> str:
    """Return a name that leaves room for the figure on a phone: a long one loses its middle."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2]}…{name[-_LONGEST_NAME // 2 :]}"


def _mark(at: float, dash: str) -> dict[str, Any]:
    return {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "layer": "below",
            "line": {"color": GREY, "width": 1, "dash": dash}}  # fmt: skip


def _quantile(values: Sequence[float], share: float) -> float:
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)
