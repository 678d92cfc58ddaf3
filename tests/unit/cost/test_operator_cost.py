"""Bound, expected time and band of single operators."""

from __future__ import annotations

import math
from typing import Any

import pytest

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.gpu import uncosted_operators
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.link_facts import link_for
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import OperatorCost, operator_cost, spreads, static_dtype
from perfmodel.devices import load_device
from perfmodel.formats import find_format
from perfmodel.ops import OPERATORS, AttentionDecode, Experts, Linear
from tests.variants import all_variants, build, label

H100 = Machine(chip_facts(load_device("h100-sxm")), link_for(load_device("h100-sxm")))
B200 = Machine(chip_facts(load_device("b200")), link_for(load_device("b200")))


def test_every_operator_has_a_form() -> None:
    assert uncosted_operators() == []


@pytest.mark.parametrize("case", all_variants(), ids=label)
@pytest.mark.parametrize("size", ["least", "middle", "largest"])
def test_bound_p10_expected_p90(case: tuple[str, dict[str, Any]], size: str) -> None:
    pick = {"least": min, "middle": lambda ab: (ab[0] + ab[1]) // 2, "largest": max}[size]
    op = build(*case, {name: float(pick(ab)) for name, ab in OPERATORS[case[0]].DOMAIN.items()})
    cost = operator_cost(op, B200)
    assert 0 <= cost.bound_s <= cost.p10_s <= cost.expected_s <= cost.p90_s
    assert math.isfinite(cost.p90_s)
    alone = getattr(op, "ranks", 2) == 1
    assert (cost.expected_s == 0) if alone else (cost.expected_s > 0)


def test_a_band_is_cut_off_at_the_bound() -> None:
    # sigma 0.5: p10 = exp(-1.2816*0.5) = 0.527 of the expected 2 s, below the bound of 1.5 s
    cost = OperatorCost(Bound(1.5, 0.0, 0.0), 2.0, 0.5, 0.5)
    assert cost.p10_s == 1.5
    assert cost.p90_s == pytest.approx(2 * math.exp(1.2815515655 * 0.5))


def test_spreads_are_those_of_the_band() -> None:
    op = Linear(16, 4096, 4096, find_format("bf16"))
    band = H100.band("gemm", "gemm", "bfloat16")
    low, high = spreads(op, H100)
    assert math.exp(-1.2815515655 * low) == pytest.approx(min(band.p10, 1.0))
    assert math.exp(1.2815515655 * high) == pytest.approx(max(band.p90, 1.0))


def test_the_precision_that_coefficients_are_looked_up_by() -> None:
    assert static_dtype(Linear(1, 1, 1, find_format("w4a16"))) == "int4_wo"
    assert static_dtype(Experts(1, 1, 1, 1, 8, 1, 1, find_format("mxfp4"))) == "w4a16_mxfp4"
    assert static_dtype(AttentionDecode(1, 1, 1, 1, 1, dtype="fp8")) == "fp8"


def test_a_big_product_comes_close_to_its_peak_and_a_small_one_does_not() -> None:
    big = operator_cost(Linear(8192, 8192, 8192, find_format("bf16")), H100)
    small = operator_cost(Linear(1, 64, 64, find_format("bf16")), H100)
    assert big.expected_s < 2.5 * big.bound_s
    assert small.expected_s > 10 * small.bound_s, "a launch takes longer than the work"
