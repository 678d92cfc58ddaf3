"""Which replica gets a request."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from perfmodel.errors import InputError, did_you_mean
from perfmodel.simulation.freeness import remaining_steps, usable_bytes
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request


class Router(Protocol):
    """Whatever deals requests to replicas."""

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        """Return the place of the replica that gets the request; ``loads`` are the requests that each has."""
        ...


class LeastLoad:
    """The replica with fewest requests, running or waiting (join the shortest queue); ties go round."""

    def __init__(self) -> None:
        self._last = -1

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        self._last = min(range(len(loads)), key=lambda i: (loads[i], (i - self._last - 1) % len(loads)))
        return self._last


class Random:
    """Any replica, all alike: each then sees arrivals as random as those of the whole."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        return self._random.randrange(len(loads))


class RoundRobin:
    """One after the other, whatever they have to do."""

    def __init__(self) -> None:
        self._last = -1

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        self._last = (self._last + 1) % len(loads)
        return self._last


class TwoChoices:
    """The one with fewer requests of two picked at random.

    With many servers of exponential times at utilisation ``rho`` the mean time in the system, in service times, is
    ``sum over i >= 1 of rho^(2^i - 2)``, against ``1/(1 - rho)`` of one choice. Source: Mitzenmacher 2001, The Power
    of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10); Vvedenskaya, Dobrushin and Karpelevich 1996.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        picked = self._random.sample(range(len(loads)), min(2, len(loads)))
        return min(picked, key=lambda i: loads[i])


class LeastMemory:
    """The one with most memory for caches left, what waits there let in: one long request weighs as many short ones."""

    def __init__(self, target_bytes: float | None = None) -> None:
        self.target_bytes = target_bytes

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        def key(place: int) -> tuple[float, int]:
            replica = replicas[place]
            queued = sum(replica.cache_bytes(r.to_read + 1) for r in replica.waiting)
            claimed = replica.held_bytes + replica.reserved_bytes + queued
            return claimed - usable_bytes(replica, self.target_bytes), loads[place]

        return min(range(len(loads)), key=key)


class MostSteps:
    """The replica with room for most further steps, as Llumnix dispatches; of those without work, the least loaded."""

    def __init__(self, target_bytes: float | None = None) -> None:
        self.target_bytes = target_bytes

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        def key(place: int) -> tuple[float, int, int]:
            replica = replicas[place]
            return -remaining_steps(replica, self.target_bytes), len(replica.waiting), loads[place]

        return min(range(len(replicas)), key=key)


class PrefixAffine:
    """The replica that had the request's conversation before, for its cache, unless that has too much to do.

    A replica takes no more than ``ceil(bound*mean load)`` requests, the new one counted; beyond that the request goes
    to the one with fewest, which becomes its conversation's home. A new conversation goes there at once. Source:
    Mirrokni, Thorup and Zadimoghaddam 2018, Consistent Hashing with Bounded Loads (the bound; homes are not hashed).
    """

    def __init__(self, bound: float = 1.25) -> None:
        if bound < 1.0:
            raise InputError(f"the bound of prefix routing is at least 1 mean load, not {bound:g}")
        self.bound = bound
        self._home: dict[str, int] = {}
        self._others = LeastLoad()

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        key = request.key
        most = -(-self.bound * (sum(loads) + 1) // len(loads))
        home = self._home.get(key) if key else None
        if home is None or loads[home] + 1 > most:
            home = self._others.choose(request, replicas, loads)
            if key:
                self._home[key] = home
        return home


ROUTERS: dict[str, Callable[[int, float | None], Router]] = {
    "least_load": lambda _, __: LeastLoad(),
    "round_robin": lambda _, __: RoundRobin(),
    "random": lambda seed, _: Random(seed),
    "two_choices": lambda seed, _: TwoChoices(seed),
    "memory": lambda _, target: LeastMemory(target),
    "steps": lambda _, target: MostSteps(target),
    "prefix": lambda _, __: PrefixAffine(),
}
"""Routers by name, each made from a seed and the bytes up to which a replica with urgent requests may be filled."""


def router_named(name: str, seed: int = 0, target_bytes: float | None = None) -> Router:
    """Return a router by its name. Errors: :class:`InputError` with the nearest names."""
    if name not in ROUTERS:
        raise InputError(f"unknown balance '{name}'{did_you_mean(name, ROUTERS)} (one of {', '.join(ROUTERS)})")
    return ROUTERS[name](seed, target_bytes)
