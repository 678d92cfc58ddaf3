"""What-if devices: a device with some of its numbers changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from perfmodel.devices.model import WHAT_IF, Device, EngineSpec, Mix, Peak
from perfmodel.devices.schema import DTYPES, ENGINES, POLICIES
from perfmodel.errors import InputError, did_you_mean
from perfmodel.specs.yaml_strict import Node, resolve_scalar
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

    Fields are written as in a device file; a list's entry is named by its role or scope (``links.scale_up.domain``), an
    engine by its name, a memory also by what its name begins with (``memory.hbm.bandwidth``); ``compute`` is another
    word for ``peaks``, where a new dtype may be stated. A value is a quantity with its unit, or ``*2`` for twice what
    it is. The device keeps its name, and with it what was measured on it; a note says what changed. Errors:
    :class:`InputError` for a field that it does not have.
    """
    for field, text in changes.items():
        device = _changed(device, canonical_field(device, field.strip()), text.strip())
        device = replace(device, notes=(*device.notes, f"{WHAT_IF}{field.strip()} = {text.strip()}"))
    return device


def device_fields(device: Device) -> list[str]:
    """Return every field that :func:`change_device` can change on this device."""
    found = [*_CHIP]
    found += [f"peaks.{p.engine}.{p.dtype}" for p in device.peaks if p.sparsity == "dense"]
    found += [f"memory.{t.role}.{name}" for t in device.memory for name in _MEMORY]
    found += [f"links.{link.scope}.{name}" for link in device.links for name in _LINK]
    found += [f"engines.{engine.name}.{key}" for engine in device.engines for key in engine_values(engine)]
    found += ["mix.policy", "mix.threshold"] if len(device.engines) > 1 else []
    return list(dict.fromkeys(found))


def canonical_field(device: Device, field: str) -> str:
    """Return a field by the name under which :func:`device_fields` lists it, from another way to write it."""
    group, _, rest = field.partition(".")
    if group == "compute":
        return f"peaks.{rest}"
    if group == "memory":
        key, _, name = rest.partition(".")
        roles = {tier.role for tier in device.memory}
        named = [tier.role for tier in device.memory if tier.name.lower().startswith(key.lower())]
        return f"memory.{named[0]}.{name}" if key not in roles and named else field
    return field


def field_value(device: Device, field: str) -> Any:
    """Return what a device states at a field of :func:`device_fields`, as a file would write it (SI units)."""
    if field in _CHIP:
        name, dimension = _CHIP[field]
        return _written(getattr(device, name), dimension)
    group, key, name = [*field.split(".", 2), ""][:3]
    if group == "engines":
        return engine_values(next(e for e in device.engines if e.name == key))[name]
    if group == "mix":
        return getattr(device.mix, key)
    if group == "peaks":
        return _written(device.peak_flops_per_s(name, key), "flops_per_s")
    entries: Any = device.memory if group == "memory" else device.links
    attribute, dimension = (_MEMORY if group == "memory" else _LINK)[name]
    selector = "role" if group == "memory" else "scope"
    return _written(getattr(next(e for e in entries if getattr(e, selector) == key), attribute), dimension)


def dimension_of(field: str) -> str:
    """Return the dimension of a number that :func:`with_number` sets; empty for a count."""
    if field in _CHIP:
        return _CHIP[field][1]
    group, _, name = [*field.split(".", 2), ""][:3]
    return "flops_per_s" if group == "peaks" else (_MEMORY if group == "memory" else _LINK)[name][1]


def with_number(device: Device, field: str, value: Any) -> Device:
    """Return a device with a number of any kind (a float, a symbol) at a field of its chip, memory, links or peaks.

    As :func:`change_device` does with a quantity: a peak's sparse rate is twice it.
    """
    if field in _CHIP:
        return replace(device, **{_CHIP[field][0]: value})
    group, key, name = [*field.split(".", 2), ""][:3]
    if group == "peaks":
        factor = {"dense": 1.0}
        return replace(device, peaks=tuple(
            replace(p, flops_per_s=value * factor.get(p.sparsity, 2.0)) if (p.engine, p.dtype) == (key, name) else p
            for p in device.peaks
        ))  # fmt: skip
    memory = group == "memory"
    entries: list[Any] = list(device.memory if memory else device.links)
    place = next(i for i, entry in enumerate(entries) if (entry.role if memory else entry.scope) == key)
    entries[place] = replace(entries[place], **{(_MEMORY if memory else _LINK)[name][0]: value})
    return replace(device, **{"memory" if memory else "links": tuple(entries)})


