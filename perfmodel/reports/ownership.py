"""What tokens cost the owner of machines, as one HTML page: the parts of the cost, and cost by utilisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.drawing import Axis, Bar, Line, Mark, Part, bars, lines
from perfmodel.reports.page import cards, escape, page, section
from perfmodel.reports.text import Row, percent, plain
from perfmodel.reports.views.style import BLUE, GREEN, GREY, ORANGE
from perfmodel.reports.views.view import Table, View

Report = Mapping[str, Any]
_DOLLARS = (
    ("capital", "capital_usd", BLUE),
    ("electricity", "electricity_usd", ORANGE),
    ("upkeep", "upkeep_usd", GREEN),
)
_CARBON = (("running", "running_gco2", ORANGE), ("making", "embodied_gco2", GREY))


def ownership_html(report: Report) -> str:
    """Return the page of ``perfmodel tco``; it loads nothing and runs no script."""
    devices = report["devices"]
    title = (
        f"{report['model']} on {f'{devices} x ' if devices != 1 else ''}{report['device']}: what tokens cost an owner"
    )
    header = f'<h1>{escape(title)}</h1>\n<p class="soft">{escape("; ".join(report["notes"]))}</p>'
    shown = cards([
        ("a million output tokens", f"${report['usd']:.3g}", f"{report['kwh']:.3g} kWh"),
        ("carbon of a million", f"{plain(report['gco2'])} g CO2", ""),
        ("throughput", f"{plain(report['tokens_per_s'])} tokens/s", f"{report['power_w_per_device']:.0f} W a device"),
    ])  # fmt: skip
    views = [_use_view(report), _parts_view(report), _terms_view(report["inputs"])]
    footer = escape(f"perfmodel {report['version']}, {report['schema']}")
    return page(title, header, shown + "".join(map(section, views)), footer, [])


def _use_view(report: Report) -> View:
    """Return the dollars of a million tokens by the part of the time with this load."""
    rows: Sequence[Row] = report["by_use"]
    series = [Line("all", [(row["use"], row["usd"]) for row in rows])]
    series += [Line(name, [(row["use"], row[key]) for row in rows]) for name, key, _ in _DOLLARS]
    use = float(report["inputs"]["use"])
    drawing = lines(
        "Dollars a million tokens by utilisation", series,
        Axis("part of the time with this load", write=percent), Axis("$ a million output tokens"),
        marks=[Mark("x", use, f"as asked: {percent(use)}")],
    )  # fmt: skip
    first, last = rows[0], rows[-1]
    said = (
        f"Busy all the time a million tokens cost ${last['usd']:.3g}, busy {percent(first['use'])} of it "
        f"${first['usd']:.3g}: capital and upkeep are paid by the year, not by the token."
    )
    cells = [(percent(row["use"]), *(f"${row[key]:.3g}" for key in ("usd", *(key for _, key, _ in _DOLLARS))),
              f"{row['gco2']:.3g} g") for row in rows]  # fmt: skip
    heads = ("busy", "all", *(name for name, _, _ in _DOLLARS), "carbon")
    return View("utilisation", "Cost by utilisation", said, [], Table(heads, cells), "", [drawing])


def _parts_view(report: Report) -> View:
    found = [
        bars(heading, [Bar(name, [Part(part, float(report[key]), colour) for part, key, colour in parts], text)],
             Axis(unit), heading=heading)
        for heading, name, parts, text, unit in (
            ("Dollars", "a million tokens", _DOLLARS, f"${report['usd']:.3g}", "$ a million output tokens"),
            ("Carbon", "a million tokens", _CARBON, f"{plain(report['gco2'])} g", "g CO2 a million output tokens"),
        )
    ]  # fmt: skip
    whole = {"usd": float(report["usd"]), "gco2": float(report["gco2"])}
    cells = [(name, f"${report[key]:.4g}", percent(report[key] / whole["usd"])) for name, key, _ in _DOLLARS]
    cells += [
        (f"carbon, {name}", f"{report[key]:.4g} g", percent(report[key] / whole["gco2"])) for name, key, _ in _CARBON
    ]
    name, key, _ = max(_DOLLARS, key=lambda part: report[part[1]])
    said = f"Most of the cost is {name}, {percent(report[key] / whole['usd'])}."
    return View("parts", "What it is made of", said, [], Table(("part", "a million tokens", "share"), cells), "", found)


_TERMS = {
    "device_usd": "a device, $", "host_usd": "its share of the host, $", "years": "written off over, years",
    "use": "part of the time with this load", "usd_per_kwh": "electricity, $/kWh", "pue": "power usage effectiveness",
    "host_w": "host's share, W", "usd_per_device_year": "upkeep of a device, $/year",
    "gco2_per_kwh": "carbon of the grid, g/kWh", "embodied_kg": "carbon of making it, kg",
}  # fmt: skip


def _terms_view(terms: Row) -> View:
    cells = [(_TERMS.get(name, name), plain(value)) for name, value in terms.items()]
    said = "Put your own contract's numbers in their place."
    return View("terms", "Terms", said, [], Table(("term", "value"), cells))
