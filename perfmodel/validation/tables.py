"""Tables of errors: rows of predicted and published figures, grouped."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.errors import InputError, did_you_mean

Row = Mapping[str, Any]


def error_table(rows: Sequence[Row], by: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a group: how many, median and mean of the absolute error, the median ratio, the band, the bound.

    The band: how many figures lie in their p10 to p90 (80 % should) and the median p90/p10; the bound: the median of
    the measured time over it, and how many are better by more than a percent.
    The error is that of the time (of a rate, of its inverse): ``|predicted/published - 1|`` in percent.
    Errors: :class:`InputError` for a column that the rows do not have.
    """
    if not rows:
        return []
    for name in by:
        if name not in rows[0]:
            raise InputError(
                f"no column '{name}' to group by{did_you_mean(name, rows[0])} (one of {', '.join(rows[0])})"
            )
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in by), []).append(row)
    found = [dict(zip(by, key, strict=True)) | summary(members) for key, members in sorted(groups.items())]
    return [*found, {**dict.fromkeys(by, ""), by[0]: "all", **summary(rows)}]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the errors of a group of rows."""
    off = [100.0 * abs(row["ratio"] - 1.0) for row in rows]
    found: dict[str, Any] = {
        "rows": len(rows),
        "median_error_percent": statistics.median(off),
        "mean_error_percent": statistics.fmean(off),
        "median_ratio": statistics.median(row["ratio"] for row in rows),
        "in_band_percent": 100.0 * statistics.fmean(bool(row["in_band"]) for row in rows),
    }
    if "low" in rows[0]:
        widths = [row["high"] / row["low"] for row in rows if row["low"]]
        found["band_width"] = statistics.median(widths) if widths else None
    if "over_bound" in rows[0]:
        over = [row["over_bound"] for row in rows if row["over_bound"]]
        found["measured_over_bound"] = statistics.median(over) if over else None
    if "beats_bound" in rows[0]:
        found["beats_bound"] = sum(bool(row["beats_bound"]) for row in rows)
    if "family" in rows[0]:
        found["rank_correlation"] = rank_correlation(rows)
    return found


def rank_correlation(rows: Sequence[Row]) -> float | None:
    """Return Spearman's rank correlation of predicted and published figures; None of fewer than three."""
    if len(rows) < 3:
        return None
    from scipy.stats import spearmanr

    found: Any = spearmanr([row["predicted"] for row in rows], [row["published"] for row in rows])
    return float(found.statistic)
