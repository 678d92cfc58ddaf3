"""Requests that move between replicas while they run: when, which one, and how long it stops."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from perfmodel.numeric import Number, ceil, log, maximum, where
from perfmodel.simulation.driver import Driver, wake
from perfmodel.simulation.freeness import AHEAD_TOKENS, remaining_steps
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request

_CALM = 8.0
"""With room for so many times the fewest steps nobody has to give anything away soon, whatever the interval."""


_AMPLE = 10.0
"""A replica takes a request if it then has room for so many times the fewest steps."""


@dataclass(frozen=True)
class StagedCopy:
    """A cache copied in stages while its request writes on: ``copy_s`` in all, of which it stops for ``downtime_s``."""

    stages: Number
    copy_s: Number
    downtime_s: Number


def staged_copy(cache_bytes: Number, grown_bytes_per_s: Number, link_bytes_per_s: Number, stop_s: Number) -> StagedCopy:
    """Return how a cache is copied in stages, each taking what was written during the one before.

    ``rho = grown/link``; stage ``i`` takes ``cache*rho^i/link`` seconds; the request stops as soon as what is left
    takes no longer than ``stop_s`` (a step), after ``k = max(ceil(ln(stop*link/cache)/ln(rho)), 1)`` stages:

        downtime = cache*rho^k/link        copy = cache/link*(1 - rho^(k+1))/(1 - rho)

    Bytes, bytes a second, seconds. A link slower than the growth never catches up: infinite. Source: Sun et al. 2024,
    Llumnix, section on live migration; the same sum as pre-copying virtual machines (Clark et al. 2005). Omits the
    handshake of each stage.
    """
    rho = grown_bytes_per_s / link_bytes_per_s
    catches = rho < 1.0
    safe = where(catches, maximum(rho, 1e-30), 0.5)
    stages = maximum(ceil(log(stop_s * link_bytes_per_s / cache_bytes) / log(safe)), 1.0)
    first = cache_bytes / link_bytes_per_s
    down, copy = first * safe**stages, first * (1.0 - safe ** (stages + 1.0)) / (1.0 - safe)
    return StagedCopy(where(catches, stages, math.inf), where(catches, copy, math.inf), where(catches, down, math.inf))


@dataclass(frozen=True)
class Rescheduling:
    """When requests move. ``link_bytes_per_s`` is of one device: each copies its own share of a cache.

    Every ``interval_s`` the replicas that have room for fewer than ``least_steps`` further steps are paired with those
    that have most; each gives away its shortest request of the lowest priority, if the other has ample room with it.
    ``target_bytes`` is the load up to which a replica with a request of high priority counts as full (None: as any
    other). The defaults of interval, steps and stages are those of the released Llumnix (llumnix/config/default.py,
    commit 018bb3b).
    """

    link_bytes_per_s: float
    interval_s: float = 0.05
    least_steps: float = 3.0
    most_stages: int = 3
    target_bytes: float | None = None


@dataclass
class Moves:
    """What moved: requests, bytes of a device, seconds of copies and of stops; ``dropped`` are moves given up.

    A request stops until its last stage is copied and the step that is under way where it goes has ended.
    """

    done: int = 0
    dropped: int = 0
    moved_bytes: float = 0.0
    copy_s: list[float] = field(default_factory=list[float])
    downtime_s: list[float] = field(default_factory=list[float])


@dataclass
class _Move:
    request: Request
    source: Replica
    target: Replica
    started_s: float
    reserved_bytes: float
    preemptions: int
    copied_tokens: int = 0
    stages: int = 0
    stopped_s: float = 0.0

    @property
    def lives(self) -> bool:
        """Say whether the request still runs where it ran, with the cache that is copied."""
        return self.request in self.source.running and self.request.preemptions == self.preemptions


class Rescheduler:
    """Watches the replicas of a driver and moves requests between them; ``moves`` tells what it did."""

    def __init__(self, driver: Driver, how: Rescheduling) -> None:
        self.driver, self.how, self.moves = driver, how, Moves()
        self._moving: list[_Move] = []

    def start(self, now_s: float = 0.0) -> None:
        """Look at the replicas from now on, as long as there is anything to do."""
        self.driver.at(now_s, self._look)

    def _look(self, now_s: float) -> None:
        if not self.driver.busy:
            return
        room = {i: remaining_steps(r, self.how.target_bytes) for i, r in enumerate(self.driver.replicas)}
        order = sorted(room, key=lambda place: room[place])
        givers = [place for place in order if room[place] < self.how.least_steps]
        takers = [place for place in reversed(order) if room[place] >= self.how.least_steps]
        for giver, taker in zip(givers, takers, strict=False):
            source, target = self.driver.replicas[giver], self.driver.replicas[taker]
            if all(move.source is not source for move in self._moving):
                self._begin(source, target, now_s)
        self.driver.at(self._next_look_s(now_s, min(room.values())), self._look)

    def _next_look_s(self, now_s: float, least_room: float) -> float:
        """Return when to look again: after the interval, or as long as nothing comes that could change much."""
        soon = now_s + self.how.interval_s
        if least_room < _CALM * self.how.least_steps:
            return soon
        step_s = min(replica.busy_s / replica.steps if replica.steps else 0.0 for replica in self.driver.replicas)
        return max(soon, min(self.driver.next_s, now_s + 0.5 * least_room * step_s))

    def _begin(self, source: Replica, target: Replica, now_s: float) -> None:
        """Begin to copy the request that costs least to move, if the target has room for it."""
        able = [r for r in source.running if r.is_read and r.output_tokens - r.generated > 1]
        if len(source.running) < 2 or not able:
            return
        request = min(able, key=lambda r: (r.priority, r.context))
        # a replica that is soon full itself would only pass it on
        if remaining_steps(target, self.how.target_bytes, [request]) < _AMPLE * self.how.least_steps:
            return
        reserved = target.cache_bytes(request.context + AHEAD_TOKENS)
        target.reserved_bytes += reserved
        move = _Move(request, source, target, now_s, reserved, request.preemptions)
        self._moving.append(move)
        self._copy(move, now_s)

    def _copy(self, move: _Move, now_s: float) -> None:
        """Copy what is not copied yet, while the request writes on."""
        seconds = self._seconds(move)
        move.copied_tokens = move.request.context
        move.stages += 1
        self.driver.at(now_s + seconds, lambda time_s: self._copied(move, time_s))

    def _seconds(self, move: _Move) -> float:
        size = move.source.cache_bytes
        already = size(move.copied_tokens) if move.copied_tokens else 0.0
        moved = max(size(move.request.context) - already, 0.0)
        self.moves.moved_bytes += moved
        return moved / self.how.link_bytes_per_s

    def _copied(self, move: _Move, now_s: float) -> None:
        if not move.lives:
            self._drop(move)
            return
        left = move.source.cache_bytes(move.request.context) - move.source.cache_bytes(move.copied_tokens)
        step_s = move.source.busy_s / max(move.source.steps, 1)
        if left / self.how.link_bytes_per_s <= step_s:
            self._hand_over(move, now_s)
        elif move.stages >= self.how.most_stages:
            self._drop(move)
        else:
            self._copy(move, now_s)

    def _hand_over(self, move: _Move, now_s: float) -> None:
        """Stop the request at the end of its step, copy the rest, and let it go on elsewhere."""
        move.stopped_s = max(now_s, move.source.now_s)
        move.source.take_out(move.request)
        self.driver.at(move.stopped_s + self._seconds(move), lambda time_s: self._arrive(move, time_s))

    def _arrive(self, move: _Move, now_s: float) -> None:
        self._forget(move)
        wake(move.target, now_s)
        move.target.take_in(move.request)
        # the step that is under way there has to end first
        self.moves.downtime_s.append(move.target.now_s - move.stopped_s)
        self.moves.copy_s.append(now_s - move.started_s)
        self.moves.done += 1

    def _drop(self, move: _Move) -> None:
        self.moves.dropped += 1
        self._forget(move)

    def _forget(self, move: _Move) -> None:
        move.target.reserved_bytes = max(move.target.reserved_bytes - move.reserved_bytes, 0.0)
        self._moving.remove(move)
