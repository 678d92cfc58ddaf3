"""Where the bottleneck switches, as pictures: along each number by itself, and over sequences and tokens together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.views.style import BLUE, GREEN, ORANGE, axis, base_layout, escaped, log_axis, names_axis
from perfmodel.reports.views.view import Key, Plot, Table, View

Report = Mapping[str, Any]
_COLOURS = {"compute": ORANGE, "memory": BLUE, "link": GREEN}
_LEAST, _MOST = 1.0 / 64.0, 1024.0
_TICKS = (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)
"""Beyond these many times a number is followed in the table alone."""

_DOTTED = {"width": 1, "dash": "dot"}
_DIAMOND = {"symbol": "diamond", "size": 13, "color": "#ffffff", "line": {"color": "#000000", "width": 2}}
_PALE = {"compute": "#f0c46b", "memory": "#6ca8d0", "link": "#6cc3a9"}


def crossover_view(report: Report) -> View:
    """Return the section of crossovers: stretches of each number, a map of each step, and a table."""
    rows = [(c["phase"], c["meaning"], c["text"], c["below"], c["above"]) for c in report["crossovers"]]
    table = Table(("step", "as this grows", "at", "from", "to"), rows, frozenset({0, 1, 3, 4}))
    finding = (
        f"{len(rows)} switches of the bound's bottleneck lie in reach of this deployment."
        if rows
        else "The bottleneck of both steps stays what it is, however the numbers change."
    )
    plots = [_stretches(report["bottlenecks"]), *(_map(one, report["resources"]) for one in report["maps"])]
    return View("crossovers", "Where the bottleneck switches", finding, plots, table)


def _keys(resources: Sequence[str]) -> list[Key]:
    return [Key("bar", _COLOURS[name], f"{name} bounds the step") for name in resources]


def _stretches(along: Sequence[Report]) -> Plot:
    """Return a bar a number, coloured by what bounds the step, over how many times what it is the number would be."""
    data: list[dict[str, Any]] = [_bar(place, one, span) for place, one in enumerate(along) for span in one["spans"]]
    ends = [(place, one, span) for place, one in enumerate(along) for span in one["spans"][:-1]
            if _LEAST <= span["high"] / one["value"] <= _MOST]  # fmt: skip
    data.append({
        "type": "scatter", "mode": "markers", "x": [span["high"] / one["value"] for _, one, span in ends],
        "y": [place for place, _, _ in ends], "text": [escaped(f"{o['meaning']} {s['to']}") for _, o, s in ends],
        "marker": {"symbol": "line-ns-open", "size": 14, "color": "#222222", "line": {"width": 2}},
        "hovertemplate": "switches at %{text}<extra></extra>",
    })  # fmt: skip
    names = [escaped(f"{one['phase']}: {one['meaning']} ({one['text']})") for one in along]
    used = dict.fromkeys(span["resource"] for one in along for span in one["spans"])
    layout = base_layout(
        xaxis=axis("times what it is", type="log", range=[-1.95, 3.15], tickvals=list(_TICKS),
                   ticktext=[f"1/{1 / tick:g}" if tick < 1 else f"{tick:g}" for tick in _TICKS]),
        yaxis=names_axis(names),
        shapes=[{"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1, "line": _DOTTED}],
    )  # fmt: skip
    label = "What bounds each step as one number grows"
    heading = "As one number grows, the others as they are (dotted: as it is)"
    return Plot("stretches", heading, label, 90 + 34 * len(along), data, layout, tuple(_keys(list(used))))


def _bar(place: int, one: Report, span: Report) -> dict[str, Any]:
    low, high = (max(_LEAST, min(_MOST, span[end] / one["value"])) for end in ("low", "high"))
    text = escaped(f"{one['meaning']} {span['from']} to {span['to']}: {span['resource']}")
    return {
        "type": "scatter", "mode": "lines", "x": [low, high], "y": [place, place], "text": [text, text],
        "line": {"color": _COLOURS[span["resource"]], "width": 16}, "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _map(one: Report, resources: Sequence[str]) -> Plot:
    """Return a map of what bounds a step over sequences and tokens, with the deployment and what memory holds."""
    used = [name for place, name in enumerate(resources) if any(place in row for row in one["rows"])]
    scale = [[edge, _PALE[name]] for place, name in enumerate(resources)
             for edge in (place / len(resources), (place + 1) / len(resources))]  # fmt: skip
    what = "tokens of a prompt" if one["phase"] == "prefill" else "tokens of a cache"
    names = [[resources[place] for place in row] for row in one["rows"]]
    data: list[dict[str, Any]] = [
        {"type": "heatmap", "x": one["batches"], "y": one["contexts"], "z": one["rows"], "zmin": -0.5,
         "zmax": len(resources) - 0.5, "colorscale": scale, "showscale": False, "colorbar": {}, "customdata": names,
         "hovertemplate": "%{x:,.0f} sequences, %{y:,.0f} " + what + ": %{customdata}<extra></extra>"},
    ]  # fmt: skip
    legend = [Key("bar", _PALE[name], f"{name} bounds the step") for name in used]
    inside = [(n, tokens) for n, tokens in zip(one["room"], one["contexts"], strict=False)
              if one["batches"][0] <= n <= one["batches"][-1]]  # fmt: skip
    if inside:
        data.append({"type": "scatter", "mode": "lines", "x": [n for n, _ in inside], "y": [t for _, t in inside],
                     "line": {"color": "#222222", "width": 2, "dash": "dash"},
                     "hovertemplate": "memory holds %{x:,.0f} of %{y:,.0f} tokens<extra></extra>"})  # fmt: skip
        legend.append(Key("bar", "", "dashed: memory is full"))
    here = "this deployment: %{x:,.0f} sequences, %{y:,.0f} " + what + "<extra></extra>"
    data.append({"type": "scatter", "mode": "markers", "x": [one["batch"]], "y": [one["context"]], "marker": _DIAMOND,
                 "hovertemplate": here, "cliponaxis": False})  # fmt: skip
    legend.append(Key("diamond", "#ffffff", "this deployment"))
    layout = base_layout(
        xaxis=_powers("sequences of a step", one["batches"]), yaxis=_powers(what, one["contexts"])
    )  # fmt: skip
    label = f"What bounds the {one['phase']} step over sequences and {what}"
    heading = f"The {one['phase']} step over sequences and {what}"
    return Plot(f"map-{one['phase']}", heading, label, 420, data, layout, tuple(legend), zoomable=True)


def _powers(title: str, values: Sequence[float]) -> dict[str, Any]:
    found = log_axis(title, values, air=0.0)
    return found | {"showgrid": False, "ticktext": [f"{value:,.9g}" for value in found["tickvals"]]}
