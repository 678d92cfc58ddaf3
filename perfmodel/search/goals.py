"""What a deployment must reach, and by what the plans that reach it are ranked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from perfmodel.errors import InputError, did_you_mean
from perfmodel.search.points import Points

OBJECTIVES = ("cost", "throughput", "latency", "energy")
SURENESS = ("expected", "p90")
NONE = math.inf


@dataclass(frozen=True)
class Goals:
    """Limits on the times of a request, the load in requests a second (0: as much as the devices can), what is best.

    ``sure`` says whether the expected time or the p90 of its error band must keep a limit, and ``margin`` how much of
    the expected time is kept free below it: an expected time is exceeded as often as not. ``usd_per_device_hour``
    None: no price is known, and devices count instead of dollars.
    """

    devices: int
    rate: float = 0.0
    ttft_s: float = NONE
    tpot_s: float = NONE
    e2e_s: float = NONE
    objective: str = "cost"
    sure: str = "expected"
    margin: float = 0.0
    usd_per_device_hour: float | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("objective", self.objective, OBJECTIVES), ("sure", self.sure, SURENESS)):
            if value not in known:
                raise InputError(f"unknown {what} '{value}'{did_you_mean(value, known)} (one of {', '.join(known)})")

    def kept(self, points: Points) -> Any:
        """Return the mask of the rows that keep all limits on times."""
        ttft, tpot, e2e = self.times(points)
        return (ttft <= self.ttft_s) & (tpot <= self.tpot_s) & (e2e <= self.e2e_s)

    def times(self, points: Points) -> tuple[Any, Any, Any]:
        """Return the TTFT, TPOT and E2E that must be within the limits: the p90, or expected ones with the margin."""
        if self.sure == "p90":
            return points.ttft_p90_s, points.tpot_p90_s, points.e2e_s
        longer = 1.0 + self.margin
        return points.ttft_s * longer, points.tpot_s * longer, points.e2e_s * longer

    def replicas(self, points: Points) -> Any:
        """Return how many replicas of each row are deployed: enough for the rate, or as many as there are devices for.

        More than there are devices for is zero: that row cannot serve the rate.
        """
        import numpy as np

        room = np.floor(self.devices / points.devices)
        if not self.rate:
            return room
        needed = np.ceil(self.rate / points.requests_per_s * (1.0 - 1e-9))
        return np.where(needed <= room, needed, 0.0)

    def score(self, points: Points, replicas: Any) -> Any:
        """Return what is to be least: dollars (or devices) per output token, device seconds, seconds, or joules.

        With a rate to serve, cost and throughput count the devices of all replicas, used or not.
        """
        if self.objective == "latency":
            return points.e2e_s
        if self.objective == "energy":
            return points.joules_per_token
        # dollars are devices times one price: whatever is cheapest is what takes fewest devices for the same tokens
        tokens = points.tokens_per_s if not self.rate else points.tokens_per_s / points.requests_per_s * self.rate
        deployed = points.devices if not self.rate else points.devices * replicas
        return deployed * (self.usd_per_device_hour or 1.0) / tokens
