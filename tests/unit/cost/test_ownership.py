"""What owning a machine makes of a token, by hand."""

from __future__ import annotations

import pytest

from perfmodel.cost.ownership import Ownership, token_cost
from perfmodel.errors import InputError


def test_a_million_tokens_by_hand() -> None:
    terms = Ownership(
        device_usd=40_000, host_usd=20_000, years=5, use=0.5, usd_per_kwh=0.1, pue=1.2, host_w=100,
        usd_per_device_year=876, gco2_per_kwh=400, embodied_kg=200,
    )  # fmt: skip
    found = token_cost(terms, devices=2, tokens_per_s=1000.0, power_w=700.0, idle_w=100.0)
    millions = 1000.0 * 0.5 * 8760 * 3600 / 1e6
    assert found.capital_usd == pytest.approx(2 * 60_000 / 5 / millions)
    kwh = 2 * 1.2 * (0.5 * 700 + 0.5 * 100 + 100) * 8.760 / millions
    assert found.kwh == pytest.approx(kwh)
    assert found.electricity_usd == pytest.approx(0.1 * kwh)
    assert found.upkeep_usd == pytest.approx(2 * 876 / millions)
    assert found.running_gco2 == pytest.approx(400 * kwh)
    assert found.embodied_gco2 == pytest.approx(2 * 200_000 / 5 / millions)
    assert found.usd == pytest.approx(found.capital_usd + found.electricity_usd + found.upkeep_usd)


def test_an_idle_machine_costs_its_tokens_more() -> None:
    busy, idle = (token_cost(Ownership(30_000, use=use), 1, 1000.0, 700.0, 70.0) for use in (1.0, 0.25))
    assert idle.capital_usd == pytest.approx(4 * busy.capital_usd)
    assert busy.electricity_usd < idle.electricity_usd < 4 * busy.electricity_usd


@pytest.mark.parametrize("terms", [{"use": 0.0}, {"use": 1.1}, {"years": 0.0}, {"pue": 0.9}, {"usd_per_kwh": -1.0}])
def test_terms_that_cannot_be(terms: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Ownership(1000.0, **terms)
