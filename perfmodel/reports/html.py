"""An estimate as one HTML page that works offline, on a phone, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.reports.page import card, escape, page, section, table
from perfmodel.reports.summary import (
    BANDS,
    HEADLINES,
    MEANING,
    STAGE_COLUMNS,
    Time,
    datasheet,
    fit,
    input_text,
    inputs_of,
    limit,
    queue,
    rates,
    scenario,
    stages,
    times,
    title,
    warning,
    work,
)
from perfmodel.reports.text import MISSING, Report, Row, plain
from perfmodel.reports.views import views_of
from perfmodel.reports.views.view import Table


def estimate_html(report: Report) -> str:
    """Return the page of an estimate: the answer, the inputs, a roofline, the time by operator, and the memory.

    The page holds plotly.js once and loads nothing; the same report gives the same bytes.
    """
    views = views_of(report)
    plots = [plot for view in views for plot in view.plots]
    body = _cards(report) + _tables(report) + "".join(map(section, views)) + _notes(report)
    return page(title(report), _header(report), body, _footer(report), plots)


def _header(report: Report) -> str:
    alert = f'\n<p class="alert" role="alert">{escape(text)}</p>' if (text := warning(report)) else ""
    return f'<h1>{escape(title(report))}</h1>\n<p class="soft">{escape(scenario(report))}</p>{alert}'


def _cards(report: Report) -> str:
    shown = [_time_card(time) for time in times(report) if time.name in HEADLINES]
    shown += [_rate_card(rates(report)), _fit_card(report)]
    return f'<div class="cards">\n{"".join(shown)}</div>\n'


def _time_card(time: Time) -> str:
    band = f"{time.text('p10')} to {time.text('p90')}, bound {time.text('bound')}"
    return card(f"{time.name}, {time.meaning}", time.text("expected"), band)


def _rate_card(found: list[tuple[str, str]]) -> str:
    if not found:
        return ""
    (name, text), *others = found
    return card(name, text, *(f"{text} {name}" if name == "per device" else text for name, text in others))


def _fit_card(report: Report) -> str:
    text = fit(report)
    answer, _, detail = text.partition(": ")
    more = [part for part in (detail, queue(report), f"limited by {limit(report)}") if part]
    return card("memory", answer, *more, bad=report.get("fits") is False)


def _tables(report: Report) -> str:
    answers = [(time.name, *(time.text(band) for band in BANDS)) for time in times(report)]
    pairs = [*rates(report), ("limited by", limit(report))]
    left = _titled("Times", ("time", *BANDS), answers) + _titled("Throughput", ("what", "value"), pairs)
    left += _titled("Work", ("what", "value"), work(report))
    left += _titled("Datasheet of one device", ("what", "value"), datasheet(report))
    right = _titled("Inputs", ("input", "value"), _inputs(inputs_of(report)))
    return (
        f'<p class="soft">{escape(MEANING)}</p>\n<div class="columns">\n<div>{left}</div>\n<div>{right}</div>\n</div>\n'
        + _titled("Networks of the pipeline", STAGE_COLUMNS, stages(report))
    )


def _titled(name: str, headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return table(Table(headers, list(rows)), name, name) if rows else ""


def _inputs(inputs: Row) -> list[tuple[str, ...]]:
    return [(str(key).replace("_", " "), _value(value)) for key, value in inputs.items()]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return plain(value)
    text = str(input_text(value))
    return MISSING if value is None or text == "" else text


def _notes(report: Report) -> str:
    notes = [f"<li>{escape(str(note))}</li>" for note in report.get("notes") or ()]
    return f'<section id="notes">\n<h2>Notes</h2>\n<ul>{"".join(notes)}</ul>\n</section>\n' if notes else ""


def _footer(report: Report) -> str:
    hashes: Row = report.get("spec_hashes") or {}
    said = [f"perfmodel {report.get('version', '')}".strip(), str(report.get("schema", ""))]
    said += [f"{kind} spec {text}" for kind, text in hashes.items()]
    return escape(", ".join(part for part in said if part))
