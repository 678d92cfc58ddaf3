"""An estimate inside a notebook: a small table, and the report's figures as plotly objects."""

from __future__ import annotations

from typing import Any

from perfmodel.errors import InputError, did_you_mean
from perfmodel.reports.page import escape
from perfmodel.reports.summary import BANDS, fit, limit, rates, scenario, times, title
from perfmodel.reports.text import Report
from perfmodel.reports.views import views_of


def estimate_card(report: Report) -> str:
    """Return the answer as an HTML fragment that needs no style and no script of its own."""
    head = "".join(f"<th>{escape(text)}</th>" for text in ("", *BANDS))
    rows = "".join(
        f"<tr><th>{escape(time.name)}</th>{''.join(f'<td>{escape(time.text(band))}</td>' for band in BANDS)}</tr>"
        for time in times(report)
    )
    said = [f"{text} {name}" if name == "per device" else f"{name}: {text}" for name, text in rates(report)]
    said += [f"memory: {fit(report)}", f"limited by {limit(report)}"]
    return (
        f"<div><b>{escape(title(report))}</b><br>{escape(scenario(report))}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{escape('; '.join(said))}</div>"
    )


def figure_names(report: Report) -> dict[str, Any]:
    """Return the figures of a report by name: ``roofline``, ``breakdown-decode``, ``memory`` ..."""
    return {plot.div_id.removeprefix("plot-"): plot for view in views_of(report) for plot in view.plots}


def estimate_figure(report: Report, name: str = "") -> Any:
    """Return a figure of the report as a plotly ``Figure``; by default the last breakdown: the decode step.

    Errors: :class:`InputError` for a figure that the report does not have.
    """
    import plotly.graph_objects as go

    known = figure_names(report)
    if not known:
        raise InputError("the estimate has no operators with a time: there is nothing to draw")
    chosen = name or ([key for key in known if key.startswith("breakdown")] or list(known))[-1]
    if chosen not in known:
        raise InputError(f"no figure '{name}'{did_you_mean(name, known)} (one of {', '.join(known)})")
    plot = known[chosen]
    layout = {**plot.layout, "height": plot.height_px + 40, "title": {"text": escape(plot.heading or plot.label)}}
    layout["margin"] = {**layout.get("margin", {}), "t": 60}
    return go.Figure({"data": plot.data, "layout": layout})
