"""Weights, experts and KV cache beyond a device's own memory: where they lie, what a step fetches, its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.errors import InputError, PlanError, did_you_mean
from perfmodel.numeric import Number, exp, maximum, minimum, where

CACHES = ("popular", "lru")
"""What the device keeps of the experts: always the most popular ones, or those that were used last."""


@dataclass(frozen=True)
class Part:
    """Bytes that a step works on: ``stored_bytes`` in all, of which it touches ``step_bytes``.

    ``on_demand`` says that what a step touches is known only when it gets there (experts), in pieces of
    ``piece_bytes``.
    """

    name: str
    stored_bytes: Number
    step_bytes: Number
    on_demand: bool = False
    piece_bytes: Number = 0.0


@dataclass(frozen=True)
class Tier:
    """A memory, the device's own first: its capacity, how fast the device reads from it, the latency of one fetch."""

    name: str
    capacity_bytes: Number
    bandwidth_bytes_per_s: Number
    latency_s: Number = 0.0


@dataclass(frozen=True)
class Placement:
    """The bytes of each part (rows) that lie in each tier (columns)."""

    parts: tuple[Part, ...]
    tiers: tuple[Tier, ...]
    stored_bytes: tuple[tuple[Number, ...], ...]

    def share(self, part: int, tier: int) -> Number:
        """Return the share of a part that lies in a tier."""
        return self.stored_bytes[part][tier] / maximum(self.parts[part].stored_bytes, 1e-30)


@dataclass(frozen=True)
class Fetches:
    """What one step fetches from the tiers beyond the first: known ahead, and found missing when it is needed."""

    ahead_bytes: tuple[Number, ...]
    missed_bytes: tuple[Number, ...]
    missed_pieces: tuple[Number, ...]


def place(parts: Sequence[Part], tiers: Sequence[Tier]) -> Placement:
    """Return where parts lie if each fills what those before it leave, the nearest tier first.

    Errors: :class:`PlanError` if plain numbers say that the last tier overflows.
    """
    room = [tier.capacity_bytes for tier in tiers]
    rows: list[tuple[Number, ...]] = []
    for part in parts:
        left, row = part.stored_bytes, []
        for i in range(len(tiers)):
            taken = maximum(minimum(left, room[i]), 0.0)
            room[i], left = room[i] - taken, left - taken
            row.append(taken)
        if isinstance(left, (int, float)) and left > 1.0:
            raise PlanError(
                f"{part.name}: {left / 1e9:.3g} GB have no room in {', '.join(tier.name for tier in tiers)}; "
                "give a further tier, or more of the last"
            )
        rows.append(tuple(row))
    return Placement(tuple(parts), tuple(tiers), tuple(rows))


def zipf(count: int, exponent: float) -> list[float]:
    """Return the shares of ``count`` items of popularity ``1/rank^exponent``; 0 is uniform."""
    weights = [1.0 / rank**exponent for rank in range(1, count + 1)]
    return [weight / sum(weights) for weight in weights]


def touched_shares(shares: Sequence[float], draws: Number) -> list[Number]:
    """Return how likely each item is wanted at all by a step of ``draws`` draws: ``1 - (1-p)^draws``."""
    return [1.0 - (1.0 - share) ** draws for share in shares]


def hit_rate(shares: Sequence[float], slots: Number, draws: Number = 1.0, cache: str = "popular") -> Number:
    """Return the share of a step's distinct items that a cache of ``slots`` items has.

    popular: the ``slots`` most popular items q_i stay, ``sum_{i<=C} q_i / sum q_i`` (a part of a slot in proportion).
    lru: ``sum q_i*(1 - e^(-q_i t)) / sum q_i`` with t so that ``sum (1 - e^(-q_i t)) = C``.
    Source: Che, Tung and Wang, "Hierarchical Web Caching Systems" (IEEE JSAC 2002), for lru: independent steps.
    """
    if cache not in CACHES:
        raise InputError(f"unknown cache '{cache}'{did_you_mean(cache, CACHES)} (one of {', '.join(CACHES)})")
    wanted = touched_shares(sorted(shares, reverse=True), draws)
    held: Number = 0.0
    every: Number = 0.0
    when = _characteristic_time(wanted, slots) if cache == "lru" else 0.0
    for i, q in enumerate(wanted):
        kept = minimum(maximum(slots - i, 0.0), 1.0) if cache == "popular" else 1.0 - exp(-q * when)
        held, every = held + q * kept, every + q
    return where(slots >= len(wanted), 1.0, held / maximum(every, 1e-30))


def _characteristic_time(wanted: Sequence[Number], slots: Number) -> Number:
    """Return Che's t, in steps, by bisection of its logarithm: a fixed number of halvings, so that arrays may pass."""
    low: Number = -10.0
    high: Number = 40.0
    for _ in range(60):
        middle = (low + high) / 2.0
        t, filled = exp(middle), 0.0
        for q in wanted:
            filled = filled + 1.0 - exp(-minimum(q * t, 700.0))
        low, high = where(filled < slots, middle, low), where(filled < slots, high, middle)
    return minimum(exp(low), 1e15)


def fetches(placement: Placement, hits: Number | None = None) -> Fetches:
    """Return what a step fetches: of what lies beyond the first tier the share that the step touches.

    Parts known ahead are touched evenly over their bytes. Of parts on demand ``1 - hits`` of what the step touches is
    missing (None: the share that lies beyond), from the tiers beyond in proportion to what lies there.
    """
    tiers = range(1, len(placement.tiers))
    ahead: list[Number] = [0.0 for _ in tiers]
    missed: list[Number] = [0.0 for _ in tiers]
    pieces: list[Number] = [0.0 for _ in tiers]
    for row, part in enumerate(placement.parts):
        beyond = 1.0 - placement.share(row, 0)
        for i, tier in enumerate(tiers):
            share = placement.share(row, tier)
            if not part.on_demand:
                ahead[i] = ahead[i] + share * part.step_bytes
                continue
            away = share if hits is None else (1.0 - hits) * share / maximum(beyond, 1e-30)
            missed[i] = missed[i] + away * part.step_bytes
            pieces[i] = pieces[i] + away * part.step_bytes / maximum(part.piece_bytes, 1.0)
    return Fetches(tuple(ahead), tuple(missed), tuple(pieces))


def transfer_s(
    moved_bytes: Sequence[Number], tiers: Sequence[Tier], link_bytes_per_s: Number, pieces: Sequence[Number] = ()
) -> Number:
    """Return the seconds of fetches: each tier at its own rate, all through one link, and a latency for each piece."""
    longest: Number = 0.0
    crossing: Number = 0.0
    waited: Number = 0.0
    for i, (moved, tier) in enumerate(zip(moved_bytes, tiers, strict=True)):
        longest = maximum(longest, moved / tier.bandwidth_bytes_per_s)
        crossing = crossing + moved
        waited = waited + (pieces[i] * tier.latency_s if pieces else 0.0)
    return maximum(longest, crossing / link_bytes_per_s) + waited


def step_s(device_s: Number, ahead_s: Number, missed_s: Number, predicted: Number = 0.0) -> Number:
    """Return the seconds of a step: ``max(device + (1-predicted)*missed, ahead + missed)``.

    What is known ahead streams under the device's work, layer by layer; the device waits for what it finds missing,
    but for the ``predicted`` share, fetched in time. The link carries both.
    Source: FlexGen (arXiv 2303.06865), equation 1 (the slower of work and transfers), with misses apart.
    Omits: the first layer's weights of a cold start, transfers that slow the device's own reads.
    """
    return maximum(device_s + (1.0 - predicted) * missed_s, ahead_s + missed_s)
