"""A search for a deployment as one HTML page: the choice, what it beats, and the trade of speed against throughput."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.page import cards, escape, page, section, table
from perfmodel.reports.views.style import BLUE, GREEN, ORANGE, PURPLE, SKY, base_layout, escaped, log_axis
from perfmodel.reports.views.view import Key, Plot, Table, View

Report = Mapping[str, Any]
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY)
_SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up")


def plan_html(report: Report) -> str:
    """Return the page of a plan: it holds plotly.js once and loads nothing; the same report gives the same bytes."""
    title = f"{report['model']}: what to deploy"
    view = _front_view(report)
    best = report["best"]
    header = f"<h1>{escape(title)}</h1>\n<p class='soft'>{escape(_question(report))}</p>"
    if best is None:
        why = " when its requests arrive at random" if report.get("simulated") else "; the nearest are below"
        header += f'\n<p class="alert" role="alert">No plan keeps these limits{why}.</p>'
    body = _cards(best) + _answers(report) + _simulated(report) + section(view) + _others(report) + _misses(report)
    body += _launch(report)
    return page(title, header, body, escape(f"perfmodel {report['version']}, {report['schema']}"), list(view.plots))


def _question(report: Report) -> str:
    lengths = f"{report['input_tokens']:,} input and {report['output_tokens']:,} output tokens a request"
    return f"{lengths}; {report['asked']}"


def _cards(best: Report | None) -> str:
    if best is None:
        return ""
    shown = [
        ("devices", f"{best['devices_used']}", f"{best['load']:.0f} requests at once"),
        ("TTFT", _time(best["ttft_s"]), f"{_time(best['ttft_p10_s'])} to {_time(best['ttft_p90_s'])}"),
        ("TPOT", _time(best["tpot_s"]), f"{_time(best['tpot_p10_s'])} to {_time(best['tpot_p90_s'])}"),
        ("output tokens/s", f"{best['tokens_per_s']:,.0f}", f"{best['requests_per_s']:.3g} requests/s"),
    ]
    if best.get("usd_per_million_tokens") is not None:
        shown.append(("cost", f"${best['usd_per_million_tokens']:.3g}", "a million output tokens"))
    deploy = f'<p class="finding"><b>Deploy {escape(best["plan"])}.</b></p>\n'
    return deploy + cards(shown)


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"


def _answers(report: Report) -> str:
    rows: Sequence[Sequence[str]] = report["answers"]
    if not rows:
        return ""
    return table(Table(("", *rows[0][1:]), [tuple(row) for row in rows[1:]]), "Answer", "Answer")


def _simulated(report: Report) -> str:
    """Return the plans that were simulated, each with the share of its requests that keeps all limits."""
    which = report["inputs"].get("percentile")
    rows = [
        (row["plan"], f"{row['devices']}",
         *(["", "", "", row["error"]] if "error" in row else _simulated_cells(row, which)))
        for row in report.get("simulated", ())
    ]  # fmt: skip
    if not rows:
        return ""
    heading = ("plan", "devices", f"TTFT {which}", f"TPOT {which}", f"E2E {which}", "keep all limits")
    return table(Table(heading, rows), "Simulated", "Simulated, requests arriving at random")


def _simulated_cells(row: Report, which: str) -> list[str]:
    times = [row[f"{name}_{which}_s"] for name in ("ttft", "tpot", "e2e")]
    kept = "saturated" if row["saturated"] else f"{100 * row['slo_share']:.1f} %"
    return ["" if time is None else _time(time) for time in times] + [kept]


def _front_view(report: Report) -> View:
    rows: Sequence[Report] = report["front"]
    cells = [
        (row["plan"], f"{row['tokens_per_s_per_user']:.1f}", f"{row['tokens_per_s_per_device']:.0f}",
         _time(row["ttft_s"]), f"{row['load']:.0f}")
        for row in rows
    ]  # fmt: skip
    headers = ("plan of one replica", "tokens/s a user", "tokens/s a device", "TTFT", "requests at once")
    if not rows:
        return View("front", "Speed against throughput", "No plan keeps the limit on TTFT: there is no trade.",
                    [], Table(headers, []))  # fmt: skip
    fastest, cheapest = rows[0], rows[-1]
    finding = (
        f"From {fastest['tokens_per_s_per_user']:.0f} tokens/s for a user ({fastest['tokens_per_s_per_device']:.0f} "
        f"tokens/s a device) to {cheapest['tokens_per_s_per_device']:.0f} tokens/s a device "
        f"({cheapest['tokens_per_s_per_user']:.0f} for a user)."
    )
    return View("front", "Speed against throughput", finding, [_front_plot(report)], Table(headers, cells),
                "Replicas that no other plan or load beats in both")  # fmt: skip


def _front_plot(report: Report) -> Plot:
    rows: Sequence[Report] = report["front"]
    kinds = list(dict.fromkeys((row["device"], row["precision"]) for row in rows))
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "hoverinfo": "skip", "line": {"color": "#7f7f7f", "width": 1},
            "x": [row["tokens_per_s_per_user"] for row in rows], "y": [row["tokens_per_s_per_device"] for row in rows],
        }
    ]  # fmt: skip
    for place, kind in enumerate(kinds):
        mine = [row for row in rows if (row["device"], row["precision"]) == kind]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": escaped(" ".join(kind)),
                "marker": {"color": _COLOURS[place % 5], "symbol": _SYMBOLS[place % 5], "size": 9},
                "x": [row["tokens_per_s_per_user"] for row in mine],
                "y": [row["tokens_per_s_per_device"] for row in mine],
                "text": [f"{escaped(row['plan'])}<br>{row['load']:.0f} requests at once<br>TTFT {_time(row['ttft_s'])}"
                         for row in mine],
                "hovertemplate": "%{text}<br>%{x:.1f} tokens/s a user<br>%{y:.0f} tokens/s a device<extra></extra>",
            }
        )  # fmt: skip
    shapes: list[dict[str, Any]] = []
    limit = report["inputs"].get("tpot_s")
    least = [1 / limit] if limit else []
    if limit:
        shapes.append({"type": "line", "x0": 1 / limit, "x1": 1 / limit, "yref": "paper", "y0": 0, "y1": 1,
                       "line": {"dash": "dash", "width": 1.5}})  # fmt: skip
    layout = base_layout(
        xaxis=log_axis("tokens/s for a user (1/TPOT)", [*(row["tokens_per_s_per_user"] for row in rows), *least]),
        yaxis=log_axis("tokens/s a device", [row["tokens_per_s_per_device"] for row in rows]),
        shapes=shapes,
    )
    legend = tuple(
        Key(_KEYS.get(_SYMBOLS[place % 5], "square"), _COLOURS[place % 5], " ".join(kind))
        for place, kind in enumerate(kinds)
    )
    if limit:
        legend = (*legend, Key("bar", "", f"limit on TPOT, {_time(limit)}: right of it is fast enough"))
    return Plot(
        "front-plot", "", "Tokens per second of a device against those of a user", 420, data, layout, legend, True
    )


_KEYS = {"circle": "circle", "diamond": "diamond", "square": "square"}


def _others(report: Report) -> str:
    rows = [
        (row["plan"], f"{row['devices'] * row['replicas']:.0f}", _time(row["ttft_s"]), _time(row["tpot_s"]), row["why"])
        for row in report["others"]
    ]
    if not rows:
        return ""
    found = Table(("plan", "devices", "TTFT", "TPOT", "why not"), rows, frozenset({0, 4}))
    return f'<section id="others">\n<h2>What it beats</h2>\n{table(found, "What it beats", "Other plans")}</section>\n'


def _misses(report: Report) -> str:
    rows = [(row["plan"], "; ".join(row["misses"])) for row in report["misses"]]
    if not rows:
        return ""
    found = Table(("plan", "what it misses"), rows, frozenset({0, 1}))
    return f'<section id="misses">\n<h2>The nearest</h2>\n{table(found, "The nearest", "What they miss")}</section>\n'


def _launch(report: Report) -> str:
    rows = [(name, command) for name, commands in report["flags"].items() for command in commands]
    if not rows:
        return ""
    cells = "".join(f"<h3>{escape(name)}</h3>\n<pre class='scroll'>{escape(text)}</pre>\n" for name, text in rows)
    return f'<section id="launch">\n<h2>Launch</h2>\n{cells}</section>\n'
