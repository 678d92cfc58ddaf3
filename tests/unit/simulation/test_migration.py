"""Requests that move: the staged copy by hand, and what must hold of every run with moves."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfmodel as pm
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.simulation.above import Above, above_from
from perfmodel.simulation.driver import Driver
from perfmodel.simulation.freeness import remaining_steps
from perfmodel.simulation.migration import Rescheduler, Rescheduling, staged_copy
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.requests import Request
from perfmodel.simulation.routing import router_named
from perfmodel.workloads.usecases import Lengths


class Second:
    def step_s(self, step):
        return 1.0


def replica(room=1000.0, **policy):
    return Replica(Second(), Policy(**policy), room, float)


def test_a_copy_in_stages_by_hand():
    # 1000 bytes over 100 a second, 10 written a second: stages of 10, 1 and 0.1 s; what is left is 1 byte, 0.01 s
    found = staged_copy(1000.0, 10.0, 100.0, 0.05)
    assert found.stages == 3
    assert found.downtime_s == pytest.approx(0.01)
    assert found.copy_s == pytest.approx(10.0 + 1.0 + 0.1 + 0.01)


@given(
    size=st.floats(1e3, 1e12), growth=st.floats(1.0, 1e9), factor=st.floats(1.01, 1e6), stop=st.floats(1e-4, 1.0)
)  # fmt: skip
def test_the_last_stage_takes_no_longer_than_a_step(size, growth, factor, stop):
    found = staged_copy(size, growth, growth * factor, stop)
    assert found.downtime_s <= stop * (1.0 + 1e-6)
    assert size / (growth * factor) <= found.copy_s * (1.0 + 1e-9)
    if found.stages > 1:  # one stage fewer would not have done
        assert found.downtime_s * factor > stop * (1.0 - 1e-6)


def test_a_link_slower_than_the_growth_never_catches_up():
    assert staged_copy(1e9, 2.0, 1.0, 0.1).copy_s == math.inf


def test_room_in_steps():
    one = replica(1000.0)
    assert remaining_steps(one) == math.inf
    one.running += [Request(0, 0.0, 300, 50, prefilled=300), Request(1, 0.0, 200, 50, prefilled=200)]
    assert remaining_steps(one) == pytest.approx(500.0 / 2.0)
    one.waiting.append(Request(2, 0.0, 599, 1))
    assert remaining_steps(one) == pytest.approx(-100.0 / 2.0)
    one.running[0].priority = 1
    assert remaining_steps(one, 700.0) == pytest.approx((700.0 - 500.0 - 600.0) / 2.0)


def test_a_request_moves_away_from_a_full_replica_and_writes_on():
    """Two long requests outgrow one replica while the other is idle: one moves, none has to start again."""

    class First:
        def choose(self, request, replicas, loads):
            return 0

    requests = [Request(0, 0.0, 400, 300), Request(1, 0.0, 300, 300)]
    group = [replica(1000.0, token_budget=1000), replica(1000.0, token_budget=1000)]
    driver = Driver(group, First())
    mover = Rescheduler(driver, Rescheduling(link_bytes_per_s=100.0, interval_s=1.0, least_steps=20.0))
    mover.start()
    for request in requests:
        driver.submit(request)
    driver.run()
    assert mover.moves.done == 1
    assert sum(r.preemptions for r in requests) == 0
    assert all(r.generated == 300 for r in requests)
    assert requests[0].finished_s == pytest.approx(300.0)  # a step a second, never held up
    # the shorter one moved: stages of some 4 s and 0.04 s, and it waits for no step of the idle replica
    assert requests[1].finished_s == pytest.approx(300.0, abs=1.5)
    assert mover.moves.downtime_s[0] <= 1.0
    # it began when there was room for fewer than 20 steps of both, and wrote four tokens while it was copied
    assert mover.moves.moved_bytes == pytest.approx(300 + 131 + 4, abs=2)
    assert group[1].reserved_bytes == 0.0


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), link=st.sampled_from([20.0, 200.0, 1e6]), urgent=st.booleans())
def test_moves_lose_nobody_and_give_back_all_room(seed, link, urgent):
    dice = random.Random(seed)
    requests = [Request(i, i * dice.random() * 9, dice.randint(1, 300), dice.randint(1, 300)) for i in range(30)]
    target = 400.0 if urgent else None
    for request in requests:
        request.priority = int(urgent and dice.random() < 0.3)
    group = [replica(1000.0, token_budget=500) for _ in range(3)]
    driver = Driver(group, router_named("steps", seed, target))
    mover = Rescheduler(driver, Rescheduling(link, interval_s=2.0, least_steps=20.0, target_bytes=target))
    mover.start()
    for request in requests:
        driver.submit(request)
    driver.run()
    assert all(r.generated == r.output_tokens for r in requests)
    assert all(r.finished_s >= r.first_token_s > r.arrival_s for r in requests)
    assert all(one.reserved_bytes == pytest.approx(0.0, abs=1e-6) and one.load == 0 for one in group)


def test_urgent_requests_are_let_in_first():
    requests = [Request(i, 0.0, 400, 10) for i in range(6)]
    requests[5].priority = 1
    driver = Driver([replica(1000.0, token_budget=400)])
    for request in requests:
        driver.submit(request)
    driver.run()
    assert requests[5].first_token_s < min(r.first_token_s for r in requests[1:5])


@pytest.fixture(scope="module")
def setup():
    """A model whose caches are large and a card whose memory is small, as in Llumnix's evaluation."""
    return pm.estimate("llama-1-7b", "a10", dp=4, engine="vllm").setup


def test_moving_saves_preemptions_where_memory_is_short(setup):
    """The same requests on the same replicas, and fewer of them have to start again."""
    inputs = outputs = Lengths(372.0, 0.8)
    load = {"rate": 2.5, "requests": 300, "inputs": inputs, "outputs": outputs, "policy": "prompts_first", "seed": 1}
    still = simulate_report(setup, **load, above=Above("memory"))
    moving = simulate_report(setup, **load, above=Above("memory", move_bytes_per_s=8e9))
    assert moving["preemptions"] < 0.8 * still["preemptions"]
    assert moving["migrations"]["moved"] > 0
    assert moving["migrations"]["mean_downtime_s"] < 3.0 * moving["tpot_s"]["mean"]
    assert moving["tokens_per_s"] == pytest.approx(still["tokens_per_s"], rel=0.05)


def test_classes_are_told_apart(setup):
    found = simulate_report(
        setup, rate=1.0, requests=80, outputs=Lengths(100.0, 0.0), above=Above(urgent=0.25, headroom_tokens=4000)
    )
    classes = found["priorities"]
    assert classes["urgent"]["requests"] + classes["others"]["requests"] == 80
    assert classes["urgent"]["ttft_s"]["p99"] > 0.0
    assert found["balance"] == "least_load"


def test_words(setup):
    device = load_device("a10")
    assert above_from(device, migrate=True).move_bytes_per_s == pytest.approx(12.5e9)  # the card's network
    assert above_from(device, migrate=True, migrate_link="1GB/s").move_bytes_per_s == 1e9
    for wrong, said in (
        ({"balance": "lest_load"}, "least_load"),
        ({"migrate_link": "1GB/s"}, "without migrate"),
        ({"urgent": 2}, "between 0 and 1"),
        ({"migrate": True, "migrate_link": "0GB/s"}, "zero"),
    ):
        with pytest.raises(InputError, match=said):
            above_from(device, **wrong)
    with pytest.raises(InputError, match="closed loop"):
        simulate_report(setup, in_flight=4, above=Above("random"))
