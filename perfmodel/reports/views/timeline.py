"""One layer in time: what runs on the device, and what the links do beside or between it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perfmodel.reports.drawing import svg
from perfmodel.reports.drawing.scales import Scale, ticks
from perfmodel.reports.ops_table import main_phases, of_network, operators_of
from perfmodel.reports.text import Report, Row, amount, percent, plain, seconds
from perfmodel.reports.views.style import ORANGE, PURPLE, ink_on, part_colour, time_scale
from perfmodel.reports.views.view import Drawing, Key, Table, View

_OTHER_HALF = "step"
"""What an operator hides behind where that is the other half of the batch."""

_LANES = ("device", "links")
_LANE_PX, _TOP_PX, _BOTTOM_PX = 44, 6, 44
_CAPTION = (
    "Expected times of one repetition, in order. Communication that may hide lies below what it hides behind; what "
    "sticks out waits. Kernels that a framework overlaps otherwise are drawn one after the other."
)


class Span(NamedTuple):
    """What runs from when to when, in seconds of one repetition; ``links`` says in which lane.

    ``hidden`` runs beside other work; ``half``: beside that of the other half of the batch, which is not drawn.
    """

    name: str
    part: str
    start_s: float
    end_s: float
    links: bool
    hidden: bool
    half: bool = False


def timeline_view(report: Report) -> View:
    """Return the layer that takes most of each phase as a timeline of the device and its links."""
    headers = ("operator", "phase", "lane", "from", "to")
    if of_network(report):
        return View(
            "timeline",
            "Timeline",
            "A network's kernels run one after the other, block by block.",
            [],
            Table(headers, []),
        )
    found = {phase.name: layer_of(report, phase.name) for phase in main_phases(report)}
    drawn = {name: spans for name, spans in found.items() if spans}
    if not drawn:
        return View("timeline", "Timeline", "The estimate has no operators with a time.", [], Table(headers, []))
    rows = [
        (s.name, name, _LANES[s.links], seconds(s.start_s), seconds(s.end_s))
        for name, spans in drawn.items()
        for s in spans
    ]
    finding = "; ".join(_clause(report, name, spans) for name, spans in drawn.items())
    drawings = [_drawing(name, spans) for name, spans in drawn.items()]
    return View(
        "timeline",
        "Timeline of a layer",
        f"{finding[:1].upper()}{finding[1:]}.",
        [],
        Table(headers, rows, frozenset({0, 1, 2})),
        _CAPTION,
        drawings,
    )


def layer_of(report: Report, phase: str) -> list[Span]:
    """Return the operators of the layer that takes most of a phase: those that repeat as often."""
    rows = [row for row in operators_of(report) if str(row.get("phase") or "step") == phase]
    spent: dict[float, float] = {}
    for row in rows:
        spent[amount(row.get("repeat"))] = spent.get(amount(row.get("repeat")), 0.0) + amount(row.get("expected_s"))
    if not spent or not max(spent.values()):
        return []
    often = max(spent, key=lambda repeat: spent[repeat])
    return spans_of([row for row in rows if amount(row.get("repeat")) == often])


def spans_of(rows: Sequence[Row]) -> list[Span]:
    """Return rows one after the other; communication ``behind`` another operator starts with it, and may stick out.

    What hides behind the step as a whole does so behind the other half of the batch, which is not among the rows: it
    takes its turn.
    """
    found: list[Span] = []
    begun: dict[str, float] = {}
    now = free = 0.0
    for row in rows:
        time_s = amount(row.get("expected_s")) / (amount(row.get("repeat")) or 1.0)
        name, links, behind = str(row.get("name")), bool(amount(row.get("link_bytes"))), str(row.get("behind") or "")
        beside = links and behind not in ("", _OTHER_HALF)
        start = max(begun.get(behind, now), free) if beside else now
        found.append(
            Span(
                name, str(row.get("part") or "other"), start, start + time_s, links, bool(behind), behind == _OTHER_HALF
            )
        )
        begun[name] = start
        if beside:
            free = start + time_s
        else:
            now = start + time_s
    return found


def _clause(report: Report, name: str, spans: Sequence[Span]) -> str:
    whole = max(span.end_s for span in spans)
    links = sum(span.end_s - span.start_s for span in spans if span.links)
    hidden = sum(span.end_s - span.start_s for span in spans if span.links and span.hidden)
    halves = any(span.half for span in spans)
    said = f"a layer of {name}{' of half the batch' if halves else ''} takes {seconds(whole)}"
    if not links:
        return f"{said}, all of it on the device"
    other = "the other half's work" if halves else "other work"
    beside = f", {percent(hidden / links)} of it beside {other}" if hidden else ", none of it beside other work"
    return f"{said}; links are busy for {percent(links / whole)} of it{beside}"


def _drawing(name: str, spans: Sequence[Span]) -> Drawing:
    whole = max(span.end_s for span in spans)
    size_s, unit = time_scale(whole)
    parts = dict.fromkeys(span.part for span in spans if not span.links)
    legend = tuple(Key("bar", part_colour(part), part) for part in parts)
    if any(span.links for span in spans):
        legend += (Key("bar", _colour(True, ""), "communication"),)

    def draw(width: int) -> tuple[int, list[str]]:
        height = _TOP_PX + 2 * _LANE_PX + _BOTTOM_PX
        across = Scale(0.0, whole / size_s, 62.0, width - 24.0)
        elements = _frame(across, unit, height)
        for span in spans:
            elements += _span(span, across, size_s)
        return height, elements

    return svg.both(f"{name}: {seconds(whole)} a layer", f"{name}: timeline of one layer", legend, draw)


def _frame(across: Scale, unit: str, height: int) -> list[str]:
    bottom = height - _BOTTOM_PX
    elements = [svg.text(0, _TOP_PX + _LANE_PX * (i + 0.5) + 4, lane) for i, lane in enumerate(_LANES)]
    for value in ticks(across, 6 if across.end_px > 500 else 3):
        elements.append(svg.line(across.at(value), _TOP_PX, across.at(value), bottom, "grid"))
        elements.append(svg.text(across.at(value), bottom + 17, plain(value), "middle"))
    elements.append(svg.text((across.start_px + across.end_px) / 2, height - 6, unit, "middle", "dim"))
    return elements


def _span(span: Span, across: Scale, size_s: float) -> list[str]:
    left, right = across.at(span.start_s / size_s), across.at(span.end_s / size_s)
    top = _TOP_PX + _LANE_PX * span.links + 6
    colour = _colour(span.links, span.part)
    title = f"{span.name}: {seconds(span.end_s - span.start_s)}"
    elements = [svg.box(left, top, max(right - left - 0.7, 0.4), _LANE_PX - 12, colour, title)]
    if (right - left) > svg.LETTER_PX * len(span.name) + 6:
        ink = f' style="fill:{ink_on(colour)}"'
        named = svg.text((left + right) / 2, top + 20, span.name, "middle")
        elements.append(named.replace("<text", f"<text{ink}", 1))
    return elements


def _colour(links: bool, part: str) -> str:
    return PURPLE if links else ORANGE if part == "ffn" else part_colour(part)
