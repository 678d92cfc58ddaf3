"""What-if devices: a device with some of its numbers changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from perfmodel.devices.model import WHAT_IF, Device
from perfmodel.errors import InputError, did_you_mean
from perfmodel.units import parse_quantity

_CHIP = {
    "chip.cores": ("core_count", ""),
    "chip.clock": ("clock_hz", "hertz"),
    "chip.max_clock": ("max_clock_hz", "hertz"),
    "power": ("power_w", "watts"),
    "idle_power": ("idle_power_w", "watts"),
}
_MEMORY = {"capacity": ("capacity_bytes", "bytes"), "bandwidth": ("bandwidth_bytes_per_s", "bytes_per_s")}
_LINK = {
    "bandwidth": ("bandwidth_bytes_per_s", "bytes_per_s"),
    "domain": ("domain_size", ""),
    "latency": ("latency_s", "seconds"),
    "rails": ("rails", ""),
    "oversubscription": ("oversubscription", "ratio"),
}


def change_device(device: Device, changes: Mapping[str, str]) -> Device:
    """Return a device with other numbers, such as ``{"memory.main.bandwidth": "4 TB/s", "power": "*0.5"}``.

    Fields are written as in a device file; a list's entry is named by its role or scope (``links.scale_up.domain``), a
    value is a quantity with its unit, or ``*2`` for twice what it is. The device keeps its name, and with it what was
    measured on it; a note says what changed. Errors: :class:`InputError` for a field that it does not have.
    """
    for field, text in changes.items():
        device = _changed(device, field.strip(), text.strip())
        device = replace(device, notes=(*device.notes, f"{WHAT_IF}{field.strip()} = {text.strip()}"))
    return device


def device_fields(device: Device) -> list[str]:
    """Return every field that :func:`change_device` can change on this device."""
    found = [*_CHIP]
    found += [f"peaks.{p.engine}.{p.dtype}" for p in device.peaks if p.sparsity == "dense"]
    found += [f"memory.{t.role}.{name}" for t in device.memory for name in _MEMORY]
    found += [f"links.{link.scope}.{name}" for link in device.links for name in _LINK]
    return list(dict.fromkeys(found))


def _changed(device: Device, field: str, text: str) -> Device:
    if field not in device_fields(device):
        known = device_fields(device)
        hint = did_you_mean(field, known)
        raise InputError(f"{device.name} has no field '{field}' to change{hint} (such as {', '.join(known[:3])})")
    if field in _CHIP:
        name, dimension = _CHIP[field]
        return replace(device, **{name: _value(field, text, dimension, getattr(device, name))})
    group, key, name = field.split(".")
    if group == "peaks":
        return replace(device, peaks=tuple(_peak(p, key, name, field, text) for p in device.peaks))
    if group == "memory":
        return replace(device, memory=_entries(device.memory, "role", key, _MEMORY[name], field, text))
    return replace(device, links=_entries(device.links, "scope", key, _LINK[name], field, text))


def _peak(peak: Any, engine: str, dtype: str, field: str, text: str) -> Any:
    if (peak.engine, peak.dtype) != (engine, dtype):
        return peak
    rate = _value(field, text, "flops_per_s", peak.flops_per_s)
    if peak.sparsity != "dense" and not text.startswith(("*", "x")):
        rate *= 2.0  # the field is the dense rate
    return replace(peak, flops_per_s=rate)


def _entries(
    entries: tuple[Any, ...], selector: str, key: str, named: tuple[str, str], field: str, text: str
) -> tuple[Any, ...]:
    """Return the entries, the first that is meant changed: a file lists the usual one first."""
    found = list(entries)
    place = next(i for i, entry in enumerate(found) if getattr(entry, selector) == key)
    name, dimension = named
    found[place] = replace(found[place], **{name: _value(field, text, dimension, getattr(found[place], name))})
    return tuple(found)


def _value(field: str, text: str, dimension: str, current: float | None) -> float:
    if text.startswith(("*", "x")):
        if current is None:
            raise InputError(f"{field} is not stated, so that '{text}' of it is nothing; give a value")
        factor = _number(field, text[1:])
        return type(current)(round(current * factor)) if not dimension else current * factor
    if dimension in ("", "ratio"):
        number = _number(field, text)
        return round(number) if not dimension else number
    try:
        return parse_quantity(text, dimension)
    except InputError as error:
        raise InputError(f"{field}: {error}") from None


def _number(field: str, text: str) -> float:
    convert: Callable[[str], float] = float
    try:
        number = convert(text)
    except ValueError:
        raise InputError(f"{field}: '{text}' is not a number") from None
    if not 0.0 < number < 1e18:
        raise InputError(f"{field}: {text} must be a number above 0")
    return number
