"""The roofline: what each operator reaches against what the peaks and the memory bandwidth allow."""

from __future__ import annotations

from math import log10
from typing import Any, NamedTuple

from perfmodel.errors import InputError
from perfmodel.formats import runnable_format
from perfmodel.reports.ops_table import STEPS, Phase, label, main_phases, of_bound, operators_of, phases, share
from perfmodel.reports.text import MISSING, Report, Row, amount, number, percent, plain, quantity, seconds
from perfmodel.reports.views.labels import Box, Label, place_labels
from perfmodel.reports.views.style import (
    GREY,
    WIDE_ONLY,
    axis,
    base_layout,
    decades,
    escaped,
    part_colour,
    phase_symbols,
)
from perfmodel.reports.views.view import Key, Plot, Table, View

_NAMES_PER_PHASE = 3
_HEIGHT_PX = 520
_CAPTION = (
    "Each mark is one operator, larger the more of its phase's time it takes. The height is what it reaches at its "
    "expected time; the sloped line is the memory bandwidth, a flat line the peak of a data type. "
    "Operators without arithmetic or without memory traffic, such as collectives, are in the table only."
)
_ABOVE = " A mark over the slope finds part of its data in a cache."
_NO_PEAKS = " The peaks of the device are not known."


class _Point(NamedTuple):
    row: Row
    phase: Phase
    intensity: float
    rate: float


class _Machine(NamedTuple):
    """Memory bandwidth and the peaks of the data types that the operators use, both in SI units."""

    bandwidth: float | None
    peaks: dict[str, float]


def roofline_view(report: Report) -> View:
    """Return the roofline of an estimate: arithmetic intensity against FLOP/s, a point per operator."""
    machine = _machine(report)
    groups = phases(report)
    drawn = main_phases(report)
    points = [point for phase in drawn for row in phase.rows if (point := _point(row, phase)) is not None]
    plots = [_plot(points, machine)] if points else []
    caption = _caption(points, machine) if points else ""
    return View("roofline", "Roofline", _finding(points, drawn), plots, _table(groups), caption)


def _caption(points: list[_Point], machine: _Machine) -> str:
    above = machine.bandwidth and any(point.rate > point.intensity * machine.bandwidth for point in points)
    return _CAPTION + (_ABOVE if above else "") + ("" if machine.peaks else _NO_PEAKS)


def _machine(report: Report) -> _Machine:
    device: Row = report.get("device") or {}
    peaks: Row = device.get("peak_flops_per_s") or {}
    dtypes = dict.fromkeys(str(row.get("dtype")) for row in operators_of(report) if number(row.get("flops")))
    used = dict.fromkeys(_peak_key(dtype, frozenset(peaks)) for dtype in dtypes)
    known = {dtype: peak for dtype in used if (peak := number(peaks.get(dtype)))}
    return _Machine(number(device.get("memory_bandwidth_bytes_per_s")) or None, known)


def _peak_key(dtype: str, peaks: frozenset[str]) -> str:
    """Return the data type that an operator multiplies in on a device with these peaks."""
    if dtype in peaks:
        return dtype
    try:
        return runnable_format(dtype, peaks).compute
    except InputError:
        return dtype


def _point(row: Row, phase: Phase) -> _Point | None:
    """Return where an operator stands, or None if it has no arithmetic, no traffic or no time."""
    flops, traffic, time_s = (number(row.get(key)) for key in ("flops", "bytes", "expected_s"))
    if not flops or not traffic or not time_s:
        return None
    return _Point(row, phase, flops / traffic, flops / time_s)


def _finding(points: list[_Point], groups: list[Phase]) -> str:
    if not points:
        return "The estimate has no operator with both arithmetic and memory traffic: there is nothing to draw."
    return "; ".join(clause for phase in groups if (clause := _clause(phase))) + "."


