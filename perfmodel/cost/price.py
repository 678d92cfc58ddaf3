"""Money: what a device costs an hour, and what that makes a token."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.devices import Device, Price
from perfmodel.devices.schema import PRICE_KINDS
from perfmodel.errors import InputError, did_you_mean
from perfmodel.numeric import Number

HOURS_PER_YEAR = 8760.0
LIFE_YEARS = 4.0
"""Years over which a purchase is written off."""

USE = 0.8
"""Share of these years' hours in which a purchased device serves."""

POWER_USAGE_EFFECTIVENESS = 1.3
"""Power of a data centre over that of its machines."""


@dataclass(frozen=True)
class Rates:
    """What one device costs an hour, without electricity, and where that number is from."""

    usd_per_device_hour: float
    usd_per_kwh: float
    kind: str
    origin: str


def rates_for(
    device: Device,
    kind: str = "cloud_hour",
    usd_per_device_hour: float | None = None,
    usd_per_kwh: float | None = None,
) -> Rates | None:
    """Return the rates that hold for a device, or None if it states no price of the kind and none is given.

    A purchase is written off over :data:`LIFE_YEARS`, of which it serves :data:`USE`. Electricity is added only where
    its price is given: cloud prices include it. Errors: :class:`InputError` for an unknown kind or a negative price.
    """
    if kind not in PRICE_KINDS:
        raise InputError(
            f"unknown price kind '{kind}'{did_you_mean(kind, PRICE_KINDS)} (one of {', '.join(PRICE_KINDS)})"
        )
    for what, value in (("price", usd_per_device_hour), ("electricity price", usd_per_kwh)):
        if value is not None and not 0.0 <= value < 1e6:
            raise InputError(f"the {what} must be a number of US dollars from 0 to a million, not {value}")
    electricity = usd_per_kwh or 0.0
    if usd_per_device_hour is not None:
        return Rates(usd_per_device_hour, electricity, kind, "as given")
    found = [price for price in device.prices if price.kind == kind]
    if not found:
        return None
    price = found[0]  # a spec file lists the usual price of a kind first
    return Rates(_hourly(price), electricity, kind, f"{price.provider}, {price.date}".strip(", "))


def _hourly(price: Price) -> float:
    hours = LIFE_YEARS * HOURS_PER_YEAR * USE if price.kind == "purchase" else 1.0
    return price.usd_per_device / hours


def usd_per_request(rates: Rates, devices: Number, requests_per_s: Number, joules_per_request: Number | None) -> Number:
    """Return the price of one request: ``devices*rate/3600/rate of requests + joules/3.6e6*PUE*usd_per_kwh``."""
    hire = devices * rates.usd_per_device_hour / 3600.0 / requests_per_s
    if joules_per_request is None or rates.usd_per_kwh == 0.0:
        return hire
    return hire + joules_per_request / 3.6e6 * POWER_USAGE_EFFECTIVENESS * rates.usd_per_kwh
