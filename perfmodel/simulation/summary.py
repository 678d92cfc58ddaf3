"""Percentiles, goodput and saturation of a simulation, as one JSON-ready object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.simulation.requests import Request
from perfmodel.simulation.run import Simulated
from perfmodel.units import time_text

SHARES = (50.0, 90.0, 99.0)
WARM_UP = 0.1
"""Share of the requests at the start, and at the end, that are not counted: the deployment fills and empties."""

GROWTH = 0.25
"""A queue is growing if the last quarter of the requests waits longer than the second by this share of its E2E time."""


@dataclass(frozen=True)
class Slo:
    """Limits in seconds that a request must keep, all of them; infinity is none."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf
    e2e_s: float = math.inf
    tbt_s: float = math.inf

    def kept(self, request: Request) -> bool:
        """Say whether a finished request kept all limits."""
        tpot, tbt = request.tpot_s, request.tbt_s
        if (tpot is not None and tpot > self.tpot_s) or (tbt is not None and tbt > self.tbt_s):
            return False
        return request.ttft_s <= self.ttft_s and request.e2e_s <= self.e2e_s


def summary(result: Simulated, slo: Slo | None = None, *, open_loop: bool = True) -> dict[str, Any]:
    """Return percentiles of times, rates, goodput (requests a second that keep the SLO) and saturation.

    Times: TTFT, TPOT, TBT (the gap between tokens that 99 of 100 of a request's stay within) and E2E.
    Times and rates are of the requests in the middle. ``saturated`` says that the queue grew as long as requests came
    in: the percentiles are then those of this run's length and of no steady state.
    """
    count = len(result.requests)
    edge = int(WARM_UP * count)
    middle = result.requests[edge : count - edge] or result.requests
    first, last = middle[0].arrival_s, max(r.finished_s or 0.0 for r in middle)
    span = max(last - first, 1e-12)
    found: dict[str, Any] = {"requests": count, "counted": len(middle)}
    for name in ("ttft", "tpot", "tbt", "e2e"):
        values = [value for r in middle if (value := getattr(r, f"{name}_s")) is not None]
        found[f"{name}_s"] = percentiles(values)
    whole = result.span_s
    found |= {
        "requests_per_s": count / whole,
        "tokens_per_s": sum(r.output_tokens for r in result.requests) / whole,
        "busy_share": result.busy_share,
        "steps": result.steps,
        "preemptions": sum(r.preemptions for r in result.requests),
        "saturated": open_loop and _saturated(middle),
    }
    if slo is not None:
        kept = sum(slo.kept(r) for r in middle)
        found |= {"slo_share": kept / len(middle), "goodput_per_s": kept / len(middle) * _arrival_rate(middle, span)}
    return found


def too_short(requests: Sequence[Request], e2e_s: float) -> str:
    """Return what to say of a run whose requests arrive before one is answered; empty of a longer one.

    Such a run shows no steady state: a load that the deployment cannot serve looks like one that it can.
    """
    arriving = max(r.arrival_s for r in requests) - min(r.arrival_s for r in requests)
    if len(requests) < 2 or arriving >= e2e_s:
        return ""
    enough = math.ceil(5.0 * e2e_s * (len(requests) - 1) / arriving) if arriving > 0.0 else 0
    more = f"; --requests {enough:,} would show one" if enough else ""
    return (
        f"the run is too short for a steady state: all requests arrive within {time_text(arriving)}, and one takes "
        f"{time_text(e2e_s)}{more}"
    )


def _arrival_rate(middle: Sequence[Request], span: float) -> float:
    arrivals = middle[-1].arrival_s - middle[0].arrival_s
    return (len(middle) - 1) / arrivals if arrivals > 0 else len(middle) / span


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return the mean, p50, p90 and p99 of values, None of none."""
    import numpy as np

    if not values:
        return None
    found = {f"p{share:g}": float(v) for share, v in zip(SHARES, np.percentile(values, SHARES), strict=True)}
    return {"mean": float(np.mean(values)), **found}


def _saturated(middle: Sequence[Request]) -> bool:
    """Say whether requests wait ever longer: the last quarter against the second, by a share of the service time."""
    quarter = len(middle) // 4
    if quarter < 5:
        return False
    early, late = (
        sum((r.started_s or 0.0) - r.arrival_s for r in part) / quarter
        for part in (middle[quarter : 2 * quarter], middle[-quarter:])
    )
    service = sum((r.finished_s or 0.0) - (r.started_s or 0.0) for r in middle) / len(middle)
    return late - early > GROWTH * service