def _clause(phase: Phase) -> str:
    """Return what limits most of a phase's time, and how close to the bound that time is."""
    spent: dict[str, float] = {}
    least: dict[str, float] = {}
    for row in phase.rows:
        limit = str(row.get("bottleneck") or "something unknown")
        spent[limit] = spent.get(limit, 0.0) + amount(row.get("expected_s"))
        least[limit] = least.get(limit, 0.0) + amount(row.get("bound_s"))
    limit = max(spent, key=lambda name: spent[name])
    if not spent[limit]:
        return ""
    part, reached = percent(spent[limit] / phase.expected_s), percent(least[limit] / spent[limit])
    return f"{part} of {_time_of(phase)} is limited by {limit}, at {reached} of the bound's speed"


def _time_of(phase: Phase) -> str:
    return f"{phase.spoken} time" if phase.name in STEPS else f"the time of {phase.name}"


def _plot(points: list[_Point], machine: _Machine) -> Plot:
    rates = [point.rate for point in points] + list(machine.peaks.values())
    ridges = [peak / machine.bandwidth for peak in machine.peaks.values()] if machine.bandwidth else []
    intensities = [point.intensity for point in points] + ridges
    area = Box(min(intensities) / 3, min(rates) / 3, max(intensities) * 14, max(rates) * 2.5)
    layout = base_layout(
        xaxis=axis("FLOP per byte of main memory", **decades(area.left, area.right, "")),
        yaxis=axis("", **decades(area.bottom, area.top, "flops_per_s")),
        annotations=[*_roof_names(machine, area), *_names(points, machine, area)],
        margin={"l": 12, "r": 12, "t": 34, "b": 48},
    )
    data = [*_roofs(machine, area), *_marks(points)]
    label = f"Roofline: {len(points)} operators by arithmetic intensity and FLOP/s under the roofs of the device"
    return Plot("plot-roofline", "", label, _HEIGHT_PX, data, layout, _legend(points), zoomable=True)


def _legend(points: list[_Point]) -> tuple[Key, ...]:
    """Return the shapes of the phases and the colours of the parts."""
    names = dict.fromkeys(point.phase.name for point in points)
    parts = dict.fromkeys(str(point.row.get("part") or "other") for point in points)
    shapes = [Key(symbol, "", name) for name, symbol in phase_symbols(names).items()]
    return (*shapes, *(Key("bar", part_colour(part), part) for part in parts))


def _roofs(machine: _Machine, area: Box) -> list[dict[str, Any]]:
    lines = [_roof(area, peak, machine.bandwidth) for peak in machine.peaks.values()]
    if machine.bandwidth and not lines:
        lines = [([area.left, area.right], [area.left * machine.bandwidth, area.right * machine.bandwidth])]
    style = {"mode": "lines", "line": {"color": GREY, "width": 2}, "hoverinfo": "skip"}
    return [{"type": "scatter", "x": x, "y": y, **style} for x, y in lines]


def _roof(area: Box, peak: float, bandwidth: float | None) -> tuple[list[float], list[float]]:
    if not bandwidth:
        return [area.left, area.right], [peak, peak]
    return [area.left, peak / bandwidth, area.right], [area.left * bandwidth, peak, peak]


def _roof_names(machine: _Machine, area: Box) -> list[dict[str, Any]]:
    """Return the names of the roofs, on the flat ones at the right, over the slope on it."""
    names = [
        _note(area.right, peak, f"{escaped(dtype)} {quantity(peak, 'flops_per_s')}", xanchor="right", yanchor="bottom")
        for dtype, peak in machine.peaks.items()
    ]
    if machine.bandwidth:
        end = min([peak / machine.bandwidth for peak in machine.peaks.values()], default=area.right)
        x = area.left**0.2 * end**0.8
        text = f"memory {quantity(machine.bandwidth, 'bytes_per_s')} "
        names.append(_note(x, x * machine.bandwidth, text, xanchor="right", yanchor="bottom"))
    return names


def _note(x: float, y: float, text: str, **more: Any) -> dict[str, Any]:
    """Return a text at a point; on logarithmic axes plotly wants the powers of ten."""
    return {"x": round(log10(x), 4), "y": round(log10(y), 4), "text": text, "showarrow": False, **more}


