"""Differences between two devices, number by number."""

from __future__ import annotations

from perfmodel.devices.model import Device
from perfmodel.devices.override import engine_values

Field = str | float | int | None

_PLAIN = (
    "name",
    "vendor",
    "kind",
    "architecture",
    "released",
    "process_nm",
    "core_count",
    "clock_hz",
    "max_clock_hz",
    "power_w",
    "idle_power_w",
    "die_area_mm2",
)


def flatten_device(device: Device) -> dict[str, Field]:
    """Return what a device states as one flat mapping of dotted names to texts and SI numbers (no provenance)."""
    flat: dict[str, Field] = {name: getattr(device, name) for name in _PLAIN}
    if device.system:
        flat["system"] = device.system
    for peak in device.peaks:
        flat[f"peaks.{peak.engine}.{peak.dtype}.{peak.sparsity}.flops_per_s"] = peak.flops_per_s
    for tier in device.memory:
        start = f"memory.{tier.role}" if tier.role in ("main", "last_level_cache") else f"memory.{tier.name}"
        flat[f"{start}.name"] = tier.name
        flat[f"{start}.capacity_bytes"] = tier.capacity_bytes
        flat[f"{start}.bandwidth_bytes_per_s"] = tier.bandwidth_bytes_per_s
        flat[f"{start}.partitions"] = tier.partitions
    for link in device.links:
        start = f"links.{link.scope}.{link.topology}"
        flat[f"{start}.name"] = link.name
        flat[f"{start}.bandwidth_bytes_per_s"] = link.bandwidth_bytes_per_s
        flat[f"{start}.domain_size"] = link.domain_size
        flat[f"{start}.latency_s"] = link.latency_s
        if link.rails:
            flat[f"{start}.rails"] = link.rails
        if link.oversubscription != 1.0:
            flat[f"{start}.oversubscription"] = link.oversubscription
    for engine in device.engines:
        flat[f"engines.{engine.name}.form"] = engine.form
        flat |= {f"engines.{engine.name}.{key}": value for key, value in engine_values(engine).items()}
    if len(device.engines) > 1:
        flat |= {"mix.policy": device.mix.policy, "mix.threshold": device.mix.threshold}
    for price in device.prices:
        flat[f"prices.{price.kind}.{price.provider}.usd_per_device"] = price.usd_per_device
        flat[f"prices.{price.kind}.{price.provider}.date"] = price.date
    return flat


def diff_devices(a: Device, b: Device) -> list[tuple[str, Field, Field]]:
    """Return ``(field, value of a, value of b)`` for every field that differs; None where one has no such field."""
    left, right = flatten_device(a), flatten_device(b)
    names = [*left, *(name for name in right if name not in left)]
    return [(name, left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)]
