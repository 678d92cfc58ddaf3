"""``kind: fleet``: what ``perfmodel fleet`` would hire."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from perfmodel.reproductions.registry import kind
from perfmodel.search.fleet_report import fleet_report
from perfmodel.simulation.report import lengths_from


@kind("fleet")
def hired(
    *, model: str, devices: Sequence[str], rate: float, usecase: str = "", input_tokens: Any = "",
    output_tokens: Any = "", spread: Any = "", tpot_s: float = math.inf, ttft_s: float = math.inf, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return the cheapest fleet, and under ``one`` the dollars an hour of each device alone, of those that can."""
    inputs, outputs = lengths_from(usecase, str(input_tokens), str(output_tokens), str(spread))
    report = fleet_report(
        model, devices, rate=rate, inputs=inputs, outputs=outputs, tpot_s=tpot_s, ttft_s=ttft_s, **options
    )
    alone = {row["device"].replace("-", "_"): row["usd_per_hour"] for row in report["alone"]}
    return {**report, "one": [cost for cost in alone.values() if cost is not None]}
