"""Placement over tiers, caches of experts, and the time of a step that fetches."""

from __future__ import annotations

import random

import numpy as np
import pytest

from perfmodel.cost.offload import Part, Tier, fetches, hit_rate, place, step_s, touched_shares, transfer_s, zipf
from perfmodel.errors import InputError, PlanError

TIERS = (Tier("device", 30.0, 100.0), Tier("host", 50.0, 10.0, 0.5), Tier("flash", 1000.0, 2.0, 3.0))


def test_parts_fill_the_nearest_tier_first() -> None:
    parts = [Part("weights", 20.0, 20.0), Part("experts", 90.0, 9.0, on_demand=True, piece_bytes=3.0)]
    found = place(parts, TIERS)
    assert found.stored_bytes == ((20.0, 0.0, 0.0), (10.0, 50.0, 30.0))
    assert sum(found.share(1, i) for i in range(3)) == pytest.approx(1.0)
    with pytest.raises(PlanError, match="experts: 9e-08 GB have no room in device"):
        place([parts[0], Part("experts", 100.0, 1.0)], TIERS[:1])


def test_what_a_step_fetches() -> None:
    parts = [Part("weights", 60.0, 60.0), Part("experts", 40.0, 9.0, on_demand=True, piece_bytes=3.0)]
    found = fetches(place(parts, TIERS))
    assert found.ahead_bytes == (30.0, 0.0)
    assert found.missed_bytes == pytest.approx((4.5, 4.5))  # half of the experts lie in each
    assert found.missed_pieces == pytest.approx((1.5, 1.5))
    hit = fetches(place(parts, TIERS), hits=0.9)
    assert sum(hit.missed_bytes) == pytest.approx(0.9)


def test_transfers_share_the_link() -> None:
    assert transfer_s((30.0, 4.0), TIERS[1:], 100.0) == 3.0  # the host's own rate
    assert transfer_s((30.0, 4.0), TIERS[1:], 5.0) == 34.0 / 5.0
    assert transfer_s((0.0, 8.0), TIERS[1:], 100.0, (0.0, 2.0)) == 4.0 + 6.0


@pytest.mark.parametrize(
    ("device", "ahead", "missed", "predicted", "taken"),
    [(5.0, 3.0, 0.0, 0.0, 5.0), (3.0, 5.0, 0.0, 0.0, 5.0), (3.0, 1.0, 2.0, 0.0, 5.0), (3.0, 1.0, 2.0, 1.0, 3.0),
     (3.0, 4.0, 2.0, 0.0, 6.0)],
)  # fmt: skip
def test_a_step_hides_what_it_knows_ahead(
    device: float, ahead: float, missed: float, predicted: float, taken: float
) -> None:
    assert step_s(device, ahead, missed, predicted) == taken


def test_uniform_experts_hit_by_their_share() -> None:
    assert sum(zipf(8, 0.0)) == pytest.approx(1.0)
    for cache in ("popular", "lru"):
        assert hit_rate(zipf(64, 0.0), 16.0, 8.0, cache) == pytest.approx(0.25, abs=1e-6)
        assert hit_rate(zipf(64, 1.0), 64.0, 8.0, cache) == 1.0
        assert hit_rate(zipf(64, 1.0), 0.0, 1.0, cache) == pytest.approx(0.0, abs=1e-3)


def test_popular_experts_are_found_more_often() -> None:
    shares = zipf(64, 1.0)
    rates = [hit_rate(shares, slots) for slots in (8.0, 8.5, 9.0)]
    assert rates[0] == pytest.approx(sum(shares[:8]))
    assert rates[1] == pytest.approx((rates[0] + rates[2]) / 2)
    assert hit_rate(shares, 8.0, 1.0, "lru") < rates[0]
    assert hit_rate(shares, 8.0, 1e6) == pytest.approx(8 / 64)  # a large batch wants them all


def test_least_recently_used_against_a_simulation() -> None:
    shares, slots, rng = zipf(32, 1.0), 8, random.Random(7)
    held: list[int] = []
    hits = 0
    for step in range(30_000):
        (one,) = rng.choices(range(32), shares)
        hits += one in held and step >= 2000
        held = [one, *(e for e in held if e != one)][:slots]
    assert hit_rate(shares, float(slots), 1.0, "lru") == pytest.approx(hits / 28_000, abs=0.015)


def test_arrays_and_words() -> None:
    slots = np.array([4.0, 8.0, 40.0])
    for cache in ("popular", "lru"):
        together = hit_rate(zipf(32, 0.7), slots, 2.0, cache)
        assert np.allclose(together, [hit_rate(zipf(32, 0.7), float(s), 2.0, cache) for s in slots])
    assert touched_shares([0.5], 2.0) == [0.75]
    with pytest.raises(InputError, match="unknown cache 'lfu' - did you mean 'lru'"):
        hit_rate([1.0], 1.0, cache="lfu")
