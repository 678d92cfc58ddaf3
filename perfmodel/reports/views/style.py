"""How figures look: Okabe-Ito colours without its red, neutral lines, and axes that suit light and dark pages.

Texts, grids and lines over them get their colours from the page's style sheet, which knows whether it is dark; what is
given here is for both and for images saved from the figure.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

from perfmodel.reports.text import quantity

BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#7f7f7f"
YELLOW = "#F0E442"

PART_COLOURS = {
    "attention": BLUE, "ffn": ORANGE, "head": GREEN, "embedding": PURPLE,
    "dense": ORANGE, "convolution": GREEN, "lookup": PURPLE, "depthwise": SKY, "pooling": YELLOW,
}  # fmt: skip
"""The colour of each part of a language model, and of each kind of a network's layers; any other one is grey."""

_PHASE_SYMBOLS = {"prefill": "circle", "decode": "diamond"}
_SYMBOLS = ("circle", "diamond", "square")

WIDE_ONLY = "wide-only"
"""The name of annotations that the page leaves out on a phone."""

_CORNER = 0.03
"""The part of an axis from its beginning where a label would lie on one of the other axis."""

FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", "size": 13}


def part_colour(part: object) -> str:
    """Return the colour of a part of the model."""
    return PART_COLOURS.get(str(part), GREY)


def phase_symbols(names: Iterable[str]) -> dict[str, str]:
    """Return the marker of each phase: prefill and decode have their own, networks of a pipeline take turns."""
    return {name: _PHASE_SYMBOLS.get(name, _SYMBOLS[place % 3]) for place, name in enumerate(dict.fromkeys(names))}


def ink_on(colour: str) -> str:
    """Return black or white, whichever reads better on a colour."""
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def base_layout(**more: Any) -> dict[str, Any]:
    """Return the layout that all figures share, with ``more`` over it."""
    layout: dict[str, Any] = {
        "font": {**FONT, "color": "#333333"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 12, "r": 16, "t": 12, "b": 48},
        "dragmode": False,
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
        "hoverlabel": {"bgcolor": "#222222", "bordercolor": "#222222", "font": {**FONT, "color": "#ffffff"}},
        "showlegend": False,
    }
    return layout | more


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a thin grid and margins that grow with its labels, with ``more`` over it."""
    return {
        "title": {"text": title, "standoff": 10},
        "automargin": True,
        "gridcolor": "#d9d9d9",
        "separatethousands": True,
        "zeroline": False,
        "fixedrange": False,
        **more,
    }


def names_axis(labels: Sequence[str]) -> dict[str, Any]:
    """Return an axis of rows counted from the top, so that two rows of one name stay apart."""
    count = len(labels)
    rows = {"tickvals": list(range(count)), "ticktext": list(labels), "range": [count - 0.5, -0.5]}
    gap = {"ticks": "outside", "ticklen": 8, "tickcolor": "rgba(0,0,0,0)"}
    return axis("", **rows, **gap, showgrid=False, fixedrange=True)


def decades(low: float, high: float, dimension: str) -> dict[str, Any]:
    """Return a logarithmic axis over ``low`` to ``high`` with a label at every power of ten, unit included."""
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    texts = [quantity(10.0**power, dimension) if dimension else f"{10.0**power:,g}" for power in powers]
    return {
        "type": "log",
        "range": [round(math.log10(low), 4), round(math.log10(high), 4)],
        "tickvals": [10.0**power for power in powers],
        "ticktext": texts,
    }


def log_axis(title: str, values: Iterable[float], most: int = 8, air: float = 0.04) -> dict[str, Any]:
    """Return a logarithmic axis over values above zero, with some air, labelled at 1, 2 and 5 times powers of ten."""
    from perfmodel.reports.drawing.scales import Scale, ticks

    known = [value for value in values if value > 0] or [1.0]
    low, high = math.log10(min(known)), math.log10(max(known))
    beside = max(air * (high - low), 0.02)
    scale = Scale(10 ** (low - beside), 10 ** (high + beside), 0.0, 1.0, True)
    named = [value for value in ticks(scale, most) if scale.at(value) > _CORNER]
    return axis(
        title, type="log", range=[round(low - beside, 4), round(high + beside, 4)], tickvals=named,
        ticktext=[f"{value:,g}" for value in named],
    )  # fmt: skip


def escaped(text: object) -> str:
    """Return a text that plotly shows as it is, rather than reading tags in it."""
    return html.escape(str(text), quote=False)


def time_scale(largest_s: float) -> tuple[float, str]:
    """Return the unit that suits times up to ``largest_s``: its length in seconds and its name."""
    for size_s, unit in ((1.0, "s"), (1e-3, "ms")):
        if largest_s >= size_s:
            return size_s, unit
    return 1e-6, "µs"