def _marks(points: list[_Point]) -> list[dict[str, Any]]:
    """Return one trace for each phase and part: they differ in shape and colour."""
    groups: dict[tuple[str, str], list[_Point]] = {}
    for point in points:
        groups.setdefault((point.phase.name, str(point.row.get("part") or "other")), []).append(point)
    symbols = phase_symbols(point.phase.name for point in points)
    return [_trace(phase, symbols[phase], part, found) for (phase, part), found in groups.items()]


def _trace(phase: str, symbol: str, part: str, points: list[_Point]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{escaped(phase)}: {escaped(part)}",
        "x": [point.intensity for point in points],
        "y": [point.rate for point in points],
        "text": [_hover(point) for point in points],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": symbol,
            "color": part_colour(part),
            "size": [round(9 + 20 * share(point.row, point.phase) ** 0.5, 1) for point in points],
            "opacity": 0.9,
            "line": {"color": "#ffffff", "width": 1},
        },
    }


def _hover(point: _Point) -> str:
    row = point.row
    lines = [
        f"<b>{escaped(row.get('name'))}</b> ({escaped(point.phase.name)}, {escaped(row.get('part'))})",
        f"{percent(share(row, point.phase))} of the phase, limited by {escaped(row.get('bottleneck'))}",
        f"expected {seconds(row.get('expected_s'))} ({seconds(row.get('p10_s'))} to {seconds(row.get('p90_s'))})",
        f"bound {seconds(row.get('bound_s'))}, {percent(of_bound(row))} of its speed",
        f"{plain(point.intensity)} FLOP/byte, {quantity(point.rate, 'flops_per_s')}",
    ]
    return "<br>".join(lines)


def _names(points: list[_Point], machine: _Machine, area: Box) -> list[dict[str, Any]]:
    """Return the names of the slowest operators of each phase, where they have room (the page hides them on phones)."""
    slow: list[_Point] = []
    for phase in dict.fromkeys(point.phase.name for point in points):
        slow += [point for point in points if point.phase.name == phase][:_NAMES_PER_PHASE]
    slow.sort(key=lambda point: -share(point.row, point.phase))
    wanted = [(point.intensity, point.rate, label(point.row, point.phase)) for point in slow]
    roofs = [(area.right / part, peak) for peak in machine.peaks.values() for part in (1.2, 1.7, 2.5, 4, 6)]
    taken = [(p.intensity, p.rate) for p in points] + roofs  # the names of the roofs stand at their right ends
    return [_leader(label) for label in place_labels(wanted, taken, area)]


def _leader(label: Label) -> dict[str, Any]:
    """Return a name with a thin line to its point."""
    anchor = "left" if label.right_px > 0 else "right" if label.right_px < 0 else "center"
    line = {"showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": GREY, "standoff": 6}
    place = {"ax": label.right_px, "ay": -label.up_px, "xanchor": anchor, "borderpad": 1, "font": {"size": 12}}
    return _note(label.x, label.y, escaped(label.text), name=WIDE_ONLY, **line, **place)


def _table(groups: list[Phase]) -> Table:
    numbers = ("FLOP", "memory traffic", "FLOP/byte", "FLOP/s reached", "of the bound")
    rows = [_cells(row, phase) for phase in groups for row in phase.rows]
    return Table(("operator", "phase", "part", "dtype", *numbers), rows, frozenset({0, 1, 2, 3}))


def _cells(row: Row, phase: Phase) -> tuple[str, ...]:
    point = _point(row, phase)
    texts = [str(row.get(key) or MISSING) for key in ("name", "part", "dtype")]
    amounts = [quantity(row.get("flops"), "flops"), quantity(row.get("bytes"), "bytes")]
    place = [plain(point.intensity), quantity(point.rate, "flops_per_s")] if point else [MISSING, MISSING]
    return (texts[0], phase.name, *texts[1:], *amounts, *place, percent(of_bound(row)))
