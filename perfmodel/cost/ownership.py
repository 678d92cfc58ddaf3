"""What a token costs whoever owns the machine, and what it does to the climate."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.errors import InputError
from perfmodel.numeric import Number

HOURS_PER_YEAR = 8760.0
JOULES_PER_KWH = 3.6e6
MILLION = 1e6


@dataclass(frozen=True)
class Ownership:
    """The terms of owning a deployment.

    ``device_usd`` buys a device and ``host_usd`` its share of server, network and rack; both are written off over
    ``years``. ``use`` is the share of the time that it serves at the load of the estimate; the rest it idles.
    ``usd_per_kwh`` and ``gco2_per_kwh`` are of the meter, ``pue`` the power of the building over that of its machines,
    ``host_w`` what a device's share of the host draws, ``usd_per_device_year`` rent, staff and upkeep.
    ``embodied_kg`` is the CO2 equivalent of making a device and its share of the host.

    Defaults, all to be replaced by one's own: PUE 1.25 (between hyperscale 1.1 and the 1.56 of Uptime Institute's
    survey of 2024), 473 g/kWh (world mean of 2024, Ember), 164 kg for a device (NVIDIA's product carbon footprint of
    HGX H100: 1,312 kg for eight) and as much again for the host: from memory.
    """

    device_usd: float
    host_usd: float = 0.0
    years: float = 4.0
    use: float = 0.6
    usd_per_kwh: float = 0.08
    pue: float = 1.25
    host_w: float = 0.0
    usd_per_device_year: float = 0.0
    gco2_per_kwh: float = 473.0
    embodied_kg: float = 328.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0.0 or value == float("inf"):
                raise InputError(f"{name} must be a number of at least 0, not {value}")
        if not 0.0 < self.use <= 1.0:
            raise InputError(f"use must be above 0 and at most 1, not {self.use:g}")
        if not self.years > 0.0 or not self.pue >= 1.0:
            raise InputError(f"years {self.years:g} must be above 0, and pue {self.pue:g} at least 1")


@dataclass(frozen=True)
class TokenCost:
    """Per million tokens: US dollars of capital, electricity and upkeep; grams of CO2 of running and of making."""

    capital_usd: Number
    electricity_usd: Number
    upkeep_usd: Number
    running_gco2: Number
    embodied_gco2: Number
    kwh: Number

    @property
    def usd(self) -> Number:
        """Return all dollars."""
        return self.capital_usd + self.electricity_usd + self.upkeep_usd

    @property
    def gco2(self) -> Number:
        """Return all grams of CO2 equivalent."""
        return self.running_gco2 + self.embodied_gco2


def token_cost(terms: Ownership, devices: Number, tokens_per_s: Number, power_w: Number, idle_w: Number) -> TokenCost:
    """Return what a million tokens cost on ``devices`` of ``power_w`` each at work, which idle at ``idle_w``.

    ``tokens a year = tokens_per_s*use*8760*3600``; ``capital = devices*(device + host)/years``;
    ``kWh = devices*PUE*(use*(power + host_w) + (1 - use)*(idle + host_w))*8760/1000``; each divided by the tokens.
    Source: the cost model of Barroso, Hoelzle and Ranganathan, The Datacenter as a Computer, 3rd ed. 2018, ch. 6;
    embodied carbon shared out over the life: Gupta et al. 2022, ACT. Omits interest, resale and taxes.
    """
    millions = tokens_per_s * terms.use * HOURS_PER_YEAR * 3600.0 / MILLION
    drawn = terms.use * power_w + (1.0 - terms.use) * idle_w + terms.host_w
    kwh = devices * terms.pue * drawn * HOURS_PER_YEAR / 1000.0 / millions
    a_year = devices / terms.years / millions
    return TokenCost(
        capital_usd=a_year * (terms.device_usd + terms.host_usd),
        electricity_usd=kwh * terms.usd_per_kwh,
        upkeep_usd=devices * terms.usd_per_device_year / millions,
        running_gco2=kwh * terms.gco2_per_kwh,
        embodied_gco2=a_year * terms.embodied_kg * 1000.0,
        kwh=kwh,
    )
