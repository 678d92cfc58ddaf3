"""Measured figures against the model as one HTML page: of ``perfmodel validate`` and of ``perfmodel calibrate``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from perfmodel.reports.page import escape, page, section
from perfmodel.reports.text import MISSING
from perfmodel.reports.views.parity import Point, error_plot, parity_plots, unit_of
from perfmodel.reports.views.view import Table, View

Row = Mapping[str, Any]
_MOST_ROWS = 500
_CAPTION = (
    "The line is where predicted is measured, dotted lines are half and twice. The shaded ribbon is the median p10-p90 "
    "band at that size; hollow points are outside their own band."
)
_BOXES = "Boxes hold the middle half, whiskers go from p10 to p90; dotted lines are half and twice the measured time."


def validation_html(report: Mapping[str, Any]) -> str:
    """Return the page of what ``perfmodel validate --json`` prints."""
    rows: Sequence[Row] = [row for row in report["figures"] if _drawable(row)]
    by: Sequence[str] = report["by"]
    group = next((name for name in by if len({str(row.get(name)) for row in rows}) > 1), by[0])
    points = [_point(row, group) for row in rows]
    skipped = sum(report["not_answered"].values())
    parity = View(
        "parity", "Predicted against measured", _finding(report), parity_plots(points), _figures(rows, by),
        _CAPTION if points else "",
    )  # fmt: skip
    errors = View(
        "errors", "Error by group", _worst(report["errors"], by), _boxes(rows, by), _errors(report["errors"]),
        _BOXES if rows else "",
    )  # fmt: skip
    refused = View("refused", "Not answered", _refused(skipped), [], _reasons(report["not_answered"]))
    views = [parity, errors, *([refused] if skipped else [])]
    title = f"Validation: {report['kind']}"
    header = f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(_source(report["data"]))}</p>'
    plots = [plot for view in views for plot in view.plots]
    footer = escape(f"perfmodel {report['version']}, {report['schema']}")
    return page(title, header, "".join(map(section, views)), footer, plots)


def _source(data: str) -> str:
    """Return which table was compared, without the folders of whoever's machine it lies on."""
    path = PurePath(data)
    return "/".join(path.parts[-2:]) if path.is_absolute() else data


def _drawable(row: Row) -> bool:
    return all(isinstance(row.get(n), (int, float)) and row[n] > 0 for n in ("published", "predicted"))


def _point(row: Row, group: str) -> Point:
    low, high = row.get("low") or row["predicted"], row.get("high") or row["predicted"]
    label = ", ".join(str(row[n]) for n in ("model", "config", "op", "device", "engine", "precision", "dtype", "batch")
                      if row.get(n) not in (None, ""))  # fmt: skip
    return Point(row["published"], row["predicted"], low, high, unit_of(str(row.get("metric", ""))),
                 str(row.get(group, "")) or "-", label)  # fmt: skip


def _finding(report: Mapping[str, Any]) -> str:
    if not report["errors"]:
        return "No figure could be answered: there is nothing to draw."
    total = report["errors"][-1]
    width = f", whose median p90/p10 is {total['band_width']:.2f}" if total.get("band_width") else ""
    return (
        f"Of {total['rows']:,} figures the median error is {total['median_error_percent']:.1f} %, the mean "
        f"{total['mean_error_percent']:.1f} %; {total['in_band_percent']:.0f} % lie in their 80 % band{width}."
    )


def _worst(errors: Sequence[Row], by: Sequence[str]) -> str:
    groups = [row for row in errors[:-1] if row["rows"] >= 3]
    if len(groups) < 2:
        return "There are too few groups to compare."
    best, worst = (f(groups, key=lambda r: r["median_error_percent"]) for f in (min, max))

    def said(row: Row) -> str:
        return f"{' '.join(str(row[n]) for n in by if row[n])} ({row['median_error_percent']:.1f} %)"

    return f"Of groups with three figures or more, {said(best)} is closest and {said(worst)} furthest off."


def _boxes(rows: Sequence[Row], by: Sequence[str]) -> list[Any]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        name = ", ".join(str(row[n]) for n in by if str(row.get(n, "")))
        groups.setdefault(name or "-", []).append(row["ratio"])
    return [error_plot(groups, "plot-errors", ", ".join(by))] if groups else []


def _refused(skipped: int) -> str:
    if skipped == 1:
        return "One row could not be answered and is not guessed; this is the reason."
    return f"{skipped:,} rows could not be answered and are not guessed; these are the reasons."


def _reasons(reasons: Mapping[str, int]) -> Table:
    rows = sorted(reasons.items(), key=lambda item: -item[1])[:_MOST_ROWS]
    return Table(("reason", "rows"), [(reason, f"{count:,}") for reason, count in rows])


