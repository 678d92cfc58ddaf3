"""``kind: device``: numbers of a device's file."""

from __future__ import annotations

from typing import Any

from perfmodel.cost.facts import chip_facts
from perfmodel.devices import load_device
from perfmodel.reproductions.registry import kind


@kind("device")
def device(*, device: str) -> dict[str, Any]:
    """Return peaks by dtype, the main memory, links by scope, all memories by name, cores, clock and power, in SI."""
    found = load_device(device)
    chip = chip_facts(found)
    scopes = ("scale_up", "scale_out", "host")
    links = {scope: link for scope in scopes if (link := found.link(scope)) is not None}
    return {
        "flops_per_s": {name: float(chip.peak_flops_per_s(name)) for name in chip.peaks},
        "bytes_per_s": float(chip.memory_bandwidth_bytes_per_s),
        "capacity_bytes": float(found.main_memory.capacity_bytes),
        "links": {scope: float(link.bandwidth_bytes_per_s) for scope, link in links.items()},
        "cores": float(found.core_count), "clock_hz": float(chip.clock_hz), "power_w": found.power_w,
        "memory": {tier.name.lower().replace(" ", "_").replace("-", "_"): _tier(tier) for tier in found.memory},
    }  # fmt: skip


def _tier(tier: Any) -> dict[str, float | None]:
    return {"capacity_bytes": tier.capacity_bytes, "bytes_per_s": tier.bandwidth_bytes_per_s}
