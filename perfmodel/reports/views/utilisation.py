"""What a million tokens cost when hired devices stand idle for a part of the time."""

from __future__ import annotations

from perfmodel.reports.drawing import Axis, Line, lines
from perfmodel.reports.text import Report, Row, number, percent
from perfmodel.reports.views.view import Table, View

_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def utilisation_view(report: Report) -> View:
    """Return the dollars a million tokens by the part of the time in which the load of this estimate is there.

    ``dollars(u) = price of the hours / (tokens a second * 3600 * u) + electricity a token``.
    """
    money: Row = report.get("money") or {}
    rate, hourly = number(report.get("tokens_per_s")), number(money.get("usd_per_hour"))
    headers = ("busy", "$ a million tokens")
    if not rate or hourly is None:
        text = "No price of this device is known: give one with --usd-per-hour."
        return View("utilisation", "Cost by utilisation", text, [], Table(headers, []))
    power = (number(report.get("joules_per_token")) or 0.0) / 3.6e6 * (number(money.get("usd_per_kwh")) or 0.0)
    points = [(share, 1e6 * (hourly / (3600.0 * rate * share) + power)) for share in _SHARES]
    drawing = lines(
        "Dollars a million tokens by utilisation",
        [Line("$ a million tokens", points)],
        Axis("part of the time with this load", write=percent),
        Axis("$ a million output tokens"),
    )
    full, tenth = points[-1][1], next(usd for share, usd in points if share == 0.1)
    said = (
        f"Fully busy a million tokens cost ${full:.3g}, busy a tenth of the time ${tenth:.3g}: hired devices are paid "
        f"for "
        "hours, not for tokens."
    )
    cells = [(percent(share), f"${usd:.3g}") for share, usd in points]
    return View("utilisation", "Cost by utilisation", said, [], Table(headers, cells), "", [drawing])
