"""Who gets a request: against queueing theory where it is exact, and by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.errors import InputError
from perfmodel.simulation.driver import Driver
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.requests import Request
from perfmodel.simulation.routing import ROUTERS, LeastLoad, PrefixAffine, router_named


class Work:
    """A step takes as long as its prompts say, a millionth of a second a token, and a second if it decodes."""

    def step_s(self, step):
        return step.prompts * step.new_tokens * 1e-6 + 1.0 * (step.decodes > 0)


def replicas(count, room=1e18, **policy):
    policy = {"name": "prompts_first", "token_budget": 10**9, "most_running": 1} | policy
    return [Replica(Work(), Policy(**policy), room, float) for _ in range(count)]


def run(requests, group, router=None, **more):
    driver = Driver(group, router, **more)
    for request in requests:
        driver.submit(request)
    driver.run()
    return driver


def exponential(count, rate, seed=3):
    """Poisson arrivals of exponential work with a mean of one second."""
    dice, now, found = random.Random(seed), 0.0, []
    for number in range(count):
        now += dice.expovariate(rate)
        found.append(Request(number, now, max(1, round(dice.expovariate(1.0) * 1e6)), 1))
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("two_choices", sum(0.6 ** (2**i - 2) for i in range(1, 12))), ("random", 1.0 / (1.0 - 0.6))],
)
def test_one_and_two_choices_take_as_long_as_theory_says(name, wanted):
    """Mitzenmacher 2001: ``sum of rho^(2^i - 2)`` with two choices, M/M/1 with one."""
    requests = exponential(12_000, 0.6 * 30)
    run(requests, replicas(30), router_named(name, 1))
    times = [r.e2e_s for r in requests[1000:]]
    assert sum(times) / len(times) == pytest.approx(wanted, rel=0.07)


def test_round_robin_waits_are_those_of_lindleys_recursion():
    """Each server sees every third arrival of a Poisson stream: E3/G/1, request by request."""
    requests = exponential(900, 2.4)
    run(requests, replicas(3), router_named("round_robin"))
    for first in range(3):
        free = 0.0
        for request in requests[first::3]:
            began = max(free, request.arrival_s)
            free = began + request.input_tokens * 1e-6
            assert request.finished_s == pytest.approx(free, rel=1e-9)


def test_a_request_whose_step_is_under_way_is_still_there():
    long, short, late = Request(0, 0.0, 10_000_000, 1), Request(1, 1.0, 1_000_000, 1), Request(2, 3.0, 1_000_000, 1)
    run([long, short, late], replicas(2), LeastLoad())
    assert short.finished_s == pytest.approx(2.0)  # beside the long one
    assert late.finished_s == pytest.approx(4.0)  # the long one runs until 10, in one step that has begun long before


@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), name=st.sampled_from(sorted(ROUTERS)))
def test_all_requests_finish_in_their_order_whoever_deals(seed, count, name):
    dice = random.Random(seed)
    requests = [
        Request(i, i * 0.4, dice.randint(1, 10**6), dice.randint(1, 5), key=f"k{dice.randint(0, 3)}") for i in range(25)
    ]
    group = replicas(count, room=2e6, name="chunked", most_running=4)
    run(requests, group, router_named(name, seed))
    assert all(r.generated == r.output_tokens and r.finished_s >= r.first_token_s >= r.arrival_s for r in requests)
    assert sum(r.load for r in group) == 0


def test_taking_turns_changes_nothing_where_nothing_follows():
    together, turns = exponential(400, 2.0), exponential(400, 2.0)
    run(together, replicas(3))
    run(turns, replicas(3), on_finish=lambda _: None)
    assert [r.finished_s for r in turns] == pytest.approx([r.finished_s for r in together], rel=1e-12)


def test_what_a_request_causes_comes_when_it_finishes():
    group = replicas(2)
    first, second = Request(0, 0.0, 3_000_000, 1), Request(1, 0.0, 50_000_000, 1)
    follower = Request(2, 0.0, 1_000_000, 1)

    def follow(request):
        if request is first:
            follower.arrival_s = request.finished_s
            driver.submit(follower)

    driver = Driver(group, on_finish=follow)
    for request in (first, second):
        driver.submit(request)
    driver.run()
    assert follower.arrival_s == pytest.approx(3.0)
    assert follower.finished_s == pytest.approx(4.0)  # on the replica that is free again


def test_a_conversation_goes_home_unless_home_is_full():
    router, group = PrefixAffine(bound=1.5), replicas(2)
    asked = Request(0, 0.0, 1, 1, key="a")
    home = router.choose(asked, group, [0, 0])
    assert router.choose(asked, group, [1, 1]) == home
    loads = [0, 0]
    loads[home] = 4
    assert router.choose(asked, group, loads) == 1 - home
    assert router.choose(asked, group, [1, 1]) == 1 - home  # and stays there
    with pytest.raises(InputError, match="at least 1"):
        PrefixAffine(0.5)


def test_memory_weighs_long_requests():
    group = replicas(2, room=1e6, name="chunked", most_running=100)
    group[0].running.append(Request(0, 0.0, 9000, 1, prefilled=9000))
    group[1].running += [Request(i, 0.0, 100, 1, prefilled=100) for i in range(3)]
    loads = [r.load for r in group]
    assert router_named("least_load").choose(Request(9, 0.0, 1, 1), group, loads) == 0
    assert router_named("memory").choose(Request(9, 0.0, 1, 1), group, loads) == 1


def test_an_unknown_router_is_named():
    with pytest.raises(InputError, match="did you mean 'round_robin'"):
        router_named("round_robbin")
