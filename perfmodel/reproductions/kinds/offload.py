"""``kind: offload``: what ``perfmodel offload`` says of a model larger than the device's memory."""

from __future__ import annotations

import math
from typing import Any

from perfmodel.api import estimate
from perfmodel.cost.offload import Tier
from perfmodel.deployment.offload import Caching, OffloadedStep, offload
from perfmodel.errors import InputError
from perfmodel.reproductions.registry import kind
from perfmodel.units import parse_quantity


@kind("offload")
def offloaded(
    *, model: str, device: str, tier_bytes: str, tier_bandwidth: str = "", link: str = "", tier_latency_s: float = 1e-5,
    batch: int = 1, input_tokens: int = 1024, output_tokens: int = 256, keep: str = "weights",
    link_efficiency: float = 0.8, hit_rate: float | None = None, zipf: float = 0.0, predicted: float = 0.0,
    **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return TPOT, TTFT, rate, and what lies on the device, with one tier behind it (texts with units)."""
    asked = estimate(
        model, device, batch=batch, input_tokens=input_tokens, output_tokens=output_tokens, static=True, **options
    )
    speed = parse_quantity(tier_bandwidth, "bytes_per_s") if tier_bandwidth else math.inf
    tier = Tier("beyond", parse_quantity(tier_bytes, "bytes"), speed, tier_latency_s)
    found = offload(
        asked.setup, float(batch), float(input_tokens), float(output_tokens), [tier], _link(link, asked.device),
        kept_first=keep, caching=Caching(hit_rate, "popular", zipf, predicted), link_efficiency=link_efficiency,
    )  # fmt: skip
    rows = zip(found.placement.parts, found.placement.stored_bytes, strict=True)
    return {
        "tpot_s": _step(found.decode), "ttft_s": _step(found.prefill), "tokens_per_s": float(found.tokens_per_s),
        "resident_tpot_s": float(found.resident_step_s),
        "stored_bytes": {part.name: {"device": float(row[0]), "beyond": float(row[1])} for part, row in rows},
    }  # fmt: skip


def _step(step: OffloadedStep) -> dict[str, float]:
    time = step.time
    return {"expected": float(time.expected), "bound": float(time.bound), "device": float(step.device_s)}


def _link(text: str, device: Any) -> float:
    if text:
        return parse_quantity(text, "bytes_per_s")
    link = device.link("host")
    if link is None:
        raise InputError(f"{device.name} states no link to a host; give 'link'")
    return link.bandwidth_bytes_per_s
