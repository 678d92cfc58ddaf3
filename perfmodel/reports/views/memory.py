"""What takes the memory of one device, against what it has."""

from __future__ import annotations

from typing import Any

from perfmodel.reports.summary import memory_of, memory_parts, memory_sentence, room, used_bytes
from perfmodel.reports.text import Report, amount, number, percent, size
from perfmodel.reports.views.style import BLUE, GREEN, GREY, ORANGE, PURPLE, axis, base_layout, ink_on
from perfmodel.reports.views.view import Key, Plot, Table, View

_COLOURS = {"weights": BLUE, "KV cache": ORANGE, "activations": GREEN, "overhead": PURPLE}
_GB = 1e9


def memory_view(report: Report) -> View:
    """Return the memory of one device by what takes it, with a line at its capacity."""
    finding = memory_sentence(report)
    plots = [_plot(report, finding)] if memory_parts(report) else []
    return View("memory", "Memory of one device", finding, plots, _table(report))


def _plot(report: Report, finding: str) -> Plot:
    parts = [(name, part) for name, part in memory_parts(report) if part > 0]
    capacity = amount(memory_of(report).get("capacity_bytes"))
    right = max(sum(part for _, part in parts), capacity) * 1.04 / _GB or 1.0
    data = [_bar(name, part, right) for name, part in parts]
    layout = base_layout(
        barmode="stack",
        bargap=0.25,
        xaxis=axis("GB (1 GB is 1e9 bytes)", range=[0, right], fixedrange=True),
        yaxis={"visible": False, "fixedrange": True, "type": "category"},
        shapes=[_line(capacity / _GB)] if capacity else [],
        annotations=[_name_of_line(capacity)] if capacity else [],
        margin={"l": 12, "r": 12, "t": 30, "b": 44},
    )
    legend = tuple(Key("bar", _COLOURS.get(name, GREY), f"{name} {size(part)}") for name, part in parts)
    return Plot("plot-memory", "", finding, 176, data, layout, legend)


def _bar(name: str, part: float, right: float) -> dict[str, Any]:
    colour = _COLOURS.get(name, GREY)
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": ["memory"],
        "x": [part / _GB],
        "text": [size(part)] if part / _GB > right * 0.12 else [""],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "insidetextfont": {"color": ink_on(colour)},
        "hovertemplate": f"{name}: {size(part)}<extra></extra>",
        "marker": {"color": colour, "line": {"color": "#ffffff", "width": 1}},
    }


def _line(x: float) -> dict[str, Any]:
    style = {"color": "#333333", "width": 2, "dash": "dash"}
    return {"type": "line", "x0": x, "x1": x, "y0": -0.04, "y1": 1.04, "yref": "paper", "line": style}


def _name_of_line(capacity: float) -> dict[str, Any]:
    place = {"x": capacity / _GB, "y": 1.04, "yref": "paper", "xanchor": "right", "yanchor": "bottom"}
    return {"text": f"capacity {size(capacity)}", "showarrow": False, **place}


def _table(report: Report) -> Table:
    capacity = number(memory_of(report).get("capacity_bytes"))
    used, free = used_bytes(report), number(memory_of(report).get("free_bytes"))
    found = [*memory_parts(report), ("all together", used), ("free", free), ("capacity", capacity)]
    rows = [(name, size(part), _of(part, capacity)) for name, part in found if part is not None]
    rows += [(name, text, "-") for name, text in room(report)]
    return Table(("what", "amount", "of capacity"), rows)


def _of(part: float, whole: float | None) -> str:
    return percent(part / whole if whole else None)
