"""What a simulation found beside times: hits of prefix caches, adapters fetched, caches swapped, tokens a step."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import Any

from perfmodel.cost.cache_moves import break_even_bytes_per_s, break_even_tokens, quadratic
from perfmodel.simulation.equipment import Equipment
from perfmodel.simulation.policy import Policy
from perfmodel.simulation.predictor import Composition
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Asked, Request
from perfmodel.simulation.run import Simulated


def stated(policy: Policy, asked: Asked, e: Equipment) -> dict[str, Any]:
    """Return, by their names, the inputs that are not as in a plain simulation."""
    found: dict[str, Any] = {}
    if policy.preempt != "recompute":
        found["preempt"] = policy.preempt
    if policy.name == "shared":
        found["prefill_share"] = policy.prefill_share
    found |= {name: count for name in ("documents", "adapters") if (count := getattr(asked, name))}
    if found.keys() & {"documents", "adapters"}:
        found["zipf"] = asked.exponent
    if e.lora is not None:
        found |= {"lora_rank": e.lora.rank, "lora_targets": e.lora.targets}
    if e.draft is not None:
        found |= {"draft": e.draft.decode.model.name, "draft_tokens": e.draft_tokens, "acceptance": e.acceptance}
    if e.acceptance_spread:
        found["acceptance_spread"] = e.acceptance_spread
    if e.block:
        found |= {"block": e.block[0], "passes": e.block[1]}
    if e.tiers:
        found["tiers"] = [
            vars(tier) | {"bytes_per_s": min(tier.bytes_per_s, e.link_bytes_per_s or inf)} for tier in e.tiers
        ]
    return found


def figures_of(result: Simulated, equipment: Equipment) -> dict[str, Any]:
    """Return JSON-ready objects, each only where there is something to say."""
    found: dict[str, Any] = {}
    tallies = [r.prefixes.tally for r in result.each if r.prefixes]
    if sum(tally.requests for tally in tallies):
        found["prefix_cache"] = _prefixes(result.each, equipment, result.requests)
    pools = [r.adapters for r in result.each if r.adapters]
    if pools:
        asked, fetched = sum(pool.asked for pool in pools), sum(pool.fetched for pool in pools)
        found["adapters"] = {
            "asked": asked, "fetched": fetched, "hit_rate": 1.0 - fetched / max(asked, 1),
            "bytes_each": pools[0].bytes_each,
        }  # fmt: skip
    if any(r.swaps for r in result.each):
        found["swaps"] = sum(r.swaps for r in result.each)
    return found


def _prefixes(replicas: Sequence[Replica], equipment: Equipment, requests: Sequence[Request]) -> dict[str, Any]:
    tallies = [r.prefixes.tally for r in replicas if r.prefixes]
    count, tokens = (max(sum(getattr(tally, name) for tally in tallies), 1) for name in ("requests", "tokens"))
    near, far, hits = (sum(getattr(t, name) for t in tallies) for name in ("near_tokens", "far_tokens", "hits"))
    found = {
        "hit_rate": hits / count, "token_hit_rate": (near + far) / tokens, "tokens_on_device": near,
        "tokens_loaded": far, "computed_instead": sum(tally.computed for tally in tallies),
    }  # fmt: skip
    return found | (_break_even(replicas[0], equipment, requests) if equipment.tiers else {})


def _break_even(replica: Replica, equipment: Equipment, requests: Sequence[Request]) -> dict[str, float | None]:
    """Return the rate, and the length, from which loading a mean input is quicker than computing it."""
    assert equipment.link_bytes_per_s is not None
    tier = equipment.tiers[0]
    tokens = max(sum(r.input_tokens for r in requests) / len(requests), 2.0)
    lengths = tokens, 4.0 * tokens
    first, second = (replica.predictor.step_s(Composition(1, n, n)) for n in lengths)
    size = replica.cache_bytes(float(round(tokens)))
    rate = break_even_bytes_per_s(size, first, tier.latency_s, tier.compression)
    loading = size / tokens / (tier.compression * min(tier.bytes_per_s, equipment.link_bytes_per_s))
    length = break_even_tokens(*quadratic(lengths[0], first, lengths[1], second), loading, tier.latency_s)
    numbers = {"break_even_bytes_per_s": float(rate), "break_even_tokens": float(length)}
    return {name: value if isfinite(value) else None for name, value in numbers.items()}
