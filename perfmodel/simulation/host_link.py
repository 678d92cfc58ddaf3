"""The way between a replica and its host: what is copied over it, one transfer behind the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf


@dataclass
class HostLink:
    """A link of ``bytes_per_s`` in each direction; ``lanes`` of it side by side, one for each attention group.

    Sizes are one device's share, for every device has a link of its own. What comes in waits for what came before it.
    ``room_bytes`` is what the host keeps of caches that were swapped out, ``swapped_bytes`` of which are there.
    """

    bytes_per_s: float
    lanes: int = 1
    room_bytes: float = inf
    swapped_bytes: float = 0.0
    moved_bytes: float = 0.0
    _free_s: list[float] = field(default_factory=list[float], repr=False)

    def __post_init__(self) -> None:
        self._free_s = [0.0] * self.lanes

    def arrival_s(self, now_s: float, size: float, bytes_per_s: float = inf, latency_s: float = 0.0) -> float:
        """Return when ``size`` bytes would be there: ``max(now, link free) + latency + size/min(link, source)``."""
        return max(now_s, min(self._free_s)) + latency_s + self.copy_s(size, bytes_per_s)

    def fetch(self, now_s: float, size: float, bytes_per_s: float = inf, latency_s: float = 0.0) -> float:
        """Bring in ``size`` bytes; return when they are there."""
        found = self.arrival_s(now_s, size, bytes_per_s, latency_s)
        self._free_s[self._free_s.index(min(self._free_s))] = found
        self.moved_bytes += size
        return found

    def copy_s(self, size: float, bytes_per_s: float = inf) -> float:
        """Return the seconds of a copy that nothing is in the way of."""
        return size / min(bytes_per_s, self.bytes_per_s)
