"""What a chip costs to make: its dies by area and process, and its memory by kind and capacity.

``die = wafer price/(dies a wafer * yield)``; ``dies = pi*(d/2)^2/A - pi*d/sqrt(2*A)`` of a 300 mm wafer; the yield is
negative binomial, ``(1 + A*D0/alpha)^-alpha``. A chip beyond the reticle is several equal dies. Figures: the technology
table. Source: Stapper 1989 (yield); De Vries 2005 (dies a wafer). Omits packaging, test, boards, design, margins.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.cost.technology import technology
from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.numeric import Number, ceil, maximum, sqrt

PI = 3.141592653589793
WAFER_MM = 300.0
RETICLE_MM2 = 858.0
"""The largest die that a scanner exposes, 26 x 33 mm."""

DEFECTS_PER_MM2, CLUSTERING = 0.001, 3.0
"""0.1 a square centimetre, a process in volume; alpha of usual clustering: from memory."""


@dataclass(frozen=True)
class Manufacture:
    """US dollars of a chip's good dies and of its memory."""

    dies_usd: Number
    memory_usd: Number

    @property
    def usd(self) -> Number:
        """Return the sum."""
        return self.dies_usd + self.memory_usd


def chip_cost(device: Device, area_mm2: Number) -> Manufacture:
    """Return what a chip of an area and its main memory cost. Errors: :class:`InputError` without a process."""
    if device.process_nm is None:
        raise InputError(f"{device.name} states no process, from which its cost would follow: add chip.process")
    known = technology()
    pieces = ceil(area_mm2 / RETICLE_MM2)
    each = known.wafer_usd(device.process_nm) / good_dies(area_mm2 / pieces)
    memory = device.main_memory
    return Manufacture(pieces * each, known.memory_usd(known.memory_type(memory.name), memory.capacity_bytes))


def good_dies(area_mm2: Number) -> Number:
    """Return the dies of a wafer that work, at least a hundredth of one."""
    whole = PI * (WAFER_MM / 2.0) ** 2 / area_mm2 - PI * WAFER_MM / sqrt(2.0 * area_mm2)
    return maximum(whole * (1.0 + area_mm2 * DEFECTS_PER_MM2 / CLUSTERING) ** -CLUSTERING, 0.01)
