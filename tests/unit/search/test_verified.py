"""Plans held to their limits by simulation."""

from __future__ import annotations

import pytest

from perfmodel.errors import InputError
from perfmodel.search.report import plan_report
from perfmodel.search.verified import Promise, verified_plan_report

ASKED = {"gpus": 8, "rate": 40, "input_tokens": 1024, "output_tokens": 64, "ttft_s": 0.5, "tpot_s": 0.02, "mode": "agg",
         "only": {"tp": 1, "pp": 1}}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return verified_plan_report("llama-3.1-8b", ["h100-sxm"], Promise("p99", 0.8), **ASKED)


def test_the_best_keeps_the_limits_and_one_replica_less_does_not(found):
    kept = {row["devices"]: row["keeps"] for row in found["simulated"]}
    best = found["best"]["devices_used"]
    assert kept[best]
    assert not kept.get(best - 1, False)
    assert best > plan_report("llama-3.1-8b", ["h100-sxm"], **ASKED)["best"]["devices_used"]
    row = next(row for row in found["simulated"] if row["devices"] == best)
    assert row["slo_share"] >= 0.99
    assert not row["saturated"]
    assert row["ttft_p99_s"] > found["best"]["ttft_s"]


def test_the_answer_is_that_of_the_chosen_replicas(found):
    best = found["best"]
    assert best["replicas"] == best["devices_used"]
    assert best["plan"].startswith(f"{best['replicas']} replicas")
    assert best["requests_per_s"] == pytest.approx(40.0, rel=0.02)
    assert found["flags"]["vllm"]
    assert found["inputs"]["percentile"] == "p99"


def test_where_no_number_of_devices_will_do():
    asked = ASKED | {"gpus": 2, "rate": 30, "tpot_s": 0.0125}
    assert plan_report("llama-3.1-8b", ["h100-sxm"], **asked)["best"] is not None
    found = verified_plan_report("llama-3.1-8b", ["h100-sxm"], Promise("p99", 1.0), **asked)
    assert found["best"] is None
    assert found["simulated"]
    assert not any(row["keeps"] for row in found["simulated"])


def test_pools_are_simulated_too():
    asked = ASKED | {"mode": "disagg", "gpus": 3, "rate": 20}
    found = verified_plan_report("llama-3.1-8b", ["h100-sxm"], Promise("p50"), **asked)
    assert found["best"]["mode"] == "disagg"
    assert found["simulated"][0]["keeps"]


def test_what_a_percentile_needs():
    with pytest.raises(InputError, match="p50, p90, p99"):
        Promise("p95")
    for left in ("rate", "ttft_s"):
        asked = {name: value for name, value in ASKED.items() if name not in (left, "tpot_s")}
        with pytest.raises(InputError, match="give rate"):
            verified_plan_report("llama-3.1-8b", ["h100-sxm"], Promise("p90"), **asked)
