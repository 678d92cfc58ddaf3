"""The roofline over all tiers: caches, main memory and links as roofs, and operators against each that they use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from perfmodel.reports.drawing import Axis, Line, lines
from perfmodel.reports.ops_table import Phase, label, main_phases
from perfmodel.reports.text import MISSING, Report, Row, amount, listed, number, plain, quantity, seconds
from perfmodel.reports.views.view import Table, View

_CAPTION = (
    "A circle is an operator by what it takes from main memory, a diamond by what it sends over links; slopes are "
    "tiers, "
    "the flat end is the peak. Traffic of caches is not counted: their slope is drawn alone."
)


class Roof(NamedTuple):
    """A tier with its bandwidth; ``counted`` is the column of operators' bytes, empty where they are not counted."""

    name: str
    bytes_per_s: float
    counted: str


def tiers_view(report: Report) -> View:
    """Return which tier a step would wait for longest, and where its operators stand under each tier's roof."""
    roofs, peak = roofs_of(report), _peak(report)
    groups = [phase for phase in main_phases(report) if phase.expected_s]
    if not roofs or not peak or not groups:
        return View("tiers", "All tiers", "The bandwidths of this device's tiers are not known.", [], Table(("",), []))
    finding = "; ".join(_clause(phase) for phase in groups)
    drawings = [d for phase in groups[:2] if (d := _drawing(phase, roofs, peak))]
    rows = [cells for phase in groups for row in phase.rows[:12] if (cells := _cells(row, phase, roofs))]
    headers = ("operator", "phase", *(f"FLOP/byte, {roof.name}" for roof in roofs if roof.counted), "FLOP/s reached")
    return View(
        "tiers",
        "All tiers",
        f"{finding[:1].upper()}{finding[1:]}.",
        [],
        Table(headers, rows, frozenset({0, 1})),
        _CAPTION,
        drawings,
    )


def roofs_of(report: Report) -> list[Roof]:
    """Return the tiers of a device from the fastest to the slowest."""
    device: Row = report.get("device") or {}
    found = [
        Roof(str(tier.get("name")), bandwidth, "")
        for tier in device.get("caches") or ()
        if (bandwidth := number(tier.get("bandwidth_bytes_per_s")))
    ]
    for name, key, counted in (
        ("main memory", "memory_bandwidth_bytes_per_s", "bytes"),
        ("links", "link_bandwidth_bytes_per_s", "link_bytes"),
    ):
        if bandwidth := number(device.get(key)):
            found.append(Roof(name, bandwidth, counted))
    return found


def _peak(report: Report) -> float:
    peaks: Mapping[str, Any] = (report.get("device") or {}).get("peak_flops_per_s") or {}
    dtypes = [str(row.get("dtype")) for row in report.get("operators") or () if row.get("kind") == "gemm"]
    named = [amount(peaks.get(dtype)) for dtype in dtypes if amount(peaks.get(dtype))]
    return max(named or [amount(value) for value in peaks.values()], default=0.0)


def _clause(phase: Phase) -> str:
    sums = {name: sum(amount(row.get(f"{key}_s")) for row in phase.rows)
            for name, key in (("arithmetic", "compute"), ("main memory", "memory"), ("links", "link"))}  # fmt: skip
    parts = [f"{name} {seconds(value)}" for name, value in sorted(sums.items(), key=lambda item: -item[1]) if value]
    return f"at datasheet speeds {phase.spoken} needs of {listed(parts)}; {seconds(phase.expected_s)} are expected"


def _drawing(phase: Phase, roofs: Sequence[Roof], peak: float) -> Any:
    marks = {roof.name: _points(phase, roof) for roof in roofs if roof.counted}
    every = [x for points in marks.values() for x, _ in points]
    if not every:
        return None
    low, high = min([*every, 1.0]) / 2, max([*every, peak / roofs[-1].bytes_per_s]) * 2
    least = min(y for points in marks.values() for _, y in points) / 2
    series = [Line(f"operators, {name}", points, joined=False) for name, points in marks.items() if points]
    series += [Line(f"{roof.name} {quantity(roof.bytes_per_s, 'bytes_per_s')}", _roof(roof, peak, low, high, least),
    marked=False)
               for roof in roofs]  # fmt: skip
    y = Axis("FLOP/s reached", log=True, write=lambda v: quantity(v, "flops_per_s"))
    name = f"{phase.name}: operators under the roofs of all tiers"
    return lines(name, series, Axis("FLOP a byte that crosses the tier", log=True), y, heading=phase.name)


def _roof(roof: Roof, peak: float, low: float, high: float, least: float) -> list[tuple[float, float]]:
    """Return the slope of a tier and the flat peak, from where the slope comes into sight."""
    ridge = peak / roof.bytes_per_s
    start = min(max(low, least / roof.bytes_per_s), ridge)
    return [(start, start * roof.bytes_per_s), (ridge, peak), (max(high, ridge), peak)]


def _points(phase: Phase, roof: Roof) -> list[tuple[float, float]]:
    return [point for row in phase.rows if (point := _point(row, roof))]


def _point(row: Row, roof: Roof) -> tuple[float, float] | None:
    flops, moved, time_s = (amount(row.get(key)) for key in ("flops", roof.counted, "expected_s"))
    return (flops / moved, flops / time_s) if flops and moved and time_s else None


def _cells(row: Row, phase: Phase, roofs: Sequence[Roof]) -> tuple[str, ...] | None:
    points = [_point(row, roof) for roof in roofs if roof.counted]
    rate = next((point[1] for point in points if point), None)
    if rate is None:
        return None
    return (
        label(row, phase),
        phase.name,
        *(plain(p[0]) if p else MISSING for p in points),
        quantity(rate, "flops_per_s"),
    )


__all__ = ["Roof", "roofs_of", "tiers_view"]
