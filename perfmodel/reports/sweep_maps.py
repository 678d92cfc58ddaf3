"""Heat maps of a sweep over two axes, with the iso-lines of a service level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.drawing.scales import Scale, ticks
from perfmodel.reports.sweep_axes import METRICS, RATES, SPOKEN, Row, brief, category, place_of, spaced, unit_of, word
from perfmodel.reports.text import seconds
from perfmodel.reports.views.style import GREEN, ORANGE, PURPLE, SKY, WIDE_ONLY, base_layout, escaped
from perfmodel.reports.views.view import Key, Plot

_MOST_PANELS, _MOST_NUMBERS = 6, 120
_DARK = 0.62
"""The part of the colour scale from which on white is read better than black."""

_SCALE = [[0.0, "#f7fbff"], [0.5, SKY], [1.0, "#08306b"]]


def heat_maps(
    rows: Sequence[Row], axes: Mapping[str, Sequence[Any]], pair: Sequence[str], others: Sequence[str],
    slo: Mapping[str, float], best: Row | None,
) -> list[Plot]:  # fmt: skip
    """Return a heat map for each metric over a pair of axes, and for each value of the others."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[n] for n in others), []).append(row)
    wanted = (*RATES, "tpot_s", "ttft_s", "latency_s")
    metrics = [m for m in wanted if any(r.get(m) is not None for r in rows)]
    found: list[Plot] = []
    for place, (values, members) in enumerate(list(groups.items())[:_MOST_PANELS]):
        where = ", ".join(f"{spaced(n)} {word(v)}" for n, v in zip(others, values, strict=True))
        here = best if best is not None and tuple(best[n] for n in others) == values else None
        found += [_heat_map(members, axes, pair, metric, where, place, slo, here) for metric in metrics]
    return found


def _heat_map(
    rows: Sequence[Row], axes: Mapping[str, Sequence[Any]], pair: Sequence[str], metric: str, where: str, place: int,
    slo: Mapping[str, float], best: Row | None,
) -> Plot:  # fmt: skip
    along, up = pair
    unit_s, unit = unit_of(metric, rows)
    grid = _matrix(rows, axes, pair, metric, unit_s)
    logs = [[None if v is None or v <= 0 else math.log10(v) for v in line] for line in grid]
    xs, ys = list(range(len(axes[along]))), list(range(len(axes[up])))
    values = [v for line in grid for v in line if v]
    data: list[dict[str, Any]] = [{
        "type": "heatmap", "x": xs, "y": ys, "z": logs, "colorscale": _SCALE, "customdata": grid,
        "hovertemplate": f"{escaped(along)} %{{x}}, {escaped(up)} %{{y}}<br>%{{customdata:.4g}} {unit}<extra></extra>",
        "colorbar": _colour_bar(values, unit or METRICS[metric]), "hoverongaps": False,
    }]  # fmt: skip
    legend: list[Key] = []
    for name, colour in zip(slo, (ORANGE, PURPLE, GREEN), strict=False):
        contour = _matrix(rows, axes, pair, name, slo[name])
        data.append(_iso_line(xs, ys, contour, colour))
        legend.append(Key("bar", colour, f"SLO {SPOKEN[name]} {seconds(slo[name])}"))
    if len(xs) * len(ys) <= _MOST_NUMBERS:
        data.append(_numbers_on(grid, logs))
    if best is not None:
        data += _best_cell(place_of(best[along], axes[along]), place_of(best[up], axes[up]))
        legend.append(Key("frame", "", "most throughput a device" + (" that keeps the SLO" if slo else "")))
    layout = base_layout(
        xaxis=category(along, axes[along]) | {"showgrid": False}, yaxis=category(up, axes[up]) | {"showgrid": False},
        margin={"l": 12, "r": 16, "t": 34, "b": 48},
    )  # fmt: skip
    heading = METRICS[metric] + (f", {unit}" if unit else "") + (f" ({where})" if where else "")
    label = f"{METRICS[metric]} over {spaced(along)} and {spaced(up)} {where}".strip()
    height = 152 + max(28 * len(ys), 160)
    return Plot(f"plot-{metric}-{place}", heading, label, height, data, layout, tuple(legend), zoomable=True)


def _numbers_on(grid: Sequence[Sequence[float | None]], logs: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """Return the numbers of a heat map's cells, over the iso-lines, in the ink that their cells ask for."""
    cells = [(i, j, v) for j, line in enumerate(grid) for i, v in enumerate(line) if v is not None]
    known = [v for line in logs for v in line if v is not None] or [0.0]
    low, wide = min(known), (max(known) - min(known)) or 1.0
    dark = [((logs[j][i] or low) - low) / wide > _DARK for i, j, _ in cells]
    return {
        "type": "scatter", "mode": "text", "name": WIDE_ONLY, "meta": len(grid[0]), "hoverinfo": "skip",
        "x": [i for i, _, _ in cells], "y": [j for _, j, _ in cells], "text": [brief(v) for _, _, v in cells],
        "textfont": {"size": 11, "color": ["#ffffff" if one else "#000000" for one in dark]},
    }  # fmt: skip


def _iso_line(xs: list[int], ys: list[int], ratios: list[list[float | None]], colour: str) -> dict[str, Any]:
    """Return the line where a metric over its limit is one; logarithms make it lie well between far points."""
    logs = [[None if v is None or v <= 0 else math.log(v) for v in line] for line in ratios]
    return {
        "type": "contour", "x": xs, "y": ys, "z": logs, "autocontour": False, "showscale": False, "hoverinfo": "skip",
        "contours": {"start": 0.0, "end": 0.0, "size": 1.0, "coloring": "none"}, "connectgaps": False,
        "line": {"color": colour, "width": 3.5},
    }  # fmt: skip


def _matrix(
    rows: Sequence[Row], axes: Mapping[str, Sequence[Any]], pair: Sequence[str], metric: str, unit: float
) -> list[list[float | None]]:
    along, up = pair
    found: list[list[float | None]] = [[None] * len(axes[along]) for _ in axes[up]]
    for row in rows:
        if row.get(metric) is not None:
            found[place_of(row[up], axes[up])][place_of(row[along], axes[along])] = row[metric] / unit
    return found


def _colour_bar(values: Sequence[float], title: str) -> dict[str, Any]:
    if not values:
        return {"title": {"text": title}}
    low, high = math.log10(min(values)), math.log10(max(values))
    round_ones = ticks(Scale(min(values), max(values), 0.0, 1.0, True), 6) if high > low else [min(values)]
    return {"title": {"text": title, "side": "right"}, "tickvals": [math.log10(tick) for tick in round_ones],
            "ticktext": [brief(tick) for tick in round_ones], "thickness": 14, "outlinewidth": 0}  # fmt: skip


def _best_cell(x: float, y: float) -> list[dict[str, Any]]:
    """Return a frame around the best cell of a heat map, which is seen on light and on dark ones."""
    path = {"x": [x - 0.5, x + 0.5, x + 0.5, x - 0.5, x - 0.5], "y": [y - 0.5, y - 0.5, y + 0.5, y + 0.5, y - 0.5]}
    frame = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "cliponaxis": False, **path}
    return [{**frame, "line": {"color": colour, "width": width}} for colour, width in (("#ffffff", 5), ("#000000", 2))]
