"""A fleet as one HTML page: what to hire, what it saves over one kind of device, and how a day changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.drawing import Axis, Bar, Line, Part, bars, lines
from perfmodel.reports.page import cards, escape, page, section
from perfmodel.reports.text import MISSING, Row, percent, plain
from perfmodel.reports.views.style import BLUE, GREEN, ORANGE
from perfmodel.reports.views.view import Table, View

Report = Mapping[str, Any]


def fleet_html(report: Report) -> str:
    """Return the page of ``perfmodel fleet``; it loads nothing and runs no script."""
    asked: Row = report["inputs"]
    title = f"{report['model']}: the cheapest fleet for {plain(asked['rate'])} requests/s"
    offered = f"offered: {', '.join(map(str, asked['devices']))}; prices: {asked['price_kind']}"
    header = f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(offered)}</p>'
    rows: Sequence[Row] = report["fleet"]
    shown = cards([
        ("an hour", _usd(report["usd_per_hour"]), _devices(sum(row["devices"] for row in rows))),
        ("a million requests", _usd(report["usd_per_million_requests"]), ""),
    ])  # fmt: skip
    views = [_fleet_view(rows), _alone_view(report), _sizes_view(report["buckets"])]
    views += [_day_view(report["day"])] if report["day"] else []
    said = "".join(f"<li>{escape(text)}</li>" for text in report["problems"])
    problems = f'<section id="problems">\n<h2>Left out</h2>\n<ul>{said}</ul>\n</section>\n' if said else ""
    footer = escape(f"perfmodel {report['version']}, {report['schema']}")
    return page(title, header, shown + "".join(map(section, views)) + problems, footer, [])


def _devices(count: int) -> str:
    return f"{count} device{'s' * (count != 1)}"


def _usd(value: float) -> str:
    return f"${value:,.2f}"


def _fleet_view(rows: Sequence[Row]) -> View:
    found = [
        Bar(
            f"{row['replicas']} x {row['replica']}", [Part("busy", row["busy_share"], BLUE)], percent(row["busy_share"])
        )
        for row in rows
    ]
    heads = ("replica", "how many", "devices", "$ an hour", "requests/s", "busy")
    cells = [
        (str(row["replica"]), str(row["replicas"]), str(row["devices"]), f"{row['usd_per_hour']:,.2f}",
         plain(row["requests_per_s"]), percent(row["busy_share"]))
        for row in rows
    ]  # fmt: skip
    said = "; ".join(f"{row['replicas']} x {row['replica']} for {_usd(row['usd_per_hour'])} an hour" for row in rows)
    drawing = bars("Part of the time that replicas are busy", found, Axis("busy", write=percent))
    return View("fleet", "What to hire", f"{said}.", [], Table(heads, cells), "", [drawing])


def _alone_view(report: Report) -> View:
    """Return the price of an hour beside that of each kind of device alone."""
    rows: Sequence[Row] = report["alone"]
    mix = float(report["usd_per_hour"])
    able = sorted((row for row in rows if row["usd_per_hour"] is not None), key=lambda row: row["usd_per_hour"])
    found = [Bar("this fleet", [Part("this fleet", mix, GREEN)], _usd(mix))]
    found += [
        Bar(str(row["device"]), [Part("one kind alone", row["usd_per_hour"], ORANGE)], _usd(row["usd_per_hour"]))
        for row in able
    ]
    cells = [
        (str(row["device"]), _usd(row["usd_per_hour"]), f"{row['usd_per_hour'] / mix - 1:+.0%}", "") for row in able
    ]
    cells += [(str(row["device"]), MISSING, MISSING, str(row["why"])) for row in rows if row["usd_per_hour"] is None]
    if able:
        more = able[0]["usd_per_hour"] / mix - 1.0
        said = f"{able[0]['device']} alone, the cheapest of one kind, costs " + (
            "the same." if more < 5e-4 else f"{percent(more)} more."
        )
    else:
        said = "No kind of device can serve this alone."
    drawing = bars("Price of an hour beside fleets of one kind", found, Axis("$ an hour"))
    contents = Table(("device", "$ an hour", "against this fleet", "why not"), cells, frozenset({0, 3}))
    return View("alone", "Against one kind of device", said, [], contents, "", [drawing])


def _sizes_view(rows: Sequence[Row]) -> View:
    cells = [
        (plain(row["input_tokens"]), plain(row["output_tokens"]), percent(row["share"]),
         ", ".join(f"{name} {percent(share)}" for name, share in row["served_by"].items()) or MISSING)
        for row in rows
    ]  # fmt: skip
    heads = ("input tokens", "output tokens", "of the requests", "served by")
    said = f"Requests are sorted into {len(rows)} size{'s' * (len(rows) != 1)}; each is served where that is cheapest."
    return View("sizes", "Who serves what", said, [], Table(heads, cells, frozenset({3})))


def _day_view(day: Report) -> View:
    hours: Sequence[Row] = day["hours"]
    cost = [(float(row["hour"]), float(row["usd_per_hour"])) for row in hours]
    peak = max(usd for _, usd in cost)
    level = Line("the peak's fleet all day", [(x, peak) for x, _ in cost], marked=False, dashed=True)
    series = [level, Line("following the load", cost)]
    drawing = lines("Price of each hour", series, Axis("hour of the day", named=[0, 6, 12, 18, 23]), Axis("$ an hour"))
    cells = [
        (plain(row["hour"]), plain(row["rate"]), _usd(row["usd_per_hour"]),
         ", ".join(f"{count} x {name}" for name, count in row["replicas"].items()) or MISSING)
        for row in hours
    ]  # fmt: skip
    said = (
        f"{_usd(day['usd_scaled'])} when the fleet follows the load, {_usd(day['usd_steady'])} for the peak's fleet "
        f"all day: {percent(day['saved_share'])} less."
    )
    heads = ("hour", "requests/s", "$ an hour", "replicas")
    return View("day", "Over a day", said, [], Table(heads, cells, frozenset({3})), "", [drawing])
