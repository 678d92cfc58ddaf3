"""How much more a replica can take, in steps: what requests of high priority keep free counted as used."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request

AHEAD_TOKENS = 64
"""Tokens over which the growth of a cache is taken: windows and strides make single tokens uneven."""


def remaining_steps(replica: Replica, target_bytes: float | None = None, coming: Sequence[Request] = ()) -> float:
    """Return for how many steps a replica has room, what waits first let in (below zero: that does not fit).

    ``coming`` are further requests that it would have.

    ``(room - held - reserved - first of the queue)/growth of a step``; with a request of high priority the room is
    ``target_bytes``. Source: Llumnix's freeness, of virtual usages.
    """
    claimed = replica.held_bytes + replica.reserved_bytes
    if replica.waiting:
        claimed += replica.cache_bytes(replica.waiting[0].to_read + 1)
    claimed += sum(replica.cache_bytes(request.context + AHEAD_TOKENS) for request in coming)
    left = usable_bytes(replica, target_bytes) - claimed
    growth = sum(_growth(replica, request) for request in (*replica.running, *coming))
    return left / growth if growth > 0.0 else math.copysign(math.inf, left)


def usable_bytes(replica: Replica, target_bytes: float | None) -> float:
    """Return the room of a replica, or what of it may be filled beside requests of high priority."""
    if target_bytes is None or not any(r.priority > 0 for r in (*replica.running, *replica.waiting)):
        return replica.room_bytes
    return min(target_bytes, replica.room_bytes)


def _growth(replica: Replica, request: Request) -> float:
    """Return the bytes by which a step makes a request's cache longer."""
    context = float(request.context)
    return (replica.cache_bytes(context + AHEAD_TOKENS) - replica.cache_bytes(context)) / AHEAD_TOKENS
