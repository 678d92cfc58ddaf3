"""A deployment under load: requests are dealt to replicas, or pass from prefill to decode workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from perfmodel.errors import PlanError
from perfmodel.plan.memory import USABLE_FRACTION, MemoryModel, activation_bytes, kv_bytes_per_sequence
from perfmodel.serving.scenario import STEP_TOKENS, Setup
from perfmodel.simulation.predictor import Predictor, StepPredictor
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.requests import Request


@dataclass(frozen=True)
class Simulated:
    """What became of the requests: all of them, finished, with the time the deployment was busy."""

    requests: tuple[Request, ...]
    span_s: float
    busy_share: float
    steps: int
    replicas: int


def replicas_of(setup: Setup, policy: Policy, predictor: Predictor | None = None) -> list[Replica]:
    """Return the idle replicas of a deployment without pools. Errors: :class:`PlanError` if the model does not fit."""
    asked = predictor or StepPredictor(setup)
    return [_replica(setup.memory, policy, asked) for _ in range(setup.replicas)]


def _replica(memory: MemoryModel, policy: Policy, predictor: Predictor, **kind: Any) -> Replica:
    room = _room_bytes(memory, min(float(policy.token_budget), STEP_TOKENS))
    return Replica(predictor, policy, room, _cache_bytes(memory), **kind)


def _room_bytes(memory: MemoryModel, step_tokens: float) -> float:
    """Return what all attention groups of a replica have for caches, of one device's share each."""
    live = float(activation_bytes(memory.model, memory.plan, step_tokens))
    room = float(memory.capacity_bytes) * USABLE_FRACTION - float(memory.fixed_bytes()) - live
    if room <= 0.0:
        raise PlanError(
            f"{memory.model.name} leaves no memory for caches on a device of "
            f"{float(memory.capacity_bytes) / 1e9:.0f} GB; split it over more devices"
        )
    return room * float(memory.plan.attention_dp)


def _cache_bytes(memory: MemoryModel) -> Callable[[float], float]:
    element = memory.precisions.cache.bytes_per_element

    @lru_cache(maxsize=65536)
    def held(tokens: float) -> float:
        return float(kv_bytes_per_sequence(memory.model, memory.plan, element, float(tokens)))

    return held


def simulate(requests: Sequence[Request], replicas: Sequence[Replica]) -> Simulated:
    """Return what becomes of requests that arrive at their times, each dealt to the replica with the least load."""
    for request in requests:
        for replica in replicas:
            replica.advance(request.arrival_s)
        chosen = min(replicas, key=lambda replica: (replica.load, replica.now_s))
        chosen.now_s = chosen.now_s if chosen.load else max(chosen.now_s, request.arrival_s)
        chosen.add(request)
    for replica in replicas:
        replica.advance(float("inf"))
    return _result(requests, replicas)


def simulate_closed(requests: Sequence[Request], replicas: Sequence[Replica], in_flight: int) -> Simulated:
    """Return what becomes of requests of which ``in_flight`` are there at any time: a finished one is replaced at once.

    Arrival times are set by the run.
    """
    shares = [in_flight // len(replicas) + (i < in_flight % len(replicas)) for i in range(len(replicas))]
    left = list(requests)
    taken: list[Request] = []
    for replica, share in zip(replicas, shares, strict=True):
        for _ in range(min(share, len(left))):
            request = left.pop(0)
            request.arrival_s = 0.0
            taken.append(request)
            replica.add(request)
    while any(replica.load for replica in replicas):
        replica = min((r for r in replicas if r.load), key=lambda r: r.now_s)
        for done in _until_one_finishes(replica):
            if left:
                request = left.pop(0)
                request.arrival_s = done.finished_s or 0.0
                taken.append(request)
                replica.add(request)
    return _result(taken, replicas)


def _until_one_finishes(replica: Replica) -> list[Request]:
    while replica.load:
        found = replica.advance(replica.now_s + 1e-12)
        if found:
            return found
    return []


def simulate_pools(requests: Sequence[Request], setup: Setup, policy: Policy, link_bytes_per_s: float) -> Simulated:
    """Return what becomes of requests whose prompts one pool reads and whose outputs another one writes.

    Between them the cache crosses the network at ``link_bytes_per_s``, whole, after the first token.
    Errors: :class:`PlanError` if the setup has no pools.
    """
    q = setup.question
    if q.prefill_pool is None or q.decode_pool is None:
        raise PlanError("these requests need pools of prefill and decode workers")
    first = replace(setup.memory, plan=setup.prefill.plan, precisions=setup.prefill.precisions)
    reading, writing = StepPredictor(setup, "prefill"), StepPredictor(setup, "decode")
    readers = [_replica(first, policy, reading, decodes_here=False) for _ in range(q.prefill_pool.workers)]
    writers = [_replica(setup.memory, policy, writing, arrives_cached=True) for _ in range(q.decode_pool.workers)]
    size = _cache_bytes(setup.memory)
    split = float(setup.decode.plan.tp)
    simulate(requests, readers)
    moved: list[tuple[float, Request]] = []
    for request in requests:
        ready = (request.first_token_s or 0.0) + size(request.input_tokens) * split / link_bytes_per_s
        moved.append((ready, request))
    for ready, request in sorted(moved, key=lambda pair: pair[0]):
        request.finished_s = request.finished_s if request.output_tokens == 1 else None
        if request.output_tokens > 1:
            for replica in writers:
                replica.advance(ready)
            chosen = min(writers, key=lambda replica: (replica.load, replica.now_s))
            chosen.now_s = chosen.now_s if chosen.load else max(chosen.now_s, ready)
            request.prefilled = request.generated = 0
            chosen.add(request)
    for replica in writers:
        replica.advance(float("inf"))
    return _result(requests, [*readers, *writers])


def _result(requests: Sequence[Request], replicas: Sequence[Replica]) -> Simulated:
    end = max((request.finished_s or 0.0 for request in requests), default=0.0)
    start = min((request.arrival_s for request in requests), default=0.0)
    span = max(end - start, 1e-12)
    busy = sum(replica.busy_s for replica in replicas) / (span * len(replicas))
    return Simulated(tuple(requests), span, busy, sum(replica.steps for replica in replicas), len(replicas))
