"""From spec files to devices."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.devices.model import UNLIMITED_DOMAIN, Device, EngineSpec, Link, MemoryTier, Mix, Peak, Price, System
from perfmodel.devices.schema import DEVICE_RULE, SCHEMA, SYSTEM_RULE, SYSTEM_SCHEMA
from perfmodel.errors import Fault, SpecError, UnknownNameError
from perfmodel.specs.locate import USER_FOLDERS, find_spec, list_specs
from perfmodel.specs.provenance import sources_of
from perfmodel.specs.schema import read_spec
from perfmodel.specs.yaml_strict import Node, parse_yaml, read_text

KIND = "hardware_specs"


def list_devices() -> tuple[str, ...]:
    """Return the names of all devices of the library and the user's folders, sorted, without parsing their files."""
    return list_specs(KIND, "device")


def list_systems() -> tuple[str, ...]:
    """Return the names of all systems of the library and the user's folders, sorted."""
    return list_specs(KIND, "system")


def load_device(name_or_path: str | Path) -> Device:
    """Return a device by its name ("h100-sxm"), an alias ("NVIDIA H100 SXM5"), or the path of its file.

    The name of a system ("dgx-h100") gives its device with the system's links and prices.
    Raises :class:`UnknownNameError` with the nearest names, or :class:`SpecError` with all faults of the file.
    """
    path = _find(str(name_or_path), os.environ.get(USER_FOLDERS, ""))
    found = _load(path, _stamp(path))
    if isinstance(found, System):
        return _attached(found, load_device(_beside(found)))
    return found


def load_system(name_or_path: str | Path) -> System:
    """Return a system by its name or the path of its file; errors as for :func:`load_device`."""
    path = find_spec(KIND, str(name_or_path), "system")
    found = _load(path, _stamp(path))
    if not isinstance(found, System):
        raise SpecError(f"describes a device, not a system: its schema is not '{SYSTEM_SCHEMA}'", str(path))
    return found


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        _find.cache_clear()
        raise SpecError(f"cannot be read: {error.strerror}", str(path)) from None


def _beside(system: System) -> str:
    """Return the device's name, or its file if that stands beside the system's own."""
    neighbour = Path(system.path).parent / system.device
    return str(neighbour) if system.device.endswith((".yaml", ".yml")) and neighbour.exists() else system.device


@lru_cache(maxsize=512)
def _attached(system: System, chip: Device) -> Device:
    """Return the chip as part of the system."""
    return replace(
        chip, links=system.links or chip.links, prices=system.prices or chip.prices, system=system.name,
        notes=(*system.notes, *chip.notes), sources=(*system.sources, *chip.sources),
        spec_hash=_hash(system.spec_hash + chip.spec_hash),
    )  # fmt: skip


@lru_cache(maxsize=512)
def _find(name: str, user_folders: str) -> Path:
    """Return a device's or system's file; remembered, because a table of scenarios names the same few in each row."""
    try:
        return find_spec(KIND, name, "device")
    except UnknownNameError as unknown:
        try:
            return find_spec(KIND, name, "system")
        except UnknownNameError:
            raise unknown from None


@lru_cache(maxsize=512)
def _load(path: Path, stamp: int) -> Device | System:
    text = read_text(path)
    node = parse_yaml(text, str(path))
    schema = (node.mapping or {}).get("schema")
    if schema is not None and schema.value == SYSTEM_SCHEMA:
        return _system(node, str(path), _hash(text))
    return _device(node, str(path), _hash(text))


