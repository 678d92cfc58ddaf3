"""The fleet: the integer program against going through everything, and buckets against their distribution."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import InputError, PlanError
from perfmodel.search.fleet import Bucket, Kind, buckets_of, cheapest
from perfmodel.search.fleet_report import fleet_report
from perfmodel.workloads.usecases import Lengths

HALVES = [Bucket(100, 100, 0.5), Bucket(1000, 100, 0.5)]


def kind(name: str, usd: float, *rates: float) -> Kind:
    return Kind(name, {"tp": 1, "pp": 1, "cp": 1, "attention_dp": 1, "ep": 1, "precision": "bfloat16"}, 1, usd, rates)


@pytest.mark.parametrize("sigma", [0.5, 1.2])
def test_buckets_keep_the_mean(sigma: float) -> None:
    lengths = Lengths(500.0, sigma)
    found = buckets_of(lengths, Lengths(100.0, 0.0), 6)
    assert sum(bucket.share for bucket in found) == pytest.approx(1.0)
    assert sum(bucket.share * bucket.input_tokens for bucket in found) == pytest.approx(lengths.mean, rel=0.01)
    assert {bucket.output_tokens for bucket in found} == {100}


def test_small_devices_for_small_requests_by_hand() -> None:
    # small: 4 small requests a second for 1 $, no large ones; large: 8 of either for 3 $
    fleet = cheapest([kind("small", 1.0, 4.0, 0.0), kind("large", 3.0, 8.0, 8.0)], HALVES, 16.0, {})
    assert fleet.replicas == [2, 1]
    assert fleet.usd_per_hour == pytest.approx(5.0)


@given(
    st.lists(st.tuples(st.floats(1, 9), st.floats(0.5, 9), st.floats(0.5, 9)), min_size=2, max_size=3), st.floats(1, 30)
)
@settings(max_examples=25, deadline=None)
def test_the_integer_program_is_the_best_of_all(drawn: list[tuple[float, float, float]], rate: float) -> None:
    kinds = [kind(f"k{i}", usd, one, two) for i, (usd, one, two) in enumerate(drawn)]
    best = cheapest(kinds, HALVES, rate, {})
    for counts in itertools.product(range(5), repeat=len(kinds)):
        cost = sum(n * one.usd_per_hour for n, one in zip(counts, kinds, strict=True))
        if cost < best.usd_per_hour - 1e-4:
            assert not _can_serve(counts, kinds, rate * (1 + 1e-6))
    assert _can_serve(best.replicas, kinds, rate * (1 - 1e-6))


def _can_serve(counts: object, kinds: list[Kind], rate: float) -> bool:
    """Say by a linear program whether these replicas serve the rate."""
    from scipy.optimize import linprog

    k = len(kinds)
    rows = [[0.5 * rate / kinds[j].rates[b] if j == i else 0.0 for b in range(2) for j in range(k)] for i in range(k)]
    sums = [[1.0 if b == which else 0.0 for b in range(2) for _ in range(k)] for which in range(2)]
    return linprog([0.0] * 2 * k, A_ub=rows, b_ub=list(counts), A_eq=sums, b_eq=[1.0, 1.0]).status == 0


def test_spare_replicas_and_limits() -> None:
    kinds = [kind("a", 1.0, 4.0, 4.0), kind("b", 3.0, 8.0, 8.0)]
    assert cheapest(kinds, HALVES, 8.0, {}, spare=1).replicas == [3, 0]
    assert cheapest(kinds, HALVES, 9.0, {"a": 1}).replicas == [1, 1]
    with pytest.raises(PlanError, match="more devices"):
        cheapest(kinds, HALVES, 80.0, {"a": 1, "b": 2})
    with pytest.raises(PlanError, match="1,000 input"):
        cheapest([kind("small", 1.0, 4.0, 0.0)], HALVES, 1.0, {})


def test_a_fleet_of_the_library() -> None:
    found = fleet_report(
        "llama-3.1-8b", ["l4=4", "h100-sxm"], rate=10, inputs=Lengths(400.0, 1.0), outputs=Lengths(150.0, 0.7),
        cuts=2, largest_replica=2, tpot_s=0.12, engine="vllm", day="usual",
    )  # fmt: skip
    assert sum(row["requests_per_s"] for row in found["fleet"]) == pytest.approx(10.0, rel=1e-6)
    assert all(row["busy_share"] <= 1 + 1e-6 for row in found["fleet"])
    assert all(
        row["usd_per_hour"] is None or row["usd_per_hour"] >= found["usd_per_hour"] - 1e-6 for row in found["alone"]
    )
    assert found["day"]["usd_scaled"] <= found["day"]["usd_steady"]
    assert len(found["day"]["hours"]) == 24


def test_a_device_without_a_price() -> None:
    with pytest.raises(InputError, match="price"):
        fleet_report("llama-3.1-8b", ["edge-tpu"], rate=1, inputs=Lengths(10.0, 0.0), outputs=Lengths(10.0, 0.0))
