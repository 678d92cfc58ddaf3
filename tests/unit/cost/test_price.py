"""Prices by hand, and what a wrong one says."""

from __future__ import annotations

import dataclasses
import math

import pytest

from perfmodel import api
from perfmodel.cost.price import HOURS_PER_YEAR, LIFE_YEARS, USE, rates_for, usd_per_request
from perfmodel.devices import Price, load_device
from perfmodel.errors import InputError

DEVICE = dataclasses.replace(
    load_device("h100-sxm"),
    prices=(Price("cloud_hour", 3.0, "somebody", "2026-01"), Price("purchase", 28032.0, "a shop", "2025"),
            Price("cloud_hour", 9.0, "another", "2026-01")),
)  # fmt: skip


def test_the_first_price_of_a_kind_holds_and_a_given_one_goes_before() -> None:
    rates = rates_for(DEVICE)
    assert rates is not None
    assert (rates.usd_per_device_hour, rates.origin) == (3.0, "somebody, 2026-01")
    given = rates_for(DEVICE, usd_per_device_hour=1.5)
    assert given is not None
    assert (given.usd_per_device_hour, given.origin) == (1.5, "as given")
    assert rates_for(DEVICE, "spot_hour") is None


def test_a_purchase_is_written_off() -> None:
    rates = rates_for(DEVICE, "purchase")
    assert rates is not None
    assert rates.usd_per_device_hour == pytest.approx(28032 / (LIFE_YEARS * HOURS_PER_YEAR * USE)) == pytest.approx(1.0)


def test_a_request_by_hand() -> None:
    rates = rates_for(DEVICE, usd_per_device_hour=3.6, usd_per_kwh=0.1)
    assert rates is not None
    # 8 devices at 0.001 USD a second, two requests a second; 3.6 MJ are a kWh, with 1.3 of a data centre's overhead
    assert usd_per_request(rates, 8, 2.0, 3.6e6) == pytest.approx(0.004 + 0.13)
    assert usd_per_request(rates, 8, 2.0, None) == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("said", "kind", "usd"),
    [("unknown price kind 'cloud' - did you mean", "cloud", 1.0), ("the price must be", "cloud_hour", -1.0),
     ("the price must be", "cloud_hour", math.nan)],
)  # fmt: skip
def test_prices_that_cannot_be(said: str, kind: str, usd: float) -> None:
    with pytest.raises(InputError, match=said):
        rates_for(DEVICE, kind, usd)


@pytest.mark.parametrize("plan", [{}, {"tp": 2, "dp": 2}, {"phase": "prefill"}, {"phase": "decode"}, {"static": True}])
def test_input_and_output_tokens_share_the_cost(plan: dict[str, object]) -> None:
    found = api.estimate("llama-3.1-8b", "h100-sxm", batch=8, usd_per_device_hour=2.0, **plan)  # pyright: ignore[reportArgumentType]
    money = found.money
    assert money is not None
    told = (money.usd_per_million_input_tokens * 1024 + money.usd_per_million_output_tokens * 256) / 1e6
    assert told == pytest.approx(money.usd_per_request)
    hour = found.requests_per_s * 3600 * money.usd_per_request
    assert hour == pytest.approx(2.0 * found.setup.devices)
