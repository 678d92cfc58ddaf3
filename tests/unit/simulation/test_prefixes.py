"""Caches that outlive their requests: by hand, and against Che's approximation of LRU."""

from __future__ import annotations

from pathlib import Path

import pytest

import perfmodel as pm
from perfmodel.cost.offload import hit_rate, zipf
from perfmodel.simulation.equipment import Equipment
from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.prefixes import CacheTier, PrefixCache
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.requests import Asked, Request, ask, numbered, read_trace
from perfmodel.simulation.run import replicas_of, simulate
from tests.unit.simulation.doubles import ByTokens, Constant, replica, requests


def caching(room: float, *tiers: CacheTier, rate: float = 1e9, **options: object):
    link = HostLink(rate)
    prefixes = PrefixCache(lambda tokens: tokens, tiers, link)
    return replica(options.pop("predictor", ByTokens()), room=room, host=link, prefixes=prefixes, **options)


def turns(*inputs: int, key: str = "talk") -> list[Request]:
    return numbered([Request(0, 100.0 * i, tokens, 11, key=key) for i, tokens in enumerate(inputs)])


def test_a_conversation_reads_only_what_is_new() -> None:
    found = turns(100, 160)
    simulate(found, [caching(1e6, token_budget=10_000)])
    assert found[0].ttft_s == pytest.approx(0.1)
    # the first turn left 100 + 11 tokens less the last, which is never cached
    assert found[1].found_tokens == 110
    assert found[1].ttft_s == pytest.approx(0.05)


def test_what_needs_room_drives_caches_out() -> None:
    found = [*turns(100, 160), Request(0, 50.0, 390, 5)]
    simulate(numbered(found), [caching(400.0, token_budget=10_000)])
    assert found[1].found_tokens == 0


def test_a_tier_behind_keeps_what_the_device_cannot() -> None:
    """The cache of 110 tokens goes behind and comes back at 1,000 bytes a second, 4 times smaller: in 0.0275 s."""
    found = [*turns(100, 160), Request(0, 50.0, 390, 5)]
    one = caching(400.0, CacheTier("host", 1e6, compression=4.0), rate=1e3, token_budget=10_000)
    simulate(numbered(found), [one])
    assert found[1].found_tokens == 110
    assert found[1].ttft_s == pytest.approx(0.0275 + 0.05)
    assert (one.prefixes.tally.far_tokens, one.prefixes.tally.near_tokens) == (110, 0)


def test_a_slow_tier_is_not_waited_for() -> None:
    found = [*turns(100, 160), Request(0, 50.0, 390, 5)]
    one = caching(400.0, CacheTier("flash", 1e6, bytes_per_s=900.0), token_budget=10_000)
    simulate(numbered(found), [one])
    assert found[1].found_tokens == 0
    assert found[1].ttft_s == pytest.approx(0.16)
    assert one.prefixes.tally.computed == 1


def test_others_run_while_a_cache_is_loaded() -> None:
    """Two conversations come back at once: the device has neither, and the second's transfer waits for the first's."""
    found = [*turns(100, 160), *turns(100, 160, key="chat"), Request(0, 50.0, 395, 2), Request(0, 100.0, 50, 40)]
    one = caching(400.0, CacheTier("host", 1e6), rate=3e3, token_budget=10_000)
    simulate(numbered(found), [one])
    waits = sorted(r.ready_s - r.arrival_s for r in found if r.found_tokens)
    assert waits == pytest.approx([0.11 / 3, 0.22 / 3])
    other = next(r for r in found if r.input_tokens == 50)
    assert other.ttft_s < 0.06


def test_a_document_is_counted_once_however_many_begin_with_it() -> None:
    found = requests([0.0, 0.0], 100, 50, key="law", shared_tokens=80)
    one = caching(260.0, token_budget=10_000)
    simulate(found, [one])
    # 80 in common once both are read, and twice 20 + 49 of their own: 218 bytes, where apart they would have 298
    assert [r.preemptions for r in found] == [0, 0]
    later = requests([1000.0, 1000.0, 1000.0], 100, 40, key="law", shared_tokens=80)
    simulate(later, [one])
    # 80 in common and three times 20 + 39 of their own are 257 bytes: all run at once in a room of 260
    assert all(r.found_tokens == 80 and r.preemptions == 0 for r in later)
    assert max(r.started_s for r in later) == pytest.approx(1000.0)
    assert one.prefixes.pinned_bytes == 0.0


@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.2])
def test_hits_are_those_of_lru(exponent: float) -> None:
    """Independent requests for 100 documents, of which 30 fit: Che's approximation of LRU, within two points."""
    drawn = requests([10.0 * i for i in range(8_000)], 21, 1)
    for request in drawn:
        request.cached_tokens = 20
    ask(drawn, Asked(documents=100, exponent=exponent), seed=5)
    one = caching(20.0 * 30 + 23.0, predictor=Constant(1e-3))
    simulate(drawn, [one])
    tally = one.prefixes.tally
    # what runs needs room too, so that a document goes for each request that misses
    least, most = (float(hit_rate(zipf(100, exponent), slots, 1.0, "lru")) for slots in (29.0, 31.0))
    assert least - 0.015 < tally.hits / tally.requests < most + 0.015
    assert tally.near_tokens == 20 * tally.hits


def test_tiers_together_hit_as_one_of_their_size() -> None:
    drawn = requests([10.0 * i for i in range(6_000)], 21, 1)
    for request in drawn:
        request.cached_tokens = 20
    ask(drawn, Asked(documents=100, exponent=0.8), seed=6)
    one = caching(20.0 * 10 + 23.0, CacheTier("host", 20.0 * 30), predictor=ByTokens())
    simulate(drawn, [one])
    tally = one.prefixes.tally
    assert tally.hits / tally.requests == pytest.approx(float(hit_rate(zipf(100, 0.8), 40.0, 1.0, "lru")), abs=0.02)
    assert tally.far_tokens > 0


def test_a_trace_with_conversations(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "arrival_s,input_tokens,output_tokens,conversation,adapter\n0,1000,50,a,\n0,1000,50,b,3\n20,2000,50,a,\n"
    )
    drawn, problems = read_trace(path)
    assert not problems
    assert [(r.key, r.adapter) for r in drawn] == [("a", -1), ("b", 3), ("a", -1)]
    report = simulate_report(pm.estimate("llama-3.1-8b", "h100-sxm").setup, trace=str(path))
    cache = report["prefix_cache"]
    assert cache["hit_rate"] == pytest.approx(1 / 3)
    assert cache["tokens_on_device"] == 1049
    assert report["points"][2]["found_tokens"] == 1049


def test_loading_against_computing_on_a_device() -> None:
    """The rate at which loading and computing take as long is what decides, either side of it."""
    setup = pm.estimate("llama-3.1-8b", "h100-sxm", changes={"device.memory.main.capacity": "21.5 GB"}).setup
    tier = CacheTier("host", 1e12)
    far: dict[float, int] = {}
    for factor in (0.5, 4.0):
        found = [*turns(8000, 9000), *turns(8000, 9000, key="b"), *turns(8000, 9000, key="c")]
        options = {"equipment": Equipment(link_bytes_per_s=factor * 6e9, tiers=(tier,))}
        replicas = replicas_of(setup, Policy(), **options)
        simulate(numbered(found), replicas)
        far[factor] = replicas[0].prefixes.tally.far_tokens
    assert far[0.5] == 0 < far[4.0]
