"""Where names of points go on a logarithmic chart, so that none covers a point or another name."""

from __future__ import annotations

from math import log10
from typing import NamedTuple

_WIDTH_PX, _HEIGHT_PX = 860.0, 400.0
_LETTER_PX, _LINE_PX, _MARK_PX = 6.8, 15.0, 9.0
_PLACES = (
    ("middle right", 1, 0),
    ("bottom right", 1, -1),
    ("bottom center", 0, -1),
    ("bottom left", -1, -1),
    ("middle left", -1, 0),
    ("top center", 0, 1),
    ("top left", -1, 1),
)


class Box(NamedTuple):
    """A rectangle: of values, or of pixels counted from the bottom left."""

    left: float
    bottom: float
    right: float
    top: float

    def touches(self, other: Box) -> bool:
        """Say whether two rectangles overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top


class Label(NamedTuple):
    """A name with the point that it belongs to and its place beside it, in plotly's words."""

    x: float
    y: float
    text: str
    position: str


def place_labels(
    wanted: list[tuple[float, float, str]], points: list[tuple[float, float]], area: Box
) -> list[Label]:
    """Return the names (x, y, text) that have room on a chart of usual width over ``area``, the first ones first."""
    taken = [_around(*_pixel(x, y, area), _MARK_PX, _MARK_PX) for x, y in points]
    placed: list[Label] = []
    for x, y, text in wanted:
        found = _free_place(_pixel(x, y, area), text, taken)
        if found is not None:
            placed.append(Label(x, y, f"\u2002{text}\u2002", found[0]))
            taken.append(found[1])
    return placed


def _free_place(centre: tuple[float, float], text: str, taken: list[Box]) -> tuple[str, Box] | None:
    half_width, half_height = _LETTER_PX * len(text) / 2, _LINE_PX / 2
    chart = Box(0, 0, _WIDTH_PX, _HEIGHT_PX)
    for position, right, up in _PLACES:
        x = centre[0] + right * (half_width + _MARK_PX + 6)
        y = centre[1] + up * (half_height + _MARK_PX + 2)
        box = _around(x, y, half_width, half_height)
        inside = box.left > chart.left and box.right < chart.right and box.bottom > chart.bottom
        if inside and not any(box.touches(other) for other in taken):
            return position, box
    return None


def _around(x: float, y: float, half_width: float, half_height: float) -> Box:
    return Box(x - half_width, y - half_height, x + half_width, y + half_height)


def _pixel(x: float, y: float, area: Box) -> tuple[float, float]:
    across = log10(x / area.left) / log10(area.right / area.left)
    return across * _WIDTH_PX, log10(y / area.bottom) / log10(area.top / area.bottom) * _HEIGHT_PX
