"""Whether a cache that must go waits in host memory or is computed anew."""

from __future__ import annotations

from perfmodel.cost.cache_moves import swap_s
from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.policy import Policy
from perfmodel.simulation.predictor import Composition, Predictor
from perfmodel.simulation.requests import Request


def swaps(policy: Policy, host: HostLink | None, predictor: Predictor, victim: Request, size: float) -> bool:
    """Say whether a request's cache of ``size`` bytes goes to the host: by policy, and if the host has room for it.

    cheaper: if the way there and back, ``2*size/link``, takes less than reading its tokens again alone.
    """
    if policy.preempt == "recompute" or host is None or not victim.context:
        return False
    if host.swapped_bytes + size > host.room_bytes:
        return False
    if policy.preempt == "swap":
        return True
    tokens = float(victim.input_tokens + victim.generated)
    return float(swap_s(size, host.bytes_per_s)) < predictor.step_s(Composition(1, tokens, tokens))
