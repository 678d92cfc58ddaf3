"""Things kept until their room is wanted: the one that was used longest ago goes first, those in use never."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass
class Kept:
    """One thing: its bytes, the tokens that it stands for, how many use it, and from when on it is there."""

    size: float
    tokens: int = 0
    users: int = 0
    ready_s: float = 0.0


class Lru(Generic[K]):
    """Things by their key, the one used last at the end; ``total_bytes`` of all, ``pinned_bytes`` of those in use."""

    def __init__(self) -> None:
        self._kept: OrderedDict[K, Kept] = OrderedDict()
        self.total_bytes = 0.0
        self.pinned_bytes = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> Kept | None:
        """Return a thing without using it."""
        return self._kept.get(key)

    def touch(self, key: K) -> None:
        """Use a thing: it is now the last to go."""
        self._kept.move_to_end(key)

    def put(self, key: K, thing: Kept) -> None:
        """Keep a thing as the last to go; an earlier one of the same key goes, its users stay."""
        old = self._kept.pop(key, None)
        if old is not None:
            thing.users += old.users
            self.total_bytes -= old.size
            self.pinned_bytes -= old.size if old.users else 0.0
        self._kept[key] = thing
        self.total_bytes += thing.size
        self.pinned_bytes += thing.size if thing.users else 0.0

    def pop(self, key: K) -> Kept | None:
        """Take a thing that nobody uses out."""
        thing = self._kept.pop(key, None)
        if thing is not None:
            self.total_bytes -= thing.size
        return thing

    def pin(self, key: K) -> None:
        """Say that one more uses a thing."""
        thing = self._kept[key]
        self.pinned_bytes += 0.0 if thing.users else thing.size
        thing.users += 1

    def unpin(self, key: K) -> None:
        """Say that one less uses a thing."""
        thing = self._kept[key]
        thing.users -= 1
        self.pinned_bytes -= 0.0 if thing.users else thing.size

    def shrink(self, most_bytes: float) -> Iterator[tuple[K, Kept]]:
        """Take out and yield what was used longest ago and by nobody now, until ``most_bytes`` or less is left."""
        if self.total_bytes <= most_bytes:
            return
        for key in [key for key, thing in self._kept.items() if not thing.users]:
            if self.total_bytes <= most_bytes:
                return
            thing = self.pop(key)
            assert thing is not None
            yield key, thing
