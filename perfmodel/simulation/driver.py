"""Replicas through time: requests come, finish, and cause others, in the order in which these things happen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from perfmodel.errors import InputError
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request
from perfmodel.simulation.routing import LeastLoad, Router

Action = Callable[[float], None]
"""What happens at an event, given its time in seconds."""


class Driver:
    """Runs replicas between events: arrivals, and whatever :meth:`at` puts into the calendar.

    ``on_finish`` hears of every request as it finishes and may submit others or enter events, no earlier than that.
    With it, replicas take turns so that none runs past a moment at which another could still cause something:

        the replica that is furthest behind runs until the next one's time, or the next event

    without it, each runs straight to the next event. A step is whole: what comes during a step waits for its end.
    """

    def __init__(
        self, replicas: Sequence[Replica], router: Router | None = None,
        on_finish: Callable[[Request], None] | None = None,
    ) -> None:  # fmt: skip
        self.replicas = replicas
        self.router = router or LeastLoad()
        self.on_finish = on_finish
        self._events: list[tuple[float, int, Action]] = []
        self._entered = 0
        self._leaving: list[list[float]] = [[] for _ in replicas]

    def at(self, time_s: float, action: Action) -> None:
        """Enter an event; of the same time, the one entered first comes first."""
        heappush(self._events, (time_s, self._entered, action))
        self._entered += 1

    def submit(self, request: Request) -> None:
        """Let a request arrive at its time, to be dealt to the replica that the router chooses then."""
        self.at(request.arrival_s, lambda _: self.deal(request))

    def deal(self, request: Request) -> None:
        """Give a request that arrives now to a replica."""
        place = self.router.choose(request, self.replicas, self.loads(request.arrival_s))
        chosen = self.replicas[place]
        wake(chosen, request.arrival_s)
        chosen.add(request)

    def loads(self, now_s: float) -> list[int]:
        """Return how many requests each replica has; those whose last step is under way are still there."""
        for place, times in enumerate(self._leaving):
            if times:
                self._leaving[place] = [time for time in times if time > now_s]
        return [replica.load + len(times) for replica, times in zip(self.replicas, self._leaving, strict=True)]

    @property
    def busy(self) -> bool:
        """Say whether there is work, or anything else to come."""
        return bool(self._events) or any(replica.load for replica in self.replicas)

    def run(self) -> None:
        """Run until there is neither work nor an event."""
        while True:
            self._advance(self.next_s)
            if not self._events:
                break
            time_s, _, action = heappop(self._events)
            action(time_s)
        stuck = sum(replica.load for replica in self.replicas)
        if stuck:
            raise InputError(f"{stuck} requests wait for room that nothing gives back")

    @property
    def next_s(self) -> float:
        """Return the time of the next event, infinity if there is none."""
        return self._events[0][0] if self._events else math.inf

    def _advance(self, until_s: float) -> None:
        if self.on_finish is None:
            for place, replica in enumerate(self.replicas):
                if replica.load:
                    self._run(place, until_s)
            return
        stuck: set[int] = set()  # those whose requests cannot run before something else happens
        while True:
            behind = [i for i, r in enumerate(self.replicas) if r.load and r.now_s < self.next_s and i not in stuck]
            if not behind:
                return
            behind.sort(key=self._acts_s)
            first = behind[0]
            # one step at least: two replicas of the same time could otherwise wait for each other
            after = self._acts_s(behind[1]) if len(behind) > 1 else math.inf
            before = self.replicas[first].now_s
            done = self._run(first, min(self.next_s, max(after, math.nextafter(self._acts_s(first), math.inf))))
            if self.replicas[first].now_s == before and not done:
                stuck.add(first)
            for request in done:
                self.on_finish(request)

    def _acts_s(self, place: int) -> float:
        """Return when a replica with work next begins a step: a cache that is on its way may hold it up."""
        replica = self.replicas[place]
        return max(replica.now_s, getattr(replica, "wakes_s", 0.0))

    def _run(self, place: int, until_s: float) -> list[Request]:
        done = self.replicas[place].advance(until_s, to_first=self.on_finish is not None)
        self._leaving[place] += [request.finished_s or 0.0 for request in done]
        return done


def wake(replica: Replica, now_s: float) -> None:
    """Bring an idle replica's clock to the present: one at work is ahead of it already."""
    if not replica.load:
        replica.now_s = max(replica.now_s, now_s)
