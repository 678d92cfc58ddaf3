"""Lines over an axis, with markers that differ in shape, bands, and reference lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from perfmodel.reports.drawing import svg
from perfmodel.reports.drawing.scales import Scale, scale_over, ticks
from perfmodel.reports.text import plain
from perfmodel.reports.views.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY
from perfmodel.reports.views.view import Drawing, Key

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, GREY)
_TOP_PX, _BOTTOM_PX, _RIGHT_PX = 30, 46, 16


@dataclass(frozen=True)
class Line:
    """A named line through points; without ``joined`` they stand alone, without ``marked`` the line does.

    ``band`` has (x, low, high) around it.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    joined: bool = True
    dashed: bool = False
    marked: bool = True


@dataclass(frozen=True)
class Axis:
    """What an axis shows: a title with its unit, how values are written, and which are named (None: round ones)."""

    title: str
    log: bool = False
    write: Callable[[float], str] = plain
    named: Sequence[float] | None = None
    zero: bool = True


class Mark(NamedTuple):
    """A reference line at a value of the axis ``x`` or ``y``, with a text."""

    axis: str
    value: float
    text: str


def lines(
    label: str, series: Sequence[Line], x: Axis, y: Axis, heading: str = "", marks: Sequence[Mark] = (),
    height: int = 360,
) -> Drawing:  # fmt: skip
    """Return the chart; points that are not finite (or, on logarithmic axes, not above zero) are left out."""
    kept = [replace(s, points=_finite(s.points, x, y)) for s in series]
    kept = [one for one in kept if one.points]
    if not kept:
        return svg.both(heading, label, (), lambda _: (40, [svg.text(0, 24, "There is nothing to draw.")]))
    shapes = svg.SHAPES
    legend = tuple(Key(shapes[i % 3] if one.marked else "bar", COLOURS[i % 6], one.name) for i, one in enumerate(kept))
    return svg.both(heading, label, legend, lambda width: (height, _drawn(kept, x, y, marks, width, height)))


def _finite(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> list[tuple[float, float]]:
    return [
        (a, b)
        for a, b in points
        if math.isfinite(a) and math.isfinite(b) and (a > 0 or not x.log) and (b > 0 or not y.log)
    ]


def _drawn(series: Sequence[Line], x: Axis, y: Axis, marks: Sequence[Mark], width: int, height: int) -> list[str]:
    xs = [a for one in series for a, _ in one.points] + [m.value for m in marks if m.axis == "x"]
    ys = [b for one in series for _, b in one.points] + [m.value for m in marks if m.axis == "y"]
    ys += [edge for one in series for _, *edges in one.band for edge in edges if edge > 0 or not y.log]
    up = scale_over(ys, height - _BOTTOM_PX, _TOP_PX, y.log, y.zero)
    left = 12 + svg.LETTER_PX * max(len(y.write(tick)) for tick in ticks(up))
    right = max(_RIGHT_PX, svg.LETTER_PX * len(x.write(max(x.named or xs))) / 2 - 4)
    across = scale_over(xs, left, width - right, x.log, x.zero)
    parts = _frame(across, up, x, y, width, height)
    for row, mark in enumerate(marks):
        parts += _reference(mark, across, up, series, row)
    for place, one in enumerate(series):
        parts += _line(one, across, up, place, x, y)
    return parts


def _frame(across: Scale, up: Scale, x: Axis, y: Axis, width: int, height: int) -> list[str]:
    bottom = height - _BOTTOM_PX
    parts = [svg.text(0, 14, y.title, kind="dim")]
    for value in ticks(up):
        parts.append(svg.line(across.start_px, up.at(value), across.end_px, up.at(value), "grid"))
        parts.append(svg.text(across.start_px - 7, up.at(value) + 4, y.write(value), "end"))
    most = max(2, width // 90)
    named = [v for v in x.named if across.low <= v <= across.high] if x.named else ticks(across, most)
    for value in _thinned(named, most):
        parts.append(svg.line(across.at(value), bottom, across.at(value), bottom + 5))
        parts.append(svg.text(across.at(value), bottom + 19, x.write(value), "middle"))
    parts.append(svg.line(across.start_px, bottom, across.end_px, bottom))
    parts.append(svg.centred((across.start_px + across.end_px) / 2, height - 6, x.title, width, "dim"))
    return parts


def _thinned(values: Sequence[float], most: int) -> list[float]:
    return list(values[:: math.ceil(len(values) / most)]) if values else []


def _reference(mark: Mark, across: Scale, up: Scale, series: Sequence[Line], row: int) -> list[str]:
    """Draw a reference line; the text of a level stands at the end where the lines are farther from it.

    The texts of lines that stand are in rows, so that none lies on another.
    """
    dashes = ' stroke-dasharray="5 4"'
    if mark.axis == "y":
        at = up.at(mark.value)
        left, right = (min(abs(up.at(one.points[end][1]) - at) for one in series) for end in (0, -1))
        x, anchor = (across.start_px + 5, "start") if left > right else (across.end_px, "end")
        words = svg.text(x, at - 5, mark.text, anchor, "dim")
        return [svg.line(across.start_px, at, across.end_px, at, "axis", dashes), words]
    at = across.at(mark.value)
    to_left = at > (across.start_px + across.end_px) / 2
    words = svg.text(
        at + (-5 if to_left else 5), up.end_px + 10 + 15 * row, mark.text, "end" if to_left else "start", "dim"
    )
    return [svg.line(at, up.start_px, at, up.end_px, "axis", dashes), words]


def _line(one: Line, across: Scale, up: Scale, place: int, x: Axis, y: Axis) -> list[str]:
    colour, shape = COLOURS[place % 6], svg.SHAPES[place % 3]
    parts: list[str] = []
    if one.band:
        edge = [(across.at(a), up.at(high)) for a, _, high in one.band]
        back = [(across.at(a), up.at(low)) for a, low, _ in reversed(one.band)]
        parts.append(svg.area(edge + back, colour))
    pixels = [(across.at(a), up.at(b)) for a, b in one.points]
    if one.joined and len(pixels) > 1:
        parts.append(svg.path(pixels, colour, ' stroke-dasharray="6 4"' if one.dashed else ""))
    for (a, b), (left, top) in zip(one.points, pixels, strict=True) if one.marked else ():
        parts.append(svg.mark(left, top, shape, colour, f"{one.name}: {x.write(a)}, {y.write(b)}"))
    return parts
