"""What must hold of a replica whatever comes and whatever it has beside its memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.simulation.adapters import AdapterPool
from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.policy import PREEMPTIONS, Policy
from perfmodel.simulation.predictor import Composition
from perfmodel.simulation.prefixes import CacheTier, PrefixCache
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request, numbered
from perfmodel.simulation.run import simulate, simulate_closed
from perfmodel.simulation.sharing import SharedReplica
from perfmodel.simulation.speculation import Blocks, Drafts

ROOM = 400.0


class Steps:
    """A hundredth of a second a token of prompts, a second a step of decodes."""

    def step_s(self, step: Composition) -> float:
        return 0.01 * step.prompts * step.new_tokens + (step.decodes > 0)

    def seconds_of(self, step: Composition) -> tuple[float, float]:
        return self.step_s(step), 0.7 * self.step_s(step)


def cache_bytes(tokens: float) -> float:
    return float(tokens)


@st.composite
def some_requests(draw: st.DrawFn) -> list[Request]:
    found = []
    for _ in range(draw(st.integers(1, 12))):
        key = draw(st.sampled_from(["", "", "talk", "law", "news"]))
        tokens = draw(st.integers(1, 150))
        shared = min(draw(st.integers(0, 100)), tokens) if key in {"law", "news"} else None
        found.append(
            Request(
                0, draw(st.floats(0.0, 60.0)), tokens, draw(st.integers(1, 60)), key=key, shared_tokens=shared,
                adapter=draw(st.integers(-1, 3)), priority=draw(st.integers(0, 1)),
            )
        )  # fmt: skip
    return numbered(found)


@st.composite
def some_replica(draw: st.DrawFn) -> Replica:
    name = draw(st.sampled_from(["chunked", "prompts_first", "shared"]))
    policy = Policy(name, draw(st.integers(8, 200)), preempt=draw(st.sampled_from(PREEMPTIONS)))
    link = HostLink(draw(st.floats(1.0, 1e4)), room_bytes=draw(st.sampled_from([0.0, 100.0, 1e9])))
    tiers = [CacheTier("host", draw(st.floats(0.0, 1e3)), compression=draw(st.floats(1.0, 4.0)))]
    beside = {
        "host": link, "prefixes": PrefixCache(cache_bytes, tiers, link), "adapters": AdapterPool(20.0, link),
        "speculation": draw(st.sampled_from([None, Drafts(3, 0.6, seed=1), Blocks(4, 2)])),
    }  # fmt: skip
    if name == "shared":
        return SharedReplica(Steps(), policy, ROOM, cache_bytes, parts=(Steps(), Steps()), **beside)
    return Replica(Steps(), policy, ROOM, cache_bytes, **beside)


def check(requests: list[Request], replica: Replica) -> None:
    for request in requests:
        assert request.generated == request.output_tokens
        assert request.arrival_s <= request.started_s <= request.first_token_s <= request.finished_s
        assert request.borrowed_bytes == 0.0
    assert replica.load == 0
    assert replica.held_bytes == pytest.approx(0.0)
    assert replica.host.swapped_bytes == pytest.approx(0.0)
    assert replica.prefixes.near.total_bytes + replica.adapters.near.total_bytes <= ROOM + 1e-9
    for tier, kept in replica.prefixes.behind:
        assert kept.total_bytes <= tier.capacity_bytes + 1e-9


@settings(max_examples=3000, deadline=None)
@given(requests=some_requests(), replica=some_replica())
def test_everybody_is_served_and_nothing_is_left(requests: list[Request], replica: Replica) -> None:
    simulate(requests, [replica])
    check(requests, replica)


@settings(max_examples=3000, deadline=None)
@given(requests=some_requests(), replica=some_replica(), in_flight=st.integers(1, 6))
def test_in_a_closed_loop_too(requests: list[Request], replica: Replica, in_flight: int) -> None:
    simulate_closed(requests, [replica], in_flight)
    check(requests, replica)


@settings(max_examples=3000, deadline=None)
@given(requests=some_requests(), replica=some_replica())
def test_what_runs_keeps_to_the_room(requests: list[Request], replica: Replica) -> None:
    for request in requests:
        replica.advance(request.arrival_s)
        replica.now_s = max(replica.now_s, request.arrival_s)
        replica.add(request)
        assert replica.held_bytes <= ROOM + 1e-9 or len(replica.running) == 1
    replica.advance(1e9)
    check(requests, replica)
