"""``kind: simulate``: what ``perfmodel simulate`` says of requests on a deployment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from perfmodel.asking import estimate
from perfmodel.reproductions.kinds.estimate import pool_of
from perfmodel.reproductions.registry import kind
from perfmodel.simulation.above import above_from
from perfmodel.simulation.report import lengths_from, simulate_report
from perfmodel.simulation.summary import Slo
from perfmodel.simulation.words import asked_from, equipment_from, exiting

_SIMULATED = ("rate", "in_flight", "requests", "arrival", "variation", "shared_prefix", "policy", "chunk",
              "most_running", "seed", "preempt", "prefill_share")  # fmt: skip
_ASKED = ("documents", "adapters", "zipf")
_BESIDE = ("host", "flash", "link", "link_efficiency", "compress", "lora_rank", "lora_targets", "block", "passes")
_ABOVE = ("balance", "migrate", "migrate_link", "urgent", "headroom")
_DRAFTED = ("draft_tokens", "acceptance", "acceptance_spread")


@kind("simulate")
def simulated(
    *, model: str, device: str, usecase: str = "", input_tokens: Any = "", output_tokens: Any = "", spread: Any = "",
    longest: Any = "",
    ttft_s: float = math.inf, tpot_s: float = math.inf, tbt_s: float = math.inf,
    prefill: Mapping[str, Any] | None = None, decode: Mapping[str, Any] | None = None, draft: str = "",
    exits: str = "", **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return percentiles of ``ttft_s``, ``tpot_s``, ``tbt_s`` and ``e2e_s``, the rate, the goodput, and hits of caches.

    ``draft`` is a small model that drafts, ``exits`` an early exit such as ``16=0.4``.
    """
    how, asked, beside, above = (_taken(options, names) for names in (_SIMULATED, _ASKED, _BESIDE, _ABOVE))
    drafted = _taken(options, _DRAFTED) if draft else {}
    pools = {f"{name}_pool": pool_of(stated) for name, stated in (("prefill", prefill), ("decode", decode)) if stated}
    ways = {**options, **pools, **({"mode": "disagg"} if pools else {})}
    whole = estimate(exiting(model, exits), device, **ways)
    small = estimate(draft, device, **ways).setup if draft else None
    equipment = equipment_from(whole.device, **beside, **drafted, adapters=asked.get("adapters", 0), draft=small)
    inputs, outputs = lengths_from(usecase, str(input_tokens), str(output_tokens), str(spread), str(longest))
    limits = Slo(ttft_s, tpot_s, tbt_s=tbt_s)
    report = simulate_report(
        whole.setup, inputs=inputs, outputs=outputs, slo=None if limits == Slo() else limits,
        asked=asked_from(**asked), equipment=equipment, above=above_from(whole.device, **above), **how,
    )  # fmt: skip
    return {name: value for name, value in report.items() if name != "points"}


def _taken(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Take the options of these names out."""
    return {name: options.pop(name) for name in names if name in options}
