"""A small model before a large one: by hand, and what must hold of the break-even."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import perfmodel as pm
from perfmodel.errors import PerfmodelError, PlanError
from perfmodel.search.cascade import Mix, break_even_escalation, break_even_share
from perfmodel.search.cascade_report import cascade_report


def test_means_by_hand():
    mix = Mix(small_share=0.8, escalated=0.25)
    assert mix.small_calls == 0.8
    assert mix.large_calls == pytest.approx(0.2 + 0.8 * 0.25)
    assert mix.mean(1.0, 10.0, 0.5) == pytest.approx(0.5 + 0.8 * 1.0 + 0.4 * 10.0)


@given(
    small=st.floats(0.01, 10.0), factor=st.floats(1.5, 100.0), router=st.floats(0.0, 0.01),
    share=st.floats(0.05, 1.0), escalated=st.floats(0.0, 0.9),
)  # fmt: skip
def test_at_the_break_even_both_cost_the_same(small, factor, router, share, escalated):
    large = small * factor
    edge = break_even_escalation(small, large, router, share)
    assert Mix(share, edge).mean(small, large, router) == pytest.approx(large, rel=1e-9)
    assume(abs(escalated - edge) > 1e-9)  # at the edge itself the last digit decides
    assert (Mix(share, escalated).mean(small, large, router) < large) == (escalated < edge)
    if (1.0 - escalated) * large > small * 1.001:
        least = break_even_share(small, large, escalated, router)
        assert Mix(least, escalated).mean(small, large, router) == pytest.approx(large, rel=1e-6)


@pytest.fixture(scope="module")
def setups():
    return pm.estimate("llama-3.1-8b", "h100-sxm").setup, pm.estimate("llama-3.1-70b", "h100-sxm", tp=4).setup


def test_a_report(setups):
    found = cascade_report(*setups, tpot_s=0.05, rate=20, escalated=0.3)
    small, large, both = found["small"], found["large"], found["cascade"]
    assert small["usd_per_request"] < both["usd_per_request"] < large["usd_per_request"]
    assert max(small["tpot_s"], large["tpot_s"]) <= 0.05
    assert both["usd_per_request"] == pytest.approx(small["usd_per_request"] + 0.3 * large["usd_per_request"])
    assert both["small_replicas"] >= 20 / small["requests_per_s"]
    assert both["large_replicas"] >= 0.3 * 20 / large["requests_per_s"]
    edge = found["break_even"]["cost"]["escalated"]
    assert edge == pytest.approx(1.0 - small["usd_per_request"] / large["usd_per_request"])
    assert [row["escalated"] for row in found["points"]] == pytest.approx([i / 20 for i in range(21)])
    below = [row for row in found["points"] if row["usd_per_request"] < large["usd_per_request"]]
    assert max(row["escalated"] for row in below) <= edge


def test_what_cannot_be(setups):
    with pytest.raises(PlanError, match="at no load"):
        cascade_report(*setups, tpot_s=0.001)
    with pytest.raises(PerfmodelError, match="escalated must be between 0 and 1"):
        cascade_report(*setups, escalated=2)
