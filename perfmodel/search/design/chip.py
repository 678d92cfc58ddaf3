"""A chip like another one with other numbers, any of them a column: its facts, area, power and cost.

Area: that of the model chip times the ratio of both areas as modelled. Power: the idle part grows with the area; the
limit leaves the same share of what all units draw at their peaks together as that of the model chip does, a flop and a
byte taking what they take there. So a chip keeps its process, its memory's kind and its clocks' voltage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.cost.area import Area, die_area
from perfmodel.cost.energy import EnergyFacts, energy_facts
from perfmodel.cost.manufacture import chip_cost
from perfmodel.devices import Device
from perfmodel.devices.override import with_number
from perfmodel.errors import InputError
from perfmodel.numeric import Number
from perfmodel.search.design.engines import changes_of, engine_numbers, peak_growth
from perfmodel.search.design.space import CHIP

_FIELDS = {
    "bandwidth": "memory.main.bandwidth", "capacity": "memory.main.capacity",
    "cache": "memory.last_level_cache.capacity", "link": "links.scale_up.bandwidth",
    "network": "links.scale_out.bandwidth",
}  # fmt: skip


@dataclass(frozen=True)
class Chip:
    """A designed device with what it takes to build and to feed; None: its model states too little."""

    device: Device
    area_mm2: Number | None
    power_w: Number | None
    usd: Number | None
    energy: EnergyFacts | None


def check_design(like: Device, names: list[str]) -> None:
    """Refuse numbers that the model chip does not have. Errors: :class:`InputError`."""
    for name in names:
        if name == "cache" and like.last_level_cache is None:
            raise InputError(f"{like.name} has no last-level cache to vary")
        scope = {"link": "scale_up", "network": "scale_out"}.get(name)
        if scope and like.link(scope) is None:
            raise InputError(f"{like.name} states no {scope} link to vary")
        if name == "vector" and not like.has_peak("float32", "vector"):
            raise InputError(f"{like.name} states no float32 peak of vector units to vary")


def base_values(like: Device, dtype: str) -> dict[str, float]:
    """Return the model chip's own numbers by the names of :data:`CHIP`, those that it has."""
    up, out, cache = like.link("scale_up"), like.link("scale_out"), like.last_level_cache
    found = {
        "cores": float(like.core_count), "clock": like.clock_hz, "peak": like.peak_flops_per_s(dtype),
        "vector": like.peak_flops_per_s("float32", "vector") if like.has_peak("float32", "vector") else None,
        "bandwidth": like.main_bandwidth_bytes_per_s, "capacity": like.main_memory.capacity_bytes,
        "cache": cache.capacity_bytes if cache else None, "link": up.bandwidth_bytes_per_s if up else None,
        "network": out.bandwidth_bytes_per_s if out else None,
    }  # fmt: skip
    mine = {name: value for name in CHIP if (value := found[name]) is not None}
    return mine | {name: number.value for name, number in engine_numbers(like).items()}


def designed(like: Device, values: Mapping[str, Number], dtype: str) -> Chip:
    """Return the chip with ``values`` (:data:`CHIP`) in place of its model's; ``dtype`` is the one of ``peak``."""
    device = _device(like, values, dtype)
    area = _area(like, device)
    facts, power = _power(like, device, area, dtype)
    usd = None if area is None else _cost(device, area)
    return Chip(device if power is None else replace(device, power_w=power), area, power, usd, facts)


def _device(like: Device, values: Mapping[str, Number], dtype: str) -> Device:
    known = base_values(like, dtype)
    ratio = {name: values[name] / known[name] for name in values if name in known}
    all_peaks = ratio.get("cores", 1.0) * ratio.get("clock", 1.0)
    factor: dict[str, Any] = {"tensor": ratio.get("peak", all_peaks), "vector": ratio.get("vector", all_peaks)}
    peaks = tuple(replace(p, flops_per_s=p.flops_per_s * factor.get(p.engine, 1.0)) for p in like.peaks)
    changes = changes_of(values)
    device = replace(like, peaks=peaks)
    if "cores" in values:
        device = replace(device, core_count=values["cores"])
    if "clock" in values:
        clocks = ratio["clock"]
        device = replace(device, clock_hz=values["clock"], max_clock_hz=like.max_clock_hz * clocks)
    for name, field in _FIELDS.items():
        if name in values:
            device = with_number(device, field, values[name])
    grown = peak_growth(device, changes)
    peaks = tuple(replace(p, flops_per_s=p.flops_per_s * grown) if p.engine == "tensor" else p for p in device.peaks)
    return replace(device, peaks=peaks) if changes else device


def _area(like: Device, device: Device) -> Number | None:
    if like.process_nm is None:
        return None
    old: Area = die_area(like)
    return old.mm2 * die_area(device).modelled_mm2 / old.modelled_mm2


def _power(like: Device, device: Device, area: Number | None, dtype: str) -> tuple[EnergyFacts | None, Number | None]:
    facts = energy_facts(like)
    if facts is None:
        return None, None
    grown = 1.0 if area is None else area / die_area(like).mm2
    idle = facts.static_w * grown
    limit = idle + (facts.board_w - facts.static_w) * _all_out_w(device, facts, dtype) / _all_out_w(like, facts, dtype)
    return replace(facts, static_w=idle, limit_w=limit, board_w=limit), limit


def _all_out_w(device: Device, facts: EnergyFacts, dtype: str) -> Number:
    """Return what matrix units, memory and links draw at their peaks together."""
    drawn = device.peak_flops_per_s(dtype) * facts.j_per_flop[dtype]
    drawn = drawn + device.main_bandwidth_bytes_per_s * facts.j_per_byte
    up = device.link("scale_up")
    return drawn if up is None else drawn + up.bandwidth_bytes_per_s * facts.j_per_link_byte


def _cost(device: Device, area: Number) -> Number | None:
    try:
        return chip_cost(device, area).usd
    except InputError:
        return None  # a memory that nobody has put a price on
