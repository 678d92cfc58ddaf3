"""Traffic at every level of a stack of memories: registers, SRAM, caches, HBM, DDR, CXL, flash, a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfmodel.errors import InputError
from perfmodel.numeric import Number, maximum, where


@dataclass(frozen=True)
class Level:
    """One memory, and how fast the one beyond it can be read into it (``inf``: no limit is stated)."""

    name: str
    capacity_bytes: Number
    bandwidth_bytes_per_s: Number = float("inf")


@dataclass(frozen=True)
class Crossing:
    """What crosses between a level and the next farther one, and the least seconds of that."""

    inner: str
    outer: str
    moved_bytes: Number
    time_s: Number


def stack_traffic(
    levels: Sequence[Level], operand_bytes: Number, moved_bytes: Callable[[Number], Number]
) -> list[Crossing]:
    """Return what crosses each boundary of a stack, from the innermost outwards.

    ``moved_bytes(capacity)`` is the traffic of a policy through one buffer; across the boundary above a level it is
    that of the level's capacity, and never more than what crosses the boundary below it. Operands live in the first
    level that holds all of ``operand_bytes``, or in the last: beyond it nothing moves. ``time = bytes / bandwidth`` of
    the farther level; all boundaries work at once, so the largest is the least time.
    Source: the multi-level form of the red-blue pebble game (Savage 1995): each level obeys the bound of its capacity.
    Omits: tiles of neighbouring levels that do not nest, for which one level's optimum costs another.
    """
    if len(levels) < 2:
        raise InputError("a stack has at least two levels: what is worked from, and where the operands come from")
    found: list[Crossing] = []
    before: Number = float("inf")
    outside: Number = 1.0
    for inner, outer in pairwise(levels):
        outside = where(operand_bytes > inner.capacity_bytes, outside, 0.0)
        least = moved_bytes(inner.capacity_bytes)
        moved = outside * where(least < before, least, before)
        before = where(least < before, least, before)
        found.append(Crossing(inner.name, outer.name, moved, moved / outer.bandwidth_bytes_per_s))
    return found


def stack_time_s(crossings: Sequence[Crossing]) -> Number:
    """Return the least seconds of a stack: its slowest boundary."""
    return maximum(0.0, *(c.time_s for c in crossings))
