"""Where names of points go on a logarithmic chart, so that none covers a point or another name."""

from __future__ import annotations

from math import log10
from typing import NamedTuple

_WIDTH_PX, _HEIGHT_PX = 900.0, 380.0
_LETTER_PX, _LINE_PX, _MARK_PX = 7.0, 16.0, 10.0
_OFFSETS = ((32, 0), (32, -24), (24, -46), (0, -44), (24, -70), (60, -12), (40, -94), (32, 24), (-24, -70), (24, -118))


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
    """A name with the point that it belongs to, and where it starts or ends from there: pixels to the right and up."""

    x: float
    y: float
    text: str
    right_px: int
    up_px: int


def place_labels(wanted: list[tuple[float, float, str]], points: list[tuple[float, float]], area: Box) -> list[Label]:
    """Return the names (x, y, text) that have room on a chart of usual width over ``area``, the first ones first."""
    taken = [_around(*_pixel(x, y, area), _MARK_PX, _MARK_PX) for x, y in points]
    placed: list[Label] = []
    for x, y, text in wanted:
        found = _free_place(_pixel(x, y, area), text, taken)
        if found is not None:
            label, box = found
            placed.append(Label(x, y, text, *label))
            taken.append(box)
    return placed


def _free_place(point: tuple[float, float], text: str, taken: list[Box]) -> tuple[tuple[int, int], Box] | None:
    for offset in _OFFSETS:
        box = _text_box(point, offset, len(text) * _LETTER_PX)
        inside = box.left > 0 and box.right < _WIDTH_PX and box.bottom > 0
        if inside and not any(box.touches(other) for other in taken):
            return offset, box
    return None


def _text_box(point: tuple[float, float], offset: tuple[int, int], width: float) -> Box:
    """Return where a text stands that starts at an offset to the right, ends at one to the left, or is centred."""
    x, y = point[0] + offset[0], point[1] + offset[1]
    left = x if offset[0] > 0 else x - width if offset[0] < 0 else x - width / 2
    return Box(left, y - _LINE_PX / 2, left + width, y + _LINE_PX / 2)


def _around(x: float, y: float, half_width: float, half_height: float) -> Box:
    return Box(x - half_width, y - half_height, x + half_width, y + half_height)


def _pixel(x: float, y: float, area: Box) -> tuple[float, float]:
    across = log10(x / area.left) / log10(area.right / area.left)
    return across * _WIDTH_PX, log10(y / area.bottom) / log10(area.top / area.bottom) * _HEIGHT_PX