_NUMBERS = ("published", "predicted", "low", "high", "bound", "ratio")


def _figures(rows: Sequence[Row], by: Sequence[str]) -> Table:
    if not rows:
        return Table((), [])
    words = [n for n in ("id", "model", "config", "op", "device", "engine", "backend", "precision", "dtype", "batch",
                         "metric", *by) if n in rows[0]]  # fmt: skip
    names = list(dict.fromkeys(words))
    worst = sorted(rows, key=lambda row: -abs(math.log(row["ratio"])))[:_MOST_ROWS]
    numbers = [n for n in _NUMBERS if n in rows[0]]
    cells = [(*(str(row.get(n, "")) for n in names), *(_cell(row.get(n)) for n in numbers)) for row in worst]
    return Table((*names, *numbers), cells, frozenset(range(len(names))))


def _errors(errors: Sequence[Row]) -> Table:
    if not errors:
        return Table((), [])
    names = list(errors[0])
    texts = frozenset(i for i, n in enumerate(names) if not isinstance(errors[0][n], (int, float)))
    return Table(tuple(n.replace("_", " ") for n in names), [tuple(_cell(r[n]) for n in names) for r in errors], texts)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def calibration_html(report: Mapping[str, Any]) -> str:
    """Return the page of ``perfmodel calibrate --json``: three numbers a class, residuals, and what was refused."""
    views: list[View] = []
    for part in report["classes"]:
        rows: Sequence[Row] = part["figures"]
        after = parity_plots([_spot(row, "fitted_us") for row in rows])
        views.append(View(
            part["class"], part["class"], _three(part), [_renamed(p, part["class"]) for p in after] + _regions(part),
            _spots(rows), _CAPTION + " " + _BOXES,
        ))  # fmt: skip
    if not views:
        views = [View("none", "Nothing to fit", "No row could be used: see the reasons.", [], Table((), []))]
    if report["refused"]:
        rows_of = [(str(r["row"]), r["reason"]) for r in report["refused"][:_MOST_ROWS]]
        count = len(report["refused"])
        said = f"{count:,} row{'s' * (count != 1)} could not be used; all others were."
        views.append(View("refused", "Rows with a reason", said, [], Table(("row", "reason"), rows_of, frozenset({1}))))
    title = f"{report['device']}, calibrated on {report['rows']:,} measured kernels"
    header = f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(report["data"])}</p>'
    plots = [plot for view in views for plot in view.plots]
    footer = escape(f"perfmodel {report['version']}, {report['schema']}")
    return page(title, header, "".join(map(section, views)), footer, plots)


def _spot(row: Row, name: str) -> Point:
    label = f"row {row['row']}: {row['op']} {row['dtype']} {row['shape']}"
    return Point(row["measured_us"], row[name], row["p10_us"], row["p90_us"], "µs", row["op"], label)


def _renamed(plot: Any, name: str) -> Any:
    from dataclasses import replace

    return replace(plot, div_id=f"{plot.div_id}-{name}", heading=f"After calibration: {plot.heading}", height_px=380)


def _three(part: Row) -> str:
    held = part["held_out"]
    tail = f"; held out ({part['method']}) {held['mape_percent']:.1f} %" if held else "; too few rows to hold any out"
    text = (
        f"Mean error before {part['before']['mape_percent']:.1f} %, fitted {part['fit']['mape_percent']:.1f} %{tail}."
    )
    return text if part["strength"] else f"{text} No fit was better than the family's coefficients, which stay."


def _regions(part: Row) -> list[Any]:
    found: list[Any] = []
    for name, column in (("before", "before_us"), ("held out", "held_out_us")):
        groups: dict[str, list[float]] = {}
        for row in sorted(part["figures"], key=lambda row: row["bound_us"]):
            if row[column] is not None:
                groups.setdefault(row["region"], []).append(row[column] / row["measured_us"])
        if groups:
            heading = f"Residuals by size (the bound), {name}"
            found.append(
                error_plot(groups, f"plot-{column.replace('_', '-')}-{part['class']}", "size", heading, in_order=True)
            )
    return found


def _spots(rows: Sequence[Row]) -> Table:
    words = ("op", "backend", "dtype", "timing", "shape")
    numbers = ("measured_us", "before_us", "fitted_us", "held_out_us", "bound_us", "p10_us", "p90_us")
    cells = [(str(row["row"]), *(row[n] or MISSING for n in words), *(_cell(row[n]) for n in numbers))
             for row in rows[:_MOST_ROWS]]  # fmt: skip
    return Table(("row", *words, *numbers), cells, frozenset(range(1, 1 + len(words))))
