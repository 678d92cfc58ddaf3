"""Caches of conversations and documents that outlive their requests: on the device, in host memory, on flash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.lru import Kept, Lru
from perfmodel.simulation.requests import Request


@dataclass(frozen=True)
class CacheTier:
    """A memory behind the device's own: its room and rate, of one device; ``compression`` times fewer bytes than near.

    ``latency_s`` is that of one load.
    """

    name: str
    capacity_bytes: float
    bytes_per_s: float = inf
    latency_s: float = 0.0
    compression: float = 1.0


@dataclass
class Tally:
    """What was looked for and found: requests with a key and their input, those with a hit, tokens by where they lay.

    ``computed`` are hits in a tier from which loading would have taken longer than computing.
    """

    requests: int = 0
    hits: int = 0
    tokens: int = 0
    near_tokens: int = 0
    far_tokens: int = 0
    computed: int = 0


class PrefixCache:
    """Caches by key: near ones in what running requests leave of the device's memory, the others in tiers behind it.

    Whole caches go from tier to tier, the one used longest ago first (LRU); writing them behind costs no time. A cache
    that is found behind comes near over the host link, if it is there sooner than it could be computed. One that is in
    use is counted once, however many requests begin with it, and stays.
    Omits: parts of caches (blocks), copies in two tiers at once, the work of decompression.
    """

    def __init__(
        self, cache_bytes: Callable[[float], float], tiers: Sequence[CacheTier] = (), link: HostLink | None = None
    ) -> None:
        self.near: Lru[str] = Lru()
        self.behind: list[tuple[CacheTier, Lru[str]]] = [(tier, Lru()) for tier in tiers]
        self.tally = Tally()
        self._cache_bytes = cache_bytes
        self._link = link

    @property
    def pinned_bytes(self) -> float:
        """Return the bytes of near caches that running requests use."""
        return self.near.pinned_bytes

    def holds(self, key: str) -> int:
        """Return the tokens that are kept under a key, in any tier."""
        return max((found.tokens for kept in self._every() if (found := kept.get(key))), default=0)

    def needed_bytes(self, request: Request) -> float:
        """Return what a request's use of its key adds to its own cache: less than nothing where others use it too."""
        found = self.near.get(request.key) or next((f for _, kept in self.behind if (f := kept.get(request.key))), None)
        if found is None:
            return 0.0
        used = self._cache_bytes(min(found.tokens, request.most_shared))
        return (0.0 if found.users else self._cache_bytes(found.tokens)) - used

    def borrow(self, request: Request, now_s: float, computing_s: Callable[[int], float]) -> float:
        """Let a request begin with what is kept under its key: sets what it has read; return when that is there.

        ``computing_s`` tells how long its input takes longer without so many tokens.
        """
        found = self.near.get(request.key)
        where = "near"
        if found is None:
            found, where = self._brought(request, now_s, computing_s), "far"
        tokens = min(found.tokens, request.most_shared) if found else 0
        if not request.preemptions:
            self._count(request, tokens, where)
        if found is None or not tokens:
            return now_s
        self.near.touch(request.key)
        self.near.pin(request.key)
        request.borrowed_bytes = self._cache_bytes(tokens)
        request.prefilled = max(request.prefilled, tokens)
        return max(now_s, found.ready_s)

    def give_back(self, request: Request) -> None:
        """End a request's use of what it began with."""
        if request.borrowed_bytes:
            request.borrowed_bytes = 0.0
            self.near.unpin(request.key)

    def share(self, request: Request) -> None:
        """Let others begin with the document that a request has just read; it is counted once from now on."""
        if request.shared_tokens and request.most_shared and not request.borrowed_bytes:
            kept = self.near.get(request.key)
            if kept is None or kept.tokens < request.most_shared:
                self._put(request.key, request.most_shared)
            self.near.pin(request.key)
            request.borrowed_bytes = self._cache_bytes(request.most_shared)

    def keep(self, request: Request) -> None:
        """Keep the cache of a conversation whose request has finished, in place of the shorter one before it."""
        if request.shared_tokens is None and request.context > self.holds(request.key):
            for _, kept in self.behind:
                kept.pop(request.key)
            self._put(request.key, request.context)

    def shrink(self, most_bytes: float) -> None:
        """Leave no more than ``most_bytes`` on the device: what was used longest ago moves behind, or is lost."""
        moving = list(self.near.shrink(most_bytes))
        for tier, kept in self.behind:
            for key, thing in moving:
                size = self._cache_bytes(thing.tokens) / tier.compression
                if size <= tier.capacity_bytes:
                    kept.put(key, Kept(size, thing.tokens))
            moving = list(kept.shrink(tier.capacity_bytes))

    def _every(self) -> list[Lru[str]]:
        return [self.near, *(kept for _, kept in self.behind)]

    def _put(self, key: str, tokens: int) -> None:
        self.near.put(key, Kept(self._cache_bytes(tokens), tokens))

    def _brought(self, request: Request, now_s: float, computing_s: Callable[[int], float]) -> Kept | None:
        """Bring near what lies behind under a request's key, unless computing it is quicker."""
        for tier, kept in self.behind:
            found = kept.get(request.key)
            if found is None or self._link is None:
                continue
            load = found.size, tier.bytes_per_s, tier.latency_s
            if self._link.arrival_s(now_s, *load) - now_s > computing_s(min(found.tokens, request.most_shared)):
                self.tally.computed += 1
                return None
            kept.pop(request.key)
            ready = self._link.fetch(now_s, *load)
            thing = Kept(self._cache_bytes(found.tokens), found.tokens, ready_s=ready)
            self.near.put(request.key, thing)
            return thing
        return None

    def _count(self, request: Request, tokens: int, where: str) -> None:
        request.found_tokens = tokens
        self.tally.requests += 1
        self.tally.tokens += request.input_tokens
        self.tally.hits += tokens > 0
        if where == "near":
            self.tally.near_tokens += tokens
        else:
            self.tally.far_tokens += tokens
