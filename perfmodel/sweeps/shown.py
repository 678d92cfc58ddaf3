"""A sweep inside a notebook: its first rows as a table, and lines along one axis as a plotly figure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from perfmodel.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from perfmodel.sweeps.grid import Sweep

_ROWS = 10
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#7f7f7f")
_SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up")


def sweep_card(sweep: Sweep) -> str:
    """Return the axes and the first answered points as an HTML fragment; texts of users are escaped."""
    axes = ", ".join(f"{name} {len(values)}" for name, values in sweep.axes.items() if len(values) > 1) or "one point"
    about = f"<b>{escape(sweep.model)} on {escape(sweep.device)}</b>: {sweep.points:,} points ({escape(axes)})"
    rows = list(sweep.rows(_ROWS))
    if not rows:
        return f"<div>{about}; no answers are held here</div>"
    kept = [name for name in rows[0] if name in sweep.columns or len(sweep.axes.get(name, ())) > 1]
    kept = [name for name in kept if "_p10" not in name and "_p90" not in name]
    head = "".join(f"<th>{escape(name)}</th>" for name in kept)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_text(row[name]))}</td>' for name in kept)}</tr>" for row in rows)
    more = f"<br>first {len(rows)} of {sweep.points:,}" if sweep.points > len(rows) else ""
    return f"<div>{about}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def sweep_figure(sweep: Sweep, y: str = "tokens_per_s", x: str = "", by: str = "") -> Any:
    """Return ``y`` along the axis ``x``, a line for each value of ``by``; further axes stay at their first value.

    By default ``x`` is the longest axis and ``by`` the next that has several values. Errors: :class:`InputError` for a
    column or an axis that the sweep does not have.
    """
    import plotly.graph_objects as go

    _known(y, sweep.columns, "column")
    several = sorted(
        (name for name, values in sweep.axes.items() if len(values) > 1), key=lambda n: -len(sweep.axes[n])
    )
    x = x or (several[0] if several else list(sweep.axes)[-1])
    by = by or next((name for name in several if name != x), "")
    for name in filter(None, (x, by)):
        _known(name, sweep.axes, "axis")
    figure = go.Figure(layout={"xaxis": {"title": x}, "yaxis": {"title": y}, "legend": {"title": {"text": by}}})
    for place in range(len(sweep.axes[by]) if by else 1):
        index = tuple(slice(None) if name == x else place if name == by else 0 for name in sweep.axes)
        colour, symbol = _COLOURS[place % len(_COLOURS)], _SYMBOLS[place % len(_SYMBOLS)]
        figure.add_scatter(
            x=list(sweep.axes[x]), y=sweep.columns[y][index].tolist(), mode="lines+markers",
            name=escape(str(sweep.axes[by][place])) if by else y, line={"color": colour}, marker={"symbol": symbol},
        )  # fmt: skip
    return figure


def _known(name: str, names: Any, what: str) -> None:
    if name not in names:
        raise InputError(f"no {what} '{name}'{did_you_mean(name, names)} (one of {', '.join(names)})")
