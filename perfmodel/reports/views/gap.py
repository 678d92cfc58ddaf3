"""From the bound to the expected time, operator by operator: where a faster kernel would pay."""

from __future__ import annotations

from perfmodel.reports.drawing import Axis, Bar, Part, bars
from perfmodel.reports.ops_table import Phase, label, main_phases, of_bound
from perfmodel.reports.text import MISSING, Report, Row, amount, listed, percent, seconds
from perfmodel.reports.views.style import BLUE, GREY, ORANGE, time_scale
from perfmodel.reports.views.view import Drawing, Table, View

_MOST = 9
_CAPTION = (
    "The first bar is the bound of the step, each further one what an operator takes beyond its own, the last the sum."
)


def gap_view(report: Report) -> View:
    """Return what lies between bound and expected time, by operator, the largest first."""
    groups = [phase for phase in main_phases(report) if phase.expected_s > phase.bound_s > 0]
    headers = ("operator", "phase", "beyond the bound", "of the step", "reaches of its bound")
    if not groups:
        return View("gap", "Efficiency gap", "No operator takes longer than its bound.", [], Table(headers, []))
    finding = ". ".join(_sentence(phase) for phase in groups)
    rows = [_cells(row, phase) for phase in groups for row in by_gap(phase)]
    table = Table(headers, rows, frozenset({0, 1}))
    return View("gap", "Efficiency gap", f"{finding}.", [], table, _CAPTION, [_drawing(phase) for phase in groups[:4]])


def by_gap(phase: Phase) -> list[Row]:
    """Return the operators of a phase by the time that they take beyond their bounds."""
    return sorted(phase.rows, key=lambda row: -_gap(row))


def _gap(row: Row) -> float:
    return max(amount(row.get("expected_s")) - amount(row.get("bound_s")), 0.0)


def _sentence(phase: Phase) -> str:
    first = by_gap(phase)[:3]
    whole = phase.expected_s - phase.bound_s
    most = listed([f"{label(row, phase)} ({percent(_gap(row) / whole)})" for row in first if _gap(row)])
    name = phase.spoken[0].upper() + phase.spoken[1:] if phase.spoken.startswith("the ") else phase.spoken
    return f"{name} takes {seconds(whole)} beyond its bound of {seconds(phase.bound_s)}, most of it in {most}"


def _drawing(phase: Phase) -> Drawing:
    size_s, unit = time_scale(phase.expected_s)
    rows = by_gap(phase)
    shown, rest = rows[:_MOST], rows[_MOST:]
    steps = [(label(row, phase), _gap(row)) for row in shown if _gap(row) > 0]
    if rest and (others := sum(map(_gap, rest))) > 0:
        steps.append((f"{len(rest)} others", others))
    found = [Bar("bound", [Part("bound", phase.bound_s / size_s, BLUE)], seconds(phase.bound_s))]
    at = phase.bound_s
    for name, gap in steps:
        found.append(Bar(name, [Part("", at / size_s, "none"), Part("beyond it", gap / size_s, ORANGE)], seconds(gap)))
        at += gap
    found.append(Bar("expected", [Part("expected", phase.expected_s / size_s, GREY)], seconds(phase.expected_s)))
    return bars(f"{phase.name}: from bound to expected time", found, Axis(unit), heading=phase.name)


def _cells(row: Row, phase: Phase) -> tuple[str, ...]:
    share = _gap(row) / phase.expected_s if phase.expected_s else None
    reached = of_bound(row)
    return (
        label(row, phase),
        phase.name,
        seconds(_gap(row)),
        percent(share),
        MISSING if reached is None else percent(reached),
    )
