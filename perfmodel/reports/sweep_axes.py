"""What the figures of a sweep share: metrics, how values are written, and axes of equal steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.reports.text import plain
from perfmodel.reports.views.style import axis, escaped, time_scale

Row = Mapping[str, Any]
TIMES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E", "latency_s": "Latency"}
METRICS = {**TIMES, "tokens_per_s_per_device": "tokens/s a device", "samples_per_s_per_device": "samples/s a device",
           "joules_per_token": "J/token", "usd_per_million_tokens": "USD per million tokens",
           "joules_per_sample": "J/sample", "usd_per_million_samples": "USD per million samples"}  # fmt: skip
SPOKEN = {**TIMES, "latency_s": "latency"}
RATES = ("tokens_per_s_per_device", "samples_per_s_per_device")


def spaced(name: str) -> str:
    """Return a name as words: ``"input tokens"``."""
    return name.replace("_", " ")


def brief(value: float) -> str:
    """Return a number in few letters, for a cell of a heat map."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def category(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return an axis with an equal step for each value, so that doublings and words look alike."""
    step = max(1, math.ceil(len(values) / 14))
    places = list(range(0, len(values), step))
    return axis(
        escaped(spaced(name)), tickvals=places, ticktext=[escaped(word(values[i])) for i in places],
        range=[-0.5, len(values) - 0.5],
    )  # fmt: skip


def word(value: Any) -> str:
    """Return a value of an axis as a text."""
    return value if isinstance(value, str) else plain(value)


def place_of(value: Any, values: Sequence[Any]) -> int:
    """Return where on its axis a value stands."""
    return list(values).index(value)


def unit_of(metric: str, rows: Sequence[Row]) -> tuple[float, str]:
    """Return the unit that suits a metric's values: what one of it is in SI units, and its name."""
    if metric not in TIMES:
        return 1.0, ""
    return time_scale(max((row[metric] for row in rows if row.get(metric) is not None), default=1.0))
