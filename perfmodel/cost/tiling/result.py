"""What a tiling is: a schedule with its tiles, and the words that each operand moves across main memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from perfmodel.errors import PlanError


@dataclass(frozen=True)
class Tiling:
    """The words that cross the edge of a buffer under one schedule; ``tiles`` are extents of what stays in it.

    ``output_words`` counts partial sums twice for each time that they leave and come back, and the final write once.
    """

    schedule: str
    tiles: Mapping[str, int]
    input_words: int
    weight_words: int
    output_words: int
    buffer_words: int

    @property
    def words(self) -> int:
        """Return all words that cross the edge."""
        return self.input_words + self.weight_words + self.output_words


def least(found: Iterable[Tiling], words: int, what: str) -> Tiling:
    """Return the tiling that moves least; :class:`PlanError` if nothing fits."""
    best = min(found, key=lambda t: (t.words, t.buffer_words), default=None)
    if best is None:
        raise PlanError(f"a buffer of {words} words holds no tile of {what}")
    return best


def up(a: int, b: int) -> int:
    """Return a/b rounded up."""
    return -(-a // b)


@lru_cache(maxsize=4096)
def tile_sizes(extent: int, divisors: bool = False) -> tuple[int, ...]:
    """Return the extents of tiles worth trying, ``ceil(extent/p)`` for p = 1, 2, ...: no other needs fewer tiles."""
    if divisors:
        return tuple(size for size in range(1, extent + 1) if extent % size == 0)
    sizes = [extent]
    while sizes[-1] > 1:
        sizes.append(up(extent, up(extent, sizes[-1] - 1)))  # the largest even cut below the last
    return tuple(sizes[::-1])


def widest(limit: int, extent: int, divisors: bool = False) -> int:
    """Return the largest tile of at most ``limit`` (0: none fits)."""
    limit = min(limit, extent)
    while divisors and limit > 1 and extent % limit:
        limit -= 1
    return max(limit, 0)