def device_from_mapping(mapping: Mapping[str, Any], path: str = "<mapping>") -> Device:
    """Return a device from plain values in the shape of a device file; :class:`SpecError` with all their faults."""
    return _device(Node.of(mapping), path, _hash(json.dumps(mapping, sort_keys=True, default=str)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _device(node: Node, path: str, spec_hash: str) -> Device:
    values, cited = read_spec(DEVICE_RULE, node, path, SCHEMA)
    _check_tiers(node, values, path)
    _check_engines(values, path)
    chip = values["chip"]
    process = chip.get("process")
    return Device(
        name=values["name"],
        vendor=values["vendor"],
        kind=values["kind"],
        architecture=values["architecture"],
        released=values["released"],
        core_count=chip["cores"],
        clock_hz=chip["clock"],
        max_clock_hz=chip.get("max_clock", chip["clock"]),
        peaks=_peaks(values["peaks"]),
        memory=tuple(_tier(tier) for tier in values["memory"]),
        links=tuple(_link(link) for link in values.get("links", ())),
        power_w=values.get("power"),
        idle_power_w=values.get("idle_power"),
        process_nm=None if process is None else round(process * 1e9, 6),
        aliases=tuple(values.get("aliases", ())),
        notes=tuple(values.get("notes", ())),
        sources=sources_of(values["sources"]),
        field_sources=tuple(cited.items()),
        spec_hash=spec_hash,
        path=path,
        prices=_prices(values),
        engines=tuple(_engines(values)),
        die_area_mm2=None if "area" not in chip else round(chip["area"] * 1e6, 6),
        like=values.get("like", ""),
        mix=Mix(**values.get("mix", {})),
    )


def _engines(values: Mapping[str, Any]) -> Iterator[EngineSpec]:
    for i, entry in enumerate(values.get("engines", ())):
        node: Node = entry[""]
        text = json.dumps(node.plain(), sort_keys=True)
        yield EngineSpec(entry["name"], entry["form"], text, f"engines[{i}]", node)


def _check_engines(values: Mapping[str, Any], path: str) -> None:
    named: set[str] = set()
    for i, entry in enumerate(values.get("engines", ())):
        if entry["name"] in named:
            node: Node = entry[""]
            fault = Fault(node.line, node.column, f"engines[{i}].name", f"'{entry['name']}' names two engines")
            raise SpecError.of(path, [fault])
        named.add(entry["name"])


def _system(node: Node, path: str, spec_hash: str) -> System:
    values, cited = read_spec(SYSTEM_RULE, node, path, SYSTEM_SCHEMA)
    _check_domains(node, values, path)
    return System(
        name=values["name"],
        device=values["device"],
        devices_per_node=values["devices_per_node"],
        nodes=values.get("nodes"),
        host_power_w=values.get("host_power"),
        links=tuple(_link(link) for link in values.get("links", ())),
        prices=_prices(values),
        aliases=tuple(values.get("aliases", ())),
        notes=tuple(values.get("notes", ())),
        sources=sources_of(values["sources"]),
        field_sources=tuple(cited.items()),
        spec_hash=spec_hash,
        path=path,
    )


def _prices(values: Mapping[str, Any]) -> tuple[Price, ...]:
    """Return the prices of one device; ``devices`` says how many a price is for."""
    return tuple(
        Price(p["kind"], p["usd"] / p.get("devices", 1), p.get("provider", ""), p["date"])
        for p in values.get("prices", ())
    )


def _check_tiers(node: Node, values: Mapping[str, Any], path: str) -> None:
    """Refuse what a table of rules cannot say: one main memory, with a bandwidth; scale-up links with a domain."""
    _check_domains(node, values, path)
    at = (node.mapping or {})["memory"]
    main = [i for i, tier in enumerate(values["memory"]) if tier["role"] == "main"]
    if len(main) != 1:
        fault = Fault(at.line, at.column, "memory", f"must have exactly one tier with 'role: main', not {len(main)}")
        raise SpecError.of(path, [fault])
    if "bandwidth" not in values["memory"][main[0]]:
        field = f"memory[{main[0]}].bandwidth"
        raise SpecError.of(path, [Fault(at.line, at.column, field, "missing required key 'bandwidth' of main memory")])


def _check_domains(node: Node, values: Mapping[str, Any], path: str) -> None:
    for i, link in enumerate(values.get("links", ())):
        if link["scope"] == "scale_up" and "domain" not in link:
            at = ((node.mapping or {})["links"].items or [])[i]
            fault = Fault(at.line, at.column, f"links[{i}].domain", "missing required key 'domain' of a scale_up link")
            raise SpecError.of(path, [fault])


def _peaks(engines: Mapping[str, Mapping[str, Any]]) -> tuple[Peak, ...]:
    found: list[Peak] = []
    for engine, dtypes in engines.items():
        for dtype, rates in dtypes.items():
            by_sparsity: Mapping[str, float] = rates if isinstance(rates, Mapping) else {"dense": rates}
            found += [Peak(engine, dtype, sparsity, rate) for sparsity, rate in by_sparsity.items()]
    return tuple(found)


def _tier(values: Mapping[str, Any]) -> MemoryTier:
    return MemoryTier(
        values["name"], values["role"], values["capacity"], values.get("bandwidth"), values.get("partitions", 1)
    )


def _link(values: Mapping[str, Any]) -> Link:
    return Link(
        name=values["name"],
        scope=values["scope"],
        topology=values["topology"],
        bandwidth_bytes_per_s=values["bandwidth"],
        domain_size=values.get("domain", UNLIMITED_DOMAIN if values["scope"] == "scale_out" else 1),
        latency_s=values.get("latency"),
        rails=values.get("rails", 0),
        oversubscription=values.get("oversubscription", 1.0),
    )
