"""Caches that outgrow the room: read anew, or swapped to the host; by hand."""

from __future__ import annotations

import pytest

import perfmodel as pm
from perfmodel.errors import InputError
from perfmodel.simulation.equipment import Equipment
from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.run import replicas_of, simulate
from tests.unit.simulation.doubles import ByTokens, Constant, replica, requests


def test_a_swap_by_hand() -> None:
    """Two requests of 100 tokens in a room of 205: after three tokens each, the second's cache of 103 goes."""
    found = requests([0.0, 0.0], 100, 5)
    link = HostLink(10.3)
    one = replica(Constant(), room=205.0, token_budget=1000, preempt="swap", host=link)
    simulate(found, [one])
    first, second = found
    # step 1 reads both; caches are then 100 + 100, 101 + 101, 102 + 102, 103 + 103: too much after the fourth step
    # 4 s of steps, 10 s for 103 bytes to go; the first one's last token in the next step, at 15 s
    assert first.finished_s == pytest.approx(15.0)
    assert (first.preemptions, second.preemptions, one.swaps) == (0, 1, 1)
    # the second comes back from 15 to 25 s and has one token left
    assert second.finished_s == pytest.approx(26.0)
    assert link.moved_bytes == pytest.approx(206.0)
    assert link.swapped_bytes == 0.0


def test_the_same_read_anew() -> None:
    found = requests([0.0, 0.0], 100, 5)
    one = replica(ByTokens(), room=205.0, token_budget=1000)
    simulate(found, [one])
    # 0.2 s of prompts, three decode steps, one of the first alone; the second reads 100 + 4 tokens again: its fifth
    assert found[0].finished_s == pytest.approx(4.2)
    assert found[1].finished_s == pytest.approx(4.2 + 0.104)
    assert one.swaps == 0


@pytest.mark.parametrize(("rate", "swaps"), [(1e6, True), (1e2, False)])
def test_the_cheaper_of_both(rate: float, swaps: bool) -> None:
    """Reading 104 tokens takes 0.104 s; there and back 206 bytes: less from 1,981 bytes a second on."""
    one = replica(ByTokens(), room=205.0, token_budget=1000, preempt="cheaper", host=HostLink(rate))
    simulate(requests([0.0, 0.0], 100, 5), [one])
    assert bool(one.swaps) == swaps


def test_a_host_that_is_full_has_caches_read_anew() -> None:
    one = replica(ByTokens(), room=205.0, token_budget=1000, preempt="swap", host=HostLink(1e9, room_bytes=50.0))
    found = requests([0.0, 0.0], 100, 5)
    simulate(found, [one])
    assert one.swaps == 0
    assert found[1].preemptions == 1


@pytest.mark.parametrize("preempt", ["recompute", "swap", "cheaper"])
def test_nobody_is_lost_and_room_is_kept(preempt: str) -> None:
    found = requests([0.1 * i for i in range(30)], 100, 80)
    one = replica(Constant(0.1), room=1500.0, token_budget=400, preempt=preempt, host=HostLink(1e4))
    simulate(found, [one])
    assert all(r.finished_s is not None and r.generated == 80 for r in found)
    assert sum(r.preemptions for r in found) > 0
    assert one.held_bytes == 0.0


def test_the_least_important_goes_first() -> None:
    found = requests([0.0, 0.0, 0.0], 100, 60)
    found[2].priority = 1
    simulate(found, [replica(Constant(), room=400.0, token_budget=1000)])
    assert found[2].preemptions == 0
    assert found[1].preemptions > 0


def test_swapping_on_a_device() -> None:
    """Llama-3.1-8B in little room: with a fast host link swapping lets requests finish sooner than reading anew."""
    asked = pm.estimate("llama-3.1-8b", "h100-sxm", changes={"device.memory.main.capacity": "24 GB"})
    mean: dict[str, float] = {}
    for preempt in ("recompute", "swap"):
        found = requests([0.05 * i for i in range(40)], 1000, 500)
        equipment = Equipment(link_bytes_per_s=50e9)
        simulate(found, replicas_of(asked.setup, Policy(preempt=preempt), equipment=equipment))
        assert sum(r.preemptions for r in found) > 0
        mean[preempt] = sum(r.e2e_s for r in found) / len(found)
    assert mean["swap"] < mean["recompute"]


def test_a_host_is_asked_for() -> None:
    setup = pm.estimate("llama-3.1-8b", "h100-sxm").setup
    with pytest.raises(InputError, match="host link"):
        replicas_of(setup, Policy(preempt="swap"))
    with pytest.raises(InputError, match="recompute"):
        Policy(preempt="recomput")
