"""Bars that lie, one below the other: stacked parts, whiskers, and a diamond for the bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from perfmodel.reports.drawing import svg
from perfmodel.reports.drawing.lines import Axis
from perfmodel.reports.drawing.scales import Scale, scale_over, ticks
from perfmodel.reports.views.view import Drawing, Key

_TOP_PX, _BOTTOM_PX, _BAR_PX = 8, 46, 17


class Part(NamedTuple):
    """One part of a bar: what it is, how long, and its colour."""

    name: str
    value: float
    colour: str


@dataclass(frozen=True)
class Bar:
    """A bar of parts with a name, a text at its end, and perhaps a whisker (low, high) and a bound."""

    name: str
    parts: Sequence[Part]
    text: str = ""
    whisker: tuple[float, float] | None = None
    bound: float | None = None

    @property
    def length(self) -> float:
        """Return the length of the whole bar."""
        return sum(part.value for part in self.parts)

    @property
    def end(self) -> float:
        """Return how far anything of the bar reaches."""
        return max(self.length, self.whisker[1] if self.whisker else 0.0, self.bound or 0.0)


def bars(label: str, rows: Sequence[Bar], axis: Axis, heading: str = "") -> Drawing:
    """Return the chart, or a word that there is nothing to draw."""
    if not rows or max(row.end for row in rows) <= 0:
        return svg.both(heading, label, (), lambda _: (40, [svg.text(0, 24, "There is nothing to draw.")]))
    named = {part.name: part.colour for row in rows for part in row.parts if part.name}
    legend = tuple(Key("bar", colour, name) for name, colour in named.items())
    if any(row.bound is not None for row in rows):
        legend += (Key("diamond", "#ffffff", "bound"),)
    return svg.both(heading, label, legend, lambda width: _drawn(rows, axis, width))


def _drawn(rows: Sequence[Bar], axis: Axis, width: int) -> tuple[int, list[str]]:
    """Draw names beside the bars where there is room, else above them."""
    beside = width >= svg.WIDE_PX
    pitch = _BAR_PX + (10 if beside else 27)
    left = 10 + svg.LETTER_PX * max(len(row.name) for row in rows) if beside else 4.0
    right = 14 + svg.LETTER_PX * max(len(row.text) for row in rows)
    across = scale_over([row.end for row in rows], left, width - right, False)
    height = _TOP_PX + pitch * len(rows) + _BOTTOM_PX
    parts = _frame(across, axis, height, width)
    for place, row in enumerate(rows):
        top = _TOP_PX + pitch * place + (0 if beside else 17)
        parts += _bar(row, across, top, beside)
    return height, parts


def _frame(across: Scale, axis: Axis, height: int, width: int) -> list[str]:
    bottom = height - _BOTTOM_PX
    parts: list[str] = []
    for value in ticks(across, 6 if across.end_px - across.start_px > 400 else 3):
        parts.append(svg.line(across.at(value), _TOP_PX, across.at(value), bottom, "grid"))
        parts.append(svg.text(across.at(value), bottom + 18, axis.write(value), "middle"))
    parts.append(svg.line(across.at(0.0), _TOP_PX, across.at(0.0), bottom))
    parts.append(svg.centred((across.start_px + across.end_px) / 2, height - 6, axis.title, width, "dim"))
    return parts


def _bar(row: Bar, across: Scale, top: float, beside: bool) -> list[str]:
    middle = top + _BAR_PX / 2
    x, y = (across.start_px - 8, middle + 4) if beside else (across.start_px + 4, top - 5)
    parts = [svg.text(x, y, row.name, "end" if beside else "start")]
    begin = 0.0
    for part in row.parts:
        start, end = across.at(begin), across.at(begin + part.value)
        parts.append(svg.box(start, top, end - start, _BAR_PX, part.colour, f"{row.name}, {part.name}"))
        begin += part.value
    if row.whisker:
        low, high = across.at(row.whisker[0]), across.at(row.whisker[1])
        parts += [svg.line(low, middle, high, middle)]
        parts += [svg.line(x, middle - 4, x, middle + 4) for x in (low, high)]
    if row.bound is not None:
        parts.append(svg.mark(across.at(row.bound), middle, "diamond", "#ffffff", f"{row.name}: bound"))
    if row.text:
        parts.append(svg.text(across.at(row.end) + 8, middle + 4, row.text))
    return parts
