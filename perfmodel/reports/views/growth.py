"""What memory holds as the context grows: requests that fit, and the bytes of one."""

from __future__ import annotations

from perfmodel.reports.drawing import Axis, Line, Mark, lines
from perfmodel.reports.text import Report, Row, amount, plain, size
from perfmodel.reports.views.view import Drawing, Table, View

_GB, _MOST_OVER = 1e9, 4.0


def growth_view(report: Report) -> View:
    """Return the requests that fit by context, beside those that are asked for."""
    rows: list[Row] = list((report.get("memory") or {}).get("by_context") or ())
    headers = ("tokens of a request", "requests that fit", "cache of one on a device")
    if not rows:
        text = "How many requests of other lengths fit is not known of this estimate."
        return View("growth", "Memory by context", text, [], Table(headers, []))
    asked = amount((report.get("inputs") or {}).get("batch"))
    fit = [(amount(row.get("tokens")), amount(row.get("largest_batch"))) for row in rows]
    enough = [tokens for tokens, batch in fit if batch >= asked]
    drawing = lines(
        "Requests that fit by their length",
        [Line("requests that fit", [(tokens, batch) for tokens, batch in fit if batch >= 1])],
        Axis("tokens of a request (context)", log=True, write=plain, named=[tokens for tokens, _ in fit]),
        Axis("requests at once", log=True), marks=[Mark("y", max(asked, 1.0), f"asked for: {asked:g}")],
    )  # fmt: skip
    cells = [(plain(r.get("tokens")), plain(r.get("largest_batch")), size(r.get("sequence_bytes"))) for r in rows]
    said = _said(asked, enough, fit[-1][0], [tokens for tokens, batch in fit if batch < 1])
    drawings = [*([drawing] if any(batch >= 1 for _, batch in fit) else []), *_by_batch(report, rows, asked)]
    return View("growth", "Memory by context", said, [], Table(headers, cells), "", drawings)


def _by_batch(report: Report, rows: list[Row], asked: float) -> list[Drawing]:
    """Return the bytes of a device over the context, a line for each of some batches.

    ``bytes(tokens, batch) = weights + activations + overhead + batch/(attention_dp*dp) * cache(tokens)``.
    """
    memory, inputs = report.get("memory") or {}, report.get("inputs") or {}
    capacity = amount(memory.get("capacity_bytes"))
    fixed = sum(amount(memory.get(f"{part}_bytes")) for part in ("weights", "activation", "overhead"))
    groups = (amount(inputs.get("attention_dp")) or 1.0) * (amount(inputs.get("dp")) or 1.0)
    caches = [(amount(row.get("tokens")), amount(row.get("sequence_bytes"))) for row in rows]
    if not capacity or not fixed or inputs.get("mode") == "disagg" or not any(cache for _, cache in caches):
        return []
    series: list[Line] = []
    for batch in sorted({max(1.0, asked / 8.0), max(1.0, asked), 8.0 * max(1.0, asked)}):
        points = [(tokens, (fixed + max(1.0, batch / groups) * cache) / _GB) for tokens, cache in caches]
        shown = [point for point in points if point[1] <= _MOST_OVER * max(capacity, fixed) / _GB]
        series.append(Line(f"{batch:g} request{'s' * (batch != 1)} at once", shown))
    return [lines(
        "Memory of a device by context, a line for each batch", series,
        Axis("tokens of a request (context)", log=True, write=plain, named=[tokens for tokens, _ in caches]),
        Axis("GB of a device", log=True), heading="Memory of a device by context and batch",
        marks=[Mark("y", capacity / _GB, f"capacity {size(capacity)}")],
    )]  # fmt: skip


def _said(asked: float, enough: list[float], longest: float, none: list[float]) -> str:
    requests = "One request fits" if asked == 1 else f"{asked:g} requests fit"
    if not enough:
        first = f"{requests} at none of these lengths"
    elif max(enough) >= longest:
        first = f"{requests} up to {plain(longest)} tokens, the longest shown"
    else:
        first = f"{requests} up to {plain(max(enough))} tokens each"
    return f"{first}; from {plain(min(none))} tokens not even one does." if none else f"{first}."
