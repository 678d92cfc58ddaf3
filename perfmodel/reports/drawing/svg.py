"""SVG elements as text. Whatever a reader wrote is escaped here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from perfmodel.reports.views.view import Drawing, Key

WIDE_PX, NARROW_PX = 860, 344
"""Widths at which a chart is drawn: letters keep their size on a phone because it gets a drawing of its own."""

LETTER_PX = 7.8


def both(
    heading: str, label: str, legend: tuple[Key, ...], draw: Callable[[int], tuple[int, list[str]]]
) -> Drawing:  # fmt: skip
    """Return a drawing for wide pages and for phones; ``draw`` gives the height and the elements for a width."""
    made: list[str] = []
    for kind, width in (("wide", WIDE_PX), ("narrow", NARROW_PX)):
        height, elements = draw(width)
        made.append(f'<svg class="{kind}" viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(elements)}</svg>')
    return Drawing(heading, label, made[0], made[1], legend)


def px(value: float) -> str:
    """Return a pixel with one digit behind the point, at most."""
    return f"{value:.1f}".removesuffix(".0")


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis", more: str = "") -> str:
    """Return a straight line; ``kind`` is its class in the style sheet."""
    return f'<line class="{kind}" x1="{px(x1)}" y1="{px(y1)}" x2="{px(x2)}" y2="{px(y2)}"{more}/>'


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """Return a text that begins (start), ends (end) or is centred (middle) at a point."""
    named = f' class="{kind}"' if kind else ""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{named} x="{px(x)}" y="{px(y)}"{at}>{escape(words)}</text>'


def centred(x: float, y: float, words: str, width: float, kind: str = "") -> str:
    """Return a text around ``x``, moved so far that it lies within the drawing's width."""
    half = min(LETTER_PX * len(words) / 2, width / 2)
    return text(min(max(x, half), width - half), y, words, "middle", kind)


def box(x: float, y: float, width: float, height: float, colour: str, title: str = "") -> str:
    """Return a filled rectangle; ``title`` is shown where a pointer rests on it."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    size = f'width="{px(max(width, 0.0))}" height="{px(height)}"'
    return f'<rect x="{px(x)}" y="{px(y)}" {size} fill="{colour}">{inside}</rect>'


def path(points: list[tuple[float, float]], colour: str, more: str = "") -> str:
    """Return straight lines from point to point."""
    data = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points)
    return f'<path d="{data}" fill="none" stroke="{colour}" stroke-width="2"{more}/>'


def area(points: list[tuple[float, float]], colour: str, opacity: float = 0.18) -> str:
    """Return a filled polygon that lets the grid shine through."""
    data = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points) + "z"
    return f'<path d="{data}" fill="{colour}" fill-opacity="{opacity:g}"/>'


_SHAPES = {
    "circle": "M{0} {1}m-{r} 0a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z",
    "diamond": "M{0} {1}m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z",
    "square": "M{0} {1}m-{r} -{r}h{d}v{d}h-{d}z",
}
SHAPES = tuple(_SHAPES)


def mark(x: float, y: float, shape: str, colour: str, title: str = "", size: float = 4.2) -> str:
    """Return a marker: circle, diamond or square."""
    reach = size * {"diamond": 1.3, "square": 0.9}.get(shape, 1.0)
    data = _SHAPES[shape].format(px(x), px(y), r=px(reach), d=px(2 * reach))
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<path class="mark" d="{data}" fill="{colour}">{inside}</path>'
