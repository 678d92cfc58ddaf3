"""Low-rank adapters that requests ask for: kept on the device while there is room, fetched from the host."""

from __future__ import annotations

from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.lru import Kept, Lru


class AdapterPool:
    """Adapters of ``bytes_each`` on a device, beside the caches; one that a running request asks for stays.

    A missing one is fetched over the host link while others run; the one used longest ago makes room. Source: S-LoRA
    (Sheng et al. 2023), section 5: adapters and caches share one pool. Omits: fetching before a request is let in.
    """

    def __init__(self, bytes_each: float, link: HostLink) -> None:
        self.bytes_each = bytes_each
        self.near: Lru[int] = Lru()
        self.asked = 0
        self.fetched = 0
        self._link = link

    @property
    def pinned_bytes(self) -> float:
        """Return the bytes of the adapters that running requests use."""
        return self.near.pinned_bytes

    def needed_bytes(self, adapter: int) -> float:
        """Return what a request of an adapter adds to those in use."""
        kept = self.near.get(adapter)
        return self.bytes_each if adapter >= 0 and not (kept and kept.users) else 0.0

    def borrow(self, adapter: int, now_s: float) -> float:
        """Let a request use an adapter; return when it is there."""
        if adapter < 0:
            return now_s
        self.asked += 1
        kept = self.near.get(adapter)
        if kept is None:
            self.fetched += 1
            kept = Kept(self.bytes_each, ready_s=self._link.fetch(now_s, self.bytes_each))
            self.near.put(adapter, kept)
        self.near.touch(adapter)
        self.near.pin(adapter)
        return max(now_s, kept.ready_s)

    def give_back(self, adapter: int) -> None:
        """End a request's use of an adapter."""
        if adapter >= 0:
            self.near.unpin(adapter)

    def shrink(self, most_bytes: float) -> None:
        """Leave no more than ``most_bytes`` of adapters on the device, but for those in use."""
        for _ in self.near.shrink(most_bytes):
            pass
