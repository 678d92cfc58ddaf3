"""Die area of a chip from what it can do: multipliers, vector lanes, SRAM, interfaces.

``A = m*macs*a_mac(dtype, node) + v*lanes*a_fma(node) + s*bits*a_cell(node) + interfaces``, where m, v and s say how
much more silicon a part brings with it than its arithmetic or its cells alone: registers, control, wires, first-level
caches. They are fitted on dies of known area (``hardware_specs/calibration/area.yaml``).
Source: LLMCompass, Zhang et al., ISCA 2024 (area by parts); figures: the technology table. Omits: media engines,
graphics, unused parts of a die, several dies' edges.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.calibration import load_calibration
from perfmodel.cost.technology import technology
from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.numeric import maximum


@dataclass(frozen=True)
class Area:
    """Square millimetres by part, modelled; ``stated_mm2`` is what the device's file says, or None."""

    matrix_mm2: float
    vector_mm2: float
    sram_mm2: float
    interface_mm2: float
    stated_mm2: float | None

    @property
    def modelled_mm2(self) -> float:
        """Return the sum of the parts."""
        return self.matrix_mm2 + self.vector_mm2 + self.sram_mm2 + self.interface_mm2

    @property
    def mm2(self) -> float:
        """Return the area as stated, or as modelled where nobody states one."""
        return self.stated_mm2 or self.modelled_mm2


def die_area(device: Device) -> Area:
    """Return the area of a device's compute dies. Errors: :class:`InputError` if its file states no process."""
    matrix, vector, sram, interface = bare_parts(device)
    c = load_calibration("area").coefficients(vendor=device.vendor, kind=device.kind, device=device.name)
    return Area(
        c["matrix_overhead"] * matrix, c["vector_overhead"] * vector, c["sram_overhead"] * sram, interface,
        device.die_area_mm2,
    )  # fmt: skip


def bare_parts(device: Device) -> tuple[float, float, float, float]:
    """Return mm2 of multiply-adders, vector multiply-adders and SRAM cells alone, and of interfaces."""
    node = device.process_nm
    if node is None:
        raise InputError(f"{device.name} states no process, from which its area would follow: add chip.process")
    known = technology()
    macs = (_units(device, dtype, "tensor") * known.mac_mm2(dtype, node) for dtype in device.dtypes("tensor"))
    lanes = (_units(device, dtype, "vector") * known.mac_mm2(dtype, node) for dtype in device.dtypes("vector"))
    held = sum(t.capacity_bytes for t in device.memory if t.role in ("last_level_cache", "cache", "scratchpad"))
    return maximum(0.0, 0.0, *macs), maximum(0.0, 0.0, *lanes), known.sram_mm2(held, node), _interfaces(device)


def _units(device: Device, dtype: str, engine: str) -> float:
    """Return how many multiply-adders of a dtype work at once: the widest dtype decides, for units are shared."""
    return device.peak_flops_per_s(dtype, engine) / 2.0 / device.clock_hz


def _interfaces(device: Device) -> float:
    known = technology()
    kind = known.memory_type(device.main_memory.name)
    memory = known.interface_mm2(kind, device.main_bandwidth_bytes_per_s) if kind else 0.0
    up = device.link("scale_up")
    return memory + (known.interface_mm2("link", 2.0 * up.bandwidth_bytes_per_s) if up else 0.0)
