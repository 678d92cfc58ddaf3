"""A simulation as one HTML page: how many requests are answered within which time, and how the load went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.drawing import Axis, Line, Mark, lines
from perfmodel.reports.page import cards, escape, page, section, table
from perfmodel.reports.text import MISSING, Row, number, percent, plain, quantity, seconds
from perfmodel.reports.views.view import Drawing, Table, View

Report = Mapping[str, Any]
_TIMES = (("ttft", "TTFT"), ("tpot", "TPOT"), ("tbt", "TBT"), ("e2e", "E2E"))
_SHARES = ("mean", "p50", "p90", "p99")
_QUANTILES, _MOST_POINTS, _MOST_STEPS = 60, 400, 240


def simulation_html(report: Report) -> str:
    """Return the page of ``perfmodel simulate``, or of several of its runs; it loads nothing and runs no script."""
    devices = report["devices"]
    title = f"{report['model']} on {f'{devices} x ' if devices != 1 else ''}{report['device']}: requests one by one"
    several = "rows" in report
    views = _runs_views(report["rows"]) if several else [_shares_view(report), _load_view(report)]
    above = "" if several else _answers(report)
    header = f"<h1>{escape(title)}</h1>\n" + ("" if several else _asked(report))
    footer = escape(f"perfmodel {report['version']}, {report['schema']}")
    return page(title, header, above + "".join(map(section, views)) + _problems(report), footer, [])


def _asked(report: Report) -> str:
    inputs: Row = report["inputs"]
    load = (
        f"{inputs['rate']} requests/s, {inputs['arrival']}" if inputs.get("rate")
        else f"{inputs['in_flight']} requests in flight" if inputs.get("in_flight") else f"trace {inputs.get('trace')}"
    )  # fmt: skip
    said = [f"{report['requests']:,} requests", load, f"policy {inputs['policy']}"]
    said += [f"engine {inputs['engine']}"] if inputs.get("engine") else []
    header = f'<p class="soft">{escape(", ".join(said))}</p>'
    if not report["saturated"]:
        return header
    text = (
        "Saturated: more arrives than this deployment serves, and waiting grows as long as the run lasts. It serves "
        f"about {plain(report['requests_per_s'])} requests/s."
    )
    return f'{header}\n<p class="alert" role="alert">{escape(text)}</p>'


def _answers(report: Report) -> str:
    shown: list[tuple[str, ...]] = [
        (f"{name} p50", seconds(found["p50"]), f"p90 {seconds(found['p90'])}", f"p99 {seconds(found['p99'])}")
        for key, name in _TIMES if key != "tbt" and (found := report.get(f"{key}_s"))
    ]  # fmt: skip
    shown.append(
        ("requests/s served", plain(report["requests_per_s"]), f"{plain(report['tokens_per_s'])} tokens/s",
         f"busy {percent(report['busy_share'])} of the time")
    )  # fmt: skip
    if "slo_share" in report:
        kept = f"{percent(report['slo_share'])} keep all limits"
        shown.append(("goodput, requests/s", plain(report["goodput_per_s"]), kept))
    rows = [
        (name, *(seconds(found[share]) for share in _SHARES), seconds(report["closed_form"].get(f"{key}_s")))
        for key, name in _TIMES if (found := report.get(f"{key}_s"))
    ]  # fmt: skip
    return cards(shown) + table(Table(("", *_SHARES, "closed form"), rows), "Times", "Times of a request")


def _shares_view(report: Report) -> View:
    """Return the part of the requests that are answered within a time."""
    points: Sequence[Row] = report["points"]
    series = [Line(name, curve, marked=False) for key, name in _TIMES if (curve := _quantiles(points, key))]
    limits = [
        Mark("x", float(limit), f"{name} {seconds(limit)}")
        for key, name in _TIMES if (limit := report["inputs"].get(f"{key}_slo_s"))
    ]  # fmt: skip
    drawing = lines(
        "Part of the requests within a time", series, Axis("time", log=True, write=_brief),
        Axis("part of the requests", write=percent), marks=limits,
    )  # fmt: skip
    found: Row = report.get("ttft_s") or {}
    said = (
        f"Half of the requests have their first token within {seconds(found.get('p50'))}, 99 of 100 within "
        f"{seconds(found.get('p99'))}." if found else "No request was answered."
    )  # fmt: skip
    rows = [
        (percent(share / 10), *(_at(points, key, share / 10) for key, _ in _TIMES)) for share in (1, 2.5, 5, 7.5, 9, 10)
    ]
    contents = Table(("requests", *(name for _, name in _TIMES)), rows)
    return View("shares", "How many within which time", said, [], contents, _MEANING, [drawing] if series else [])


_MEANING = (
    "TTFT: to the first token. TPOT: mean gap to each further one. TBT: the gap that 99 of 100 of a request's tokens "
    "stay within. E2E: the whole request. All requests of the run are drawn, also while it fills and empties."
)


def _brief(value: float) -> str:
    return quantity(value, "seconds")


def _values(points: Sequence[Row], key: str) -> list[float]:
    return sorted(value for row in points if (value := number(row.get(f"{key}_s"))) is not None)


def _quantiles(points: Sequence[Row], key: str) -> list[tuple[float, float]]:
    values = _values(points, key)
    last = len(values) - 1
    places = sorted({round(last * i / _QUANTILES) for i in range(_QUANTILES + 1)}) if values else []
    return [(max(values[place], 1e-9), (place + 1) / len(values)) for place in places]


def _at(points: Sequence[Row], key: str, share: float) -> str:
    values = _values(points, key)
    return seconds(values[max(0, round(share * len(values)) - 1)]) if values else MISSING


def _load_view(report: Report) -> View:
    """Return requests in the system over time, and the TTFT of those that arrive."""
    points: Sequence[Row] = report["points"]
    inside = _inside(points)
    most = max((count for _, count in inside), default=0.0)
    step = max(1, len(points) // _MOST_POINTS)
    waits = [(row["arrival_s"], row["ttft_s"]) for row in points[::step] if number(row.get("ttft_s")) is not None]
    arrival = Axis("seconds since the start")
    drawings: list[Drawing] = []
    if len(inside) > 1:
        drawings.append(lines("Requests in the system over time", [Line("requests", inside, marked=False)], arrival,
                              Axis("requests"), heading="Requests in the system", height=260))  # fmt: skip
    if waits:
        drawings.append(lines("TTFT of requests by their arrival", [Line("a request", waits, joined=False)], arrival,
                              Axis("TTFT", write=_brief), heading="TTFT by arrival", height=280))  # fmt: skip
    some = f"One of {step} requests is drawn." if step > 1 else ""
    said = f"At most {plain(most)} requests are there at once."
    rows = [(seconds(at), plain(count)) for at, count in inside[:: max(1, len(inside) // 24)]]
    return View("load", "Over the run", said, [], Table(("at", "requests in the system"), rows), some, drawings)


def _inside(points: Sequence[Row]) -> list[tuple[float, float]]:
    """Return how many requests are there at evenly spaced times."""
    spans = [(row["arrival_s"], row["arrival_s"] + row["e2e_s"]) for row in points if number(row.get("e2e_s"))]
    if not spans:
        return []
    last = max(end for _, end in spans)
    changes = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    found: list[tuple[float, float]] = []
    count, place = 0, 0
    for i in range(_MOST_STEPS + 1):
        at = last * i / _MOST_STEPS
        while place < len(changes) and changes[place][0] <= at:
            count += changes[place][1]
            place += 1
        found.append((at, float(count)))
    return found


def _runs_views(rows: Sequence[Row]) -> list[View]:
    """Return TTFT, TPOT and throughput over the load; of several seeds their means."""
    load = next(iter(rows[0]))
    heads = (load.replace("_", " "), "seed", "requests/s", "tokens/s", "TTFT p50", "TTFT p90", "TPOT p50", "TPOT p90",
             "saturated")  # fmt: skip
    cells = [
        (plain(row[load]), str(row["seed"]), plain(row["requests_per_s"]), plain(row["tokens_per_s"]),
         *(seconds(row.get(f"{key}_{share}_s")) for key in ("ttft", "tpot") for share in ("p50", "p90")),
         "yes" if row["saturated"] else "no")
        for row in rows
    ]  # fmt: skip
    full = sorted({row[load] for row in rows if row["saturated"]})
    x = Axis("requests/s that arrive" if load == "rate" else "requests in flight", log=True, named=sorted(
        {float(row[load]) for row in rows}))  # fmt: skip
    marks = [Mark("x", full[0], "saturated from here on")] if full else []
    drawings = [
        lines(f"{name} over the load", [Line(f"{name} {share}", _means(rows, load, f"{key}_{share}_s"))
                                        for share in ("p50", "p90", "p99")],
              x, Axis(name, log=True, write=_brief), heading=name, marks=marks, height=300)
        for key, name in _TIMES if key != "tbt"
    ]  # fmt: skip
    unit = "requests/s" if load == "rate" else "requests in flight"
    said = f"None of the {len(rows)} runs is saturated."
    if full:
        said = f"From {plain(full[0])} {unit} on the queue grows as long as the run lasts."
    return [View("runs", "Over the load", said, [], Table(heads, cells), "Points are means over the seeds.", drawings)]


def _means(rows: Sequence[Row], load: str, key: str) -> list[tuple[float, float]]:
    found: dict[float, list[float]] = {}
    for row in rows:
        if (value := number(row.get(key))) is not None:
            found.setdefault(float(row[load]), []).append(value)
    return [(at, sum(values) / len(values)) for at, values in sorted(found.items())]


def _problems(report: Report) -> str:
    said = "".join(f"<li>{escape(text)}</li>" for text in report["problems"])
    return f'<section id="problems">\n<h2>To note</h2>\n<ul>{said}</ul>\n</section>\n' if said else ""
