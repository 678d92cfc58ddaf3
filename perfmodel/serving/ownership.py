"""The cost of ownership of a deployment in its steady state, as one JSON-ready object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import positive
from perfmodel.cost.ownership import Ownership, token_cost
from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.serving.scenario import Answer, Setup


def ownership_report(
    setup: Setup, device: Device, answer: Answer, purchase: Any, host: Any, terms: Mapping[str, Any]
) -> dict[str, Any]:
    """Return dollars and carbon of a million output tokens (schema ``perfmodel/tco/1``).

    ``purchase`` empty: the purchase price in the device's file; ``host`` empty: half of that again.
    Errors: :class:`InputError` for a device without a price or power limit, or terms that cannot be.
    """
    notes: list[str] = []
    price = _price(device, purchase, notes)
    beside = positive("host", host) if host not in ("", None) else 0.5 * price
    if host in ("", None):
        notes.append("server, network and rack taken as half of the device's price")
    owned = Ownership(price, beside, **{name: positive(name, value) for name, value in terms.items()})
    power = answer.extras.get("power_w_per_device")
    if power is None or setup.energy_facts is None:
        raise InputError(
            f"{device.name} states no power limit, so that its electricity is not known; add one to its file"
        )
    found = token_cost(owned, setup.devices, answer.tokens_per_s, power, setup.energy_facts.static_w)
    return {
        "schema": "perfmodel/tco/1",
        "version": __version__,
        "model": setup.decode.model.name,
        "device": device.name,
        "devices": setup.devices,
        "tokens_per_s": answer.tokens_per_s,
        "power_w_per_device": power,
        "idle_w_per_device": setup.energy_facts.static_w,
        "inputs": vars(owned),
        "by_use": [_at(owned, use, setup.devices, answer.tokens_per_s, power, setup.energy_facts.static_w)
                   for use in _USES],
        "usd": found.usd,
        **vars(found),
        "gco2": found.gco2,
        "notes": notes or ["all terms as given"],
    }  # fmt: skip


_USES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def _at(owned: Ownership, use: float, devices: int, tokens_per_s: Any, power_w: Any, idle_w: Any) -> dict[str, Any]:
    """Return the cost if the load is there for another part of the time."""
    found = token_cost(replace(owned, use=use), devices, tokens_per_s, power_w, idle_w)
    return {"use": use, "usd": found.usd, **vars(found), "gco2": found.gco2}


def _price(device: Device, purchase: Any, notes: list[str]) -> float:
    if purchase not in ("", None):
        return positive("purchase", purchase)
    known = [price for price in device.prices if price.kind == "purchase"]
    if not known:
        raise InputError(f"{device.name} states no purchase price; give --purchase, or put a price into its file")
    notes.append(f"bought for ${known[0].usd_per_device:,.0f} ({known[0].provider}, {known[0].date})")
    return known[0].usd_per_device
