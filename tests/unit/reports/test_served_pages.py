"""The pages of simulations, fleets and ownership: what they say follows from the numbers; empty states."""

from __future__ import annotations

import re
from typing import Any

import pytest

from perfmodel.reports.fleet import fleet_html
from perfmodel.reports.ownership import ownership_html
from perfmodel.reports.simulation import simulation_html

SHARES = {"mean": 1.1, "p50": 1.0, "p90": 2.0, "p99": 3.0}


def _text(page: str) -> str:
    return page.replace("\u00a0", " ").partition("<h1>")[2]


def _simulation(**more: Any) -> dict[str, Any]:
    points = [
        {"request": i, "arrival_s": float(i), "ttft_s": 0.5 + 0.1 * i, "tpot_s": 0.02, "tbt_s": 0.03, "e2e_s": 4.0}
        for i in range(20)
    ]
    found = {
        "schema": "perfmodel/simulate/1", "version": "0", "model": "m", "device": "d", "devices": 2, "requests": 20,
        "inputs": {"rate": "1", "arrival": "poisson", "policy": "chunked", "engine": "", "ttft_slo_s": 1.5},
        "saturated": False, "requests_per_s": 0.9, "tokens_per_s": 90.0, "busy_share": 0.5, "slo_share": 0.6,
        "goodput_per_s": 0.54, "closed_form": {"ttft_s": 0.9}, "problems": [], "points": points,
        **{f"{name}_s": SHARES for name in ("ttft", "tpot", "tbt", "e2e")},
    }  # fmt: skip
    return found | more


def test_a_simulation_shows_how_many_within_which_time() -> None:
    page = _text(simulation_html(_simulation()))
    assert "m on 2 x d: requests one by one" in page
    assert "60 % keep all limits" in page
    assert "TTFT 1.50 s" in page  # the limit stands in the figure
    assert "At most 4 requests are there at once." in page
    assert re.search(r"<th[^>]*>50 %</th><td>1.40 s</td>", page)  # half of 0.5 ... 2.4 s
    assert "Saturated" not in page
    assert "<script" not in page


def test_a_saturated_simulation_says_so() -> None:
    page = _text(simulation_html(_simulation(saturated=True)))
    assert 'role="alert">Saturated: more arrives' in page
    assert "0.9 requests/s" in page


def test_a_simulation_without_answers_has_nothing_to_draw() -> None:
    nothing = dict.fromkeys(("ttft_s", "tpot_s", "tbt_s", "e2e_s"))
    points = [{"request": 0, "arrival_s": 0.0, **nothing}]
    page = _text(simulation_html(_simulation(points=points, problems=["row 3: no tokens"], **nothing)))
    assert "No request was answered." in page
    assert "<svg" not in page.partition('id="shares"')[2].partition("</section>")[0]
    assert "row 3: no tokens" in page


@pytest.mark.parametrize(("saturated", "said"), [(8.0, "From 8 requests/s on the queue grows"), (0.0, "None of the 4")])
def test_several_runs_are_lines_over_the_load(saturated: float, said: str) -> None:
    rows = [
        {"rate": rate, "seed": seed, "saturated": rate == saturated, "requests_per_s": rate, "tokens_per_s": 9.0,
         **{f"{name}_{share}_s": 0.1 * rate for name in ("ttft", "tpot", "e2e") for share in SHARES}}
        for rate in (4.0, 8.0) for seed in (0, 1)
    ]  # fmt: skip
    page = _text(simulation_html({"schema": "s", "version": "0", "model": "m", "device": "d", "devices": 1,
                                  "rows": rows, "problems": []}))  # fmt: skip
    assert said in page
    assert ("saturated from here on" in page) == bool(saturated)
    assert page.count("<svg class") == 6  # three figures, wide and narrow


def _fleet(alone: float | None, day: bool) -> dict[str, Any]:
    hours = [{"hour": h, "rate": 1.0 + h, "usd_per_hour": 1.0 + h, "replicas": {"a": h}} for h in range(3)]
    return {
        "schema": "s", "version": "0", "model": "m", "usd_per_hour": 2.0, "usd_per_million_requests": 30.0,
        "inputs": {"rate": 5.0, "devices": ["a", "b"], "price_kind": "cloud_hour"},
        "fleet": [{"replica": "a", "replicas": 1, "devices": 1, "usd_per_hour": 2.0, "requests_per_s": 5.0,
                   "busy_share": 0.75}],
        "alone": [{"device": "a", "usd_per_hour": alone, "why": "" if alone else "too slow"}],
        "buckets": [{"input_tokens": 9, "output_tokens": 9, "share": 1.0, "served_by": {"a": 1.0}}],
        "day": {"usd_steady": 9.0, "usd_scaled": 6.0, "saved_share": 1 / 3, "hours": hours} if day else None,
        "problems": [],
    }  # fmt: skip


def test_a_fleet_is_compared_with_one_kind_of_device() -> None:
    page = _text(fleet_html(_fleet(3.0, True)))
    assert "a alone, the cheapest of one kind, costs 50 % more." in page
    assert "$6.00 when the fleet follows the load, $9.00 for the peak&#x27;s fleet all day: 33 % less." in page
    assert "costs the same." in _text(fleet_html(_fleet(2.0, False)))


def test_a_load_that_no_kind_serves_alone() -> None:
    page = _text(fleet_html(_fleet(None, False)))
    assert "No kind of device can serve this alone." in page
    assert "too slow" in page
    assert "Over a day" not in page


def test_ownership_is_shown_by_utilisation() -> None:
    costs = {"capital_usd": 6.0, "electricity_usd": 3.0, "upkeep_usd": 1.0, "running_gco2": 30.0, "embodied_gco2": 10.0}
    by_use = [
        {"use": use, "usd": 10.0 / use, "gco2": 40.0, **{k: v / use for k, v in costs.items()}} for use in (0.1, 1)
    ]
    page = _text(ownership_html({
        "schema": "s", "version": "0", "model": "m", "device": "d", "devices": 1, "notes": ["all terms as given"],
        "usd": 10.0, "gco2": 40.0, "kwh": 2.0, "tokens_per_s": 100.0, "power_w_per_device": 300.0, "by_use": by_use,
        "inputs": {"use": 0.6, "years": 4.0}, **costs,
    }))  # fmt: skip
    assert "Busy all the time a million tokens cost $10, busy 10 % of it $100" in page
    assert "Most of the cost is capital, 60 %." in page
    assert "as asked: 60 %" in page
    assert "written off over, years" in page
