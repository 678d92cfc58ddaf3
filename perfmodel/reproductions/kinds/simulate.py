"""``kind: simulate``: what ``perfmodel simulate`` says of requests on a deployment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from perfmodel.asking import estimate
from perfmodel.reproductions.kinds.estimate import pool_of
from perfmodel.reproductions.registry import kind
from perfmodel.simulation.report import lengths_from, simulate_report
from perfmodel.simulation.summary import Slo

_SIMULATED = ("rate", "in_flight", "requests", "arrival", "variation", "shared_prefix", "policy", "chunk",
              "most_running", "seed")  # fmt: skip


@kind("simulate")
def simulated(
    *, model: str, device: str, usecase: str = "", input_tokens: Any = "", output_tokens: Any = "", spread: Any = "",
    ttft_s: float = math.inf, tpot_s: float = math.inf, tbt_s: float = math.inf,
    prefill: Mapping[str, Any] | None = None, decode: Mapping[str, Any] | None = None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return percentiles of ``ttft_s``, ``tpot_s``, ``tbt_s`` and ``e2e_s``, the rate and the goodput."""
    how = {name: options.pop(name) for name in _SIMULATED if name in options}
    pools = {f"{name}_pool": pool_of(stated) for name, stated in (("prefill", prefill), ("decode", decode)) if stated}
    setup = estimate(model, device, **options, **pools, **({"mode": "disagg"} if pools else {})).setup
    inputs, outputs = lengths_from(usecase, str(input_tokens), str(output_tokens), str(spread))
    limits = Slo(ttft_s, tpot_s, tbt_s=tbt_s)
    slo = None if limits == Slo() else limits
    report = simulate_report(setup, inputs=inputs, outputs=outputs, slo=slo, **how)
    return {name: value for name, value in report.items() if name != "points"}
