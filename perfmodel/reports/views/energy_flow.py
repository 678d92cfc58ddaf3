"""Where the joules of a request go: from the request over its phases to arithmetic, memory, links and idling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfmodel.reports.drawing import svg
from perfmodel.reports.text import Report, Row, amount, percent, quantity
from perfmodel.reports.views.style import BLUE, GREEN, GREY, ORANGE, PURPLE
from perfmodel.reports.views.view import Drawing, Key, Table, View

_PARTS = (("arithmetic", "compute_j", ORANGE), ("memory", "memory_j", BLUE), ("links", "link_j", PURPLE))
_STATIC = "static power"
_COLOURS = {name: colour for name, _, colour in _PARTS} | {_STATIC: GREY}
_HEIGHT_PX, _GAP_PX, _NODE_PX, _LINE_PX = 250, 12, 12, 15
Flow = tuple[str, str, float]


def energy_view(report: Report) -> View:
    """Return the joules of a request by phase and by what takes them."""
    found = flows(report)
    total = sum(joules for _, _, joules in found)
    headers = ("phase", "goes to", "joules", "share")
    if not total:
        text = "The power of this device is not known: there is no energy to follow."
        return View("energy", "Energy of a request", text, [], Table(headers, []))
    rows = [(phase, part, quantity(joules, "joules"), percent(joules / total)) for phase, part, joules in found]
    phase, part, most = max(found, key=lambda flow: flow[2])
    where = _STATIC if part == _STATIC else f"{part} of {phase}"
    said = f"A request takes {quantity(total, 'joules')}, {percent(most / total)} of them for {where}."
    return View(
        "energy", "Energy of a request", said, [], Table(headers, rows, frozenset({0, 1})), "", [_drawing(found)]
    )


def flows(report: Report) -> list[Flow]:
    """Return (phase, what takes it, joules) of a request, of what is above zero."""
    energy: Row = report.get("energy") or {}
    found = [
        (phase, name, amount(energy.get(f"{phase}_{key}")))
        for phase in ("prefill", "decode")
        for name, key, _ in _PARTS
    ]
    found.append(("whole time", _STATIC, amount(energy.get("static_j"))))
    return [flow for flow in found if flow[2] > 0]


def _drawing(found: Sequence[Flow]) -> Drawing:
    legend = tuple(Key("bar", _COLOURS[part], part) for part in dict.fromkeys(part for _, part, _ in found))
    return svg.both(
        "", "Energy of a request by phase and part", legend, lambda width: (_HEIGHT_PX, _elements(found, width))
    )


def _elements(found: Sequence[Flow], width: int) -> list[str]:
    """Draw three columns of nodes: the request, its phases, what takes the joules."""
    total = sum(joules for _, _, joules in found)
    by_phase, by_part = _sums(found, 0), _sums(found, 1)
    phases, parts = list(by_phase), list(by_part)
    scale = (_HEIGHT_PX - 20 - _GAP_PX * max(len(phases), len(parts))) / total
    columns = (0.0, width * (0.36 if width > 500 else 0.26), width - (150.0 if width > 500 else 144.0))
    left, right = _stack(by_phase, scale), _stack(by_part, scale)
    elements = [svg.box(columns[0], 10, _NODE_PX, total * scale, GREEN)]
    elements.append(svg.text(columns[0], _HEIGHT_PX - 2, f"request: {quantity(total, 'joules')}"))
    begin = 10.0
    for name in phases:
        height = by_phase[name] * scale
        elements.append(_ribbon(columns[0], begin, columns[1], left[name], height, GREEN))
        begin += height
    at_left, at_right = dict(left), dict(right)
    for phase, part, joules in found:
        elements.append(_ribbon(columns[1], at_left[phase], columns[2], at_right[part], joules * scale, _COLOURS[part]))
        at_left[phase] += joules * scale
        at_right[part] += joules * scale
    room = columns[2] - columns[1] - _NODE_PX
    for places, column, sums in ((left, columns[1], by_phase), (right, columns[2], by_part)):
        middles = _apart([top + sums[name] * scale / 2 for name, top in places.items()])
        for (name, top), middle in zip(places.items(), middles, strict=True):
            elements.append(svg.box(column, top, _NODE_PX, sums[name] * scale, _COLOURS.get(name, GREEN), name))
            text = f"{name} {percent(sums[name] / total)}"
            if column == columns[1] and svg.LETTER_PX * len(text) > room:  # on a phone: beside the next column
                text = text.replace(" time", "")
            elements.append(svg.text(column + _NODE_PX + 5, middle + 4, text))
    return elements


def _apart(middles: Sequence[float]) -> list[float]:
    """Return where texts beside nodes stand so that none lies on another."""
    found: list[float] = []
    for middle in middles:
        found.append(max(middle, found[-1] + _LINE_PX) if found else middle)
    return found


def _sums(found: Sequence[Flow], place: int) -> dict[str, float]:
    """Return the joules by phase (place 0) or by part (1), in the order of the flows."""
    sums: dict[str, float] = {}
    for phase, part, joules in found:
        name = part if place else phase
        sums[name] = sums.get(name, 0.0) + joules
    return sums


def _stack(sizes: Mapping[str, float], scale: float) -> dict[str, float]:
    """Return the top of each node of a column."""
    found: dict[str, float] = {}
    top = 10.0
    for name, value in sizes.items():
        found[name] = top
        top += value * scale + _GAP_PX
    return found


def _ribbon(x1: float, y1: float, x2: float, y2: float, height: float, colour: str) -> str:
    start, middle = x1 + _NODE_PX, (x1 + _NODE_PX + x2) / 2
    a, b, c, d = (svg.px(v) for v in (y1, y2, y2 + height, y1 + height))
    s, m, e = svg.px(start), svg.px(middle), svg.px(x2)
    data = f"M{s} {a}C{m} {a} {m} {b} {e} {b}L{e} {c}C{m} {c} {m} {d} {s} {d}z"
    return f'<path d="{data}" fill="{colour}" fill-opacity="0.35"/>'
