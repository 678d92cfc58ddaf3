"""Where in a network the time goes: its blocks in the order in which they run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from perfmodel.reports.ops_table import main_phases, operators_of
from perfmodel.reports.text import MISSING, Report, Row, amount, listed, percent, quantity, seconds
from perfmodel.reports.views.style import axis, base_layout, escaped, names_axis, part_colour, time_scale
from perfmodel.reports.views.view import Key, Plot, Table, View

MOST_BLOCKS = 36
_ROW_PX = 22
_CAPTION = "Bars are expected times of a block's kernels, in the order in which the blocks run."


def blocks_view(report: Report) -> View:
    """Return the time of each block of each network, by kinds of layers."""
    networks: dict[str, list[Row]] = {}
    for row in operators_of(report):
        networks.setdefault(str(row.get("phase")), []).append(row)
    groups = {name: blocks_of(rows) for name, rows in networks.items()}
    main = [phase.name for phase in main_phases(report)]
    drawn = {name: blocks for name, blocks in groups.items() if len(blocks) > 1 and name in main}
    plots = [_plot(name, blocks) for name, blocks in drawn.items()]
    finding = "; ".join(_clause(name, blocks) for name, blocks in drawn.items())
    text = f"{finding}." if finding else "The network is one block."
    return View("blocks", "Time by block", text, plots, _table(groups), _CAPTION if plots else "")


def blocks_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the kernels of each block in order; too many blocks are taken together by the first words of their names.

    ``layer1.0`` and ``layer1.1`` become ``layer1``.
    """
    words = max((str(row.get("block")).count(".") + 1 for row in rows), default=1)
    while True:
        found: dict[str, list[Row]] = {}
        for row in rows:
            name = ".".join(str(row.get("block") or MISSING).split(".")[:words])
            found.setdefault(name, []).append(row)
        if len(found) <= MOST_BLOCKS or words == 1:
            return found
        words -= 1


def _clause(name: str, blocks: dict[str, list[Row]]) -> str:
    times = {block: _sum(rows, "expected_s") for block, rows in blocks.items()}
    whole = sum(times.values())
    slowest = sorted(times, key=lambda block: -times[block])[:3]
    return f"{name} spends {listed([f'{percent(times[b] / whole if whole else None)} in {b}' for b in slowest])}"


def _sum(rows: Sequence[Row], column: str) -> float:
    return sum(amount(row.get(column)) for row in rows)


def _plot(name: str, blocks: dict[str, list[Row]]) -> Plot:
    whole = sum(_sum(rows, "expected_s") for rows in blocks.values())
    size_s, unit = time_scale(max(_sum(rows, "expected_s") for rows in blocks.values()))
    kinds = dict.fromkeys(str(row.get("part") or "other") for rows in blocks.values() for row in rows)
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "name": escaped(kind), "y": list(range(len(blocks))), "width": 0.7,
            "x": [_of_kind(rows, kind) / size_s for rows in blocks.values()], "marker": {"color": part_colour(kind)},
            "hovertemplate": f"{escaped(kind)} %{{x:.4g}} {unit}<extra></extra>",
        }
        for kind in kinds
    ]  # fmt: skip
    shares = [percent(_sum(rows, "expected_s") / whole if whole else None) for rows in blocks.values()]
    layout = base_layout(
        xaxis=axis(f"expected time, {unit}", rangemode="tozero", fixedrange=True),
        yaxis=names_axis([f"{escaped(block)}  {share}" for block, share in zip(blocks, shares, strict=True)]),
        barmode="stack", margin={"l": 8, "r": 16, "t": 8, "b": 44},
    )  # fmt: skip
    legend = tuple(Key("bar", part_colour(kind), kind) for kind in kinds)
    div_id = "plot-blocks-" + re.sub(r"\W+", "-", name)
    label = f"{name}: expected time of {len(blocks)} blocks"
    return Plot(div_id, f"{name}: {seconds(whole)}", label, 66 + _ROW_PX * len(blocks), data, layout, legend)


def _of_kind(rows: Sequence[Row], kind: str) -> float:
    return _sum([row for row in rows if str(row.get("part") or "other") == kind], "expected_s")


def _table(groups: dict[str, dict[str, list[Row]]]) -> Table:
    heads = ("block", "network", "kernels", "FLOP", "memory traffic", "bound", "expected")
    rows = [
        (
            block, name, str(len(found)), quantity(_sum(found, "flops"), "flops"),
            quantity(_sum(found, "bytes"), "bytes"), seconds(_sum(found, "bound_s")),
            seconds(_sum(found, "expected_s")),
        )
        for name, blocks in groups.items()
        for block, found in blocks.items()
    ]  # fmt: skip
    return Table(heads, rows, frozenset({0, 1}))