_UNITS = {
    "hertz": "Hz", "watts": "W", "bytes": "B", "bytes_per_s": "B/s", "seconds": "s", "flops_per_s": "FLOP/s",
}  # fmt: skip


def _written(value: Any, dimension: str) -> Any:
    return f"{value!r} {_UNITS[dimension]}" if dimension in _UNITS else value


def _new_peak(field: str, text: str) -> Peak | None:
    """Return the peak of a dtype that a device has none of, None if the field is no such peak."""
    group, engine, dtype = [*field.split(".", 2), "", ""][:3]
    if group != "peaks" or engine not in ENGINES or dtype not in DTYPES or text.startswith(("*", "x")):
        return None
    return Peak(engine, dtype, "dense", _value(field, text, "flops_per_s", None))


def _changed(device: Device, field: str, text: str) -> Device:
    if field in device_fields(device):
        return _replaced(device, field, text)
    if (peak := _new_peak(field, text)) is not None:
        return replace(device, peaks=(*device.peaks, peak))
    known = device_fields(device)
    hint = did_you_mean(field, known)
    raise InputError(f"{device.name} has no field '{field}' to change{hint} (such as {', '.join(known[:3])})")


def _replaced(device: Device, field: str, text: str) -> Device:
    if field in _CHIP:
        name, dimension = _CHIP[field]
        return replace(device, **{name: _value(field, text, dimension, getattr(device, name))})
    group, key, name = [*field.split(".", 2), ""][:3]
    if group == "engines":
        return replace(device, engines=tuple(_engine(e, key, name, text) for e in device.engines))
    if group == "mix":
        return replace(device, mix=_mix(device.mix, key, field, text))
    if group == "peaks":
        return replace(device, peaks=tuple(_peak(p, key, name, field, text) for p in device.peaks))
    if group == "memory":
        return replace(device, memory=_entries(device.memory, "role", key, _MEMORY[name], field, text))
    return replace(device, links=_entries(device.links, "scope", key, _LINK[name], field, text))


def engine_values(engine: EngineSpec) -> dict[str, str | float]:
    """Return the texts and numbers of an engine's block by their dotted names, without its sources."""
    return dict(_leaves(json.loads(engine.text)))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for key, item in value.items():
        if key == "value":
            yield from _leaves(item, path)
        elif key not in ("source", "note") and (path or key not in ("name", "form")):
            yield from _leaves(item, f"{path}.{key}".lstrip("."))


def _engine(engine: EngineSpec, name: str, key: str, text: str) -> EngineSpec:
    """Return the engine with another value at a dotted key; its form's rule checks it when it is read."""
    if engine.name != name:
        return engine
    block = json.loads(engine.text)
    inner = block
    *path, last = key.split(".")
    for step in path:
        inner = inner[step]
    old = inner[last]
    wrapped = isinstance(old, dict)
    new = _scaled(old["value"] if wrapped else old, f"engines.{name}.{key}", text)
    inner[last] = {**old, "value": new} if wrapped else new
    return replace(engine, text=json.dumps(block, sort_keys=True), node=Node.of(block))


def _scaled(old: Any, field: str, text: str) -> Any:
    """Return a value of a block as it would be written: another one, or ``*2`` of the number that it begins with."""
    if not text.startswith(("*", "x")):
        return resolve_scalar(text)
    number, _, unit = str(old).strip().partition(" ")
    factor = _number(field, text[1:]) * _number(field, number)
    return f"{factor:.12g} {unit}" if unit else factor


def _mix(mix: Mix, key: str, field: str, text: str) -> Mix:
    if key == "threshold":
        return replace(mix, threshold=_value(field, text, "ratio", mix.threshold))
    if text not in POLICIES:
        raise InputError(f"{field}: '{text}'{did_you_mean(text, POLICIES)} (one of {', '.join(POLICIES)})")
    return replace(mix, policy=text)


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
