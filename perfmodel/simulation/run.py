"""A deployment under load: requests are dealt to replicas, or pass from prefill to decode workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

from perfmodel.errors import PlanError
from perfmodel.serving.scenario import Setup
from perfmodel.simulation.driver import Driver, wake
from perfmodel.simulation.equipment import Equipment, Maker, cache_of
from perfmodel.simulation.predictor import Predictor
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.requests import Request


@dataclass(frozen=True)
class Simulated:
    """What became of the requests: all of them, finished, with the time the deployment was busy, and its replicas."""

    requests: tuple[Request, ...]
    span_s: float
    busy_share: float
    steps: int
    replicas: int
    each: tuple[Replica, ...] = field(default=(), repr=False)


def replicas_of(
    setup: Setup, policy: Policy, predictor: Predictor | None = None, equipment: Equipment | None = None
) -> list[Replica]:
    """Return the idle replicas of a deployment without pools. Errors: :class:`PlanError` if the model does not fit."""
    maker = Maker(setup, policy, equipment, predictor=predictor)
    return [maker.replica(place) for place in range(setup.replicas)]


def simulate(requests: Sequence[Request], replicas: Sequence[Replica], driver: Driver | None = None) -> Simulated:
    """Return what becomes of requests that arrive at their times, each dealt to the replica with the least load.

    ``driver`` runs the replicas in another way, such as with another router.
    """
    driver = driver or Driver(replicas)
    for request in requests:
        driver.submit(request)
    driver.run()
    return result_of(requests, replicas)


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
        for done in replica.advance(inf, to_first=True):
            if left:
                request = left.pop(0)
                request.arrival_s = done.finished_s or 0.0
                taken.append(request)
                replica.add(request)
    return result_of(taken, replicas)


def simulate_pools(
    requests: Sequence[Request], setup: Setup, policy: Policy, link_bytes_per_s: float,
    equipment: Equipment | None = None,
) -> Simulated:  # fmt: skip
    """Return what becomes of requests whose prompts one pool reads and whose outputs another one writes.

    Between them the cache crosses the network after the first token, each decode device's share of it over a link of
    its own: ``bytes of a device/link_bytes_per_s``.
    Errors: :class:`PlanError` if the setup has no pools.
    """
    q = setup.question
    if q.prefill_pool is None or q.decode_pool is None:
        raise PlanError("these requests need pools of prefill and decode workers")
    if policy.name == "shared":
        raise PlanError("pools have prompts and decodes on devices of their own; policy 'shared' has them on one")
    first = replace(setup.memory, plan=setup.prefill.plan, precisions=setup.prefill.precisions)
    reading, writing = Maker(setup, policy, equipment, "prefill", memory=first), Maker(setup, policy, equipment)
    readers = [reading.replica(i, decodes_here=False) for i in range(q.prefill_pool.workers)]
    writers = [writing.replica(i, arrives_cached=True) for i in range(q.decode_pool.workers)]
    for writer in writers:
        writer.prefixes = None  # prompts come read
    simulate(requests, readers)
    size = cache_of(setup.memory)
    driver = Driver(writers)
    for request in requests:
        request.finished_s = request.finished_s if request.output_tokens == 1 else None
        if request.output_tokens > 1:
            request.prefilled = request.generated = 0
            ready = (request.first_token_s or 0.0) + size(request.input_tokens) / link_bytes_per_s
            driver.at(ready, partial(_hand_over, driver, request))
    driver.run()
    return result_of(requests, [*readers, *writers])


def _hand_over(driver: Driver, request: Request, now_s: float) -> None:
    """Give a request whose cache has crossed the network to the worker with the least load."""
    chosen = driver.replicas[driver.router.choose(request, driver.replicas, driver.loads(now_s))]
    wake(chosen, now_s)
    chosen.add(request)


def result_of(requests: Sequence[Request], replicas: Sequence[Replica]) -> Simulated:
    """Return what became of requests that have been run on replicas."""
    end = max((request.finished_s or 0.0 for request in requests), default=0.0)
    start = min((request.arrival_s for request in requests), default=0.0)
    span = max(end - start, 1e-12)
    busy = sum(replica.busy_s for replica in replicas) / (span * len(replicas))
    steps = sum(replica.steps for replica in replicas)
    return Simulated(tuple(requests), span, busy, steps, len(replicas), tuple(replicas))
