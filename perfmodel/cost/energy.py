"""Energy of a chip: what an operator's work costs in joules, what the chip draws when it does nothing, its limit.

``E = sum flops*e_flop(dtype) + weight bytes*e_byte + KV bytes*e_kv + link bytes*e_link + P_static*T`` of one device.
The coefficients (``hardware_specs/calibration/energy.yaml``) are fitted on measured power, an architecture each; for
one that nobody measured they follow from the kind of its memory, its power limit and its peak:

======================  =======  ===========================================================================
coefficient             unit     meaning
======================  =======  ===========================================================================
static_share            1        power of an idle chip that is ready to work, as a share of the board's limit; the
                                 device's own ``idle_power``, where its file states one
pj_per_byte             pJ/B     a byte of weights from main memory to the cores and through them; 0: from the next
pj_per_byte_on_chip     pJ/B     the same without what the memory itself takes (by its kind: the technology table)
kv_ratio                1        a byte of the KV cache over one of weights: kernels of attention pad groups of queries
pj_per_flop16           pJ       one 16-bit matrix flop at full voltage; 0: from ``flop_power_ratio``
flop_power_ratio        1        what the matrix units would draw at their peak over what the limit leaves them
pj_per_link_byte        pJ/B     a byte sent to another device: the link, and memory at both ends
======================  =======  ===========================================================================

A flop of another dtype takes energy in inverse proportion to its peak: the same units, more of them at work.
Source: Horowitz, ISSCC 2014 (the split into operations and bytes); DVFS: ``P ~ f*V^2`` with ``V ~ f``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from perfmodel.calibration import load_calibration
from perfmodel.cost.bounds import UNCACHED_ROLES
from perfmodel.counts import Counts
from perfmodel.devices import Device
from perfmodel.numeric import Number, maximum

_PICO = 1e-12


@dataclass(frozen=True)
class EnergyFacts:
    """What energy formulas know of one device, in SI units; ``p10`` and ``p90`` are factors on the joules.

    ``limit_w`` is the power limit in force, ``board_w`` the one that the board leaves the factory with.
    ``j_per_kv_byte`` None: as of other bytes.
    """

    static_w: float
    limit_w: float
    board_w: float
    j_per_byte: float
    j_per_link_byte: float
    j_per_flop: Mapping[str, float]
    j_per_vector_flop: float
    measured: bool
    p10: float
    p90: float
    j_per_kv_byte: float | None = None


@dataclass(frozen=True)
class Joules:
    """Dynamic energy of some work on one device, by what takes it."""

    compute_j: Number
    memory_j: Number
    link_j: Number

    @property
    def total_j(self) -> Number:
        """Return the sum."""
        return self.compute_j + self.memory_j + self.link_j

    def __add__(self, other: Joules) -> Joules:
        return Joules(self.compute_j + other.compute_j, self.memory_j + other.memory_j, self.link_j + other.link_j)

    def __mul__(self, factor: Number) -> Joules:
        return Joules(self.compute_j * factor, self.memory_j * factor, self.link_j * factor)


NO_JOULES = Joules(0.0, 0.0, 0.0)


@lru_cache(maxsize=512)
def energy_facts(device: Device) -> EnergyFacts | None:
    """Return the energy coefficients of a device, or None if its file states no power limit to scale them by."""
    return energy_facts_of(device)


def energy_facts_of(device: Device) -> EnergyFacts | None:
    """Return :func:`energy_facts` of a device whose numbers may be of any kind, computed anew."""
    if device.power_w is None:
        return None
    known = load_calibration("energy")
    situation = {
        "device": device.like or device.name, "architecture": device.architecture, "vendor": device.vendor,
        "kind": device.kind,
    }  # fmt: skip
    c, band = known.coefficients(**situation), known.band(**situation)
    idle_w = device.idle_power_w
    static_w = c["static_share"] * device.power_w if idle_w in (None, 0.0) else idle_w
    per_byte = c["pj_per_byte"] * _PICO or c["pj_per_byte_on_chip"] * _PICO + memory_j_per_byte(device)
    reference = _sixteen_bit_peak(device)
    per_flop16 = c["pj_per_flop16"] * _PICO or c["flop_power_ratio"] * (device.power_w - static_w) / reference
    per_flop = {d: per_flop16 * reference / device.peak_flops_per_s(d) for d in device.dtypes()}
    return EnergyFacts(
        static_w, device.power_w, device.power_w, per_byte, c["pj_per_link_byte"] * _PICO, per_flop, per_flop16,
        (device.like or device.name) in known.measured_devices, band.p10, band.p90, per_byte * c["kv_ratio"],
    )  # fmt: skip


def memory_j_per_byte(device: Device) -> float:
    """Return what a byte takes in the main memory and on its pins, by the kind that its name says."""
    from perfmodel.cost.technology import technology  # most devices of a table are measured and need none

    known = technology()
    return known.j_per_byte.get(known.memory_type(device.main_memory.name), known.j_per_byte["hbm3"])


def _sixteen_bit_peak(device: Device) -> float:
    """Return the peak that a 16-bit product runs at, or the largest that the device has."""
    for dtype in ("bfloat16", "float16"):
        if device.has_peak(dtype):
            return device.peak_flops_per_s(dtype)
    engine = "tensor" if device.dtypes() else "vector"
    return maximum(0.0, *(device.peak_flops_per_s(d, engine) for d in device.dtypes(engine)))


def dynamic_energy(counts: Counts, facts: EnergyFacts) -> Joules:
    """Return what an operator's flops and bytes take on one device.

    Main memory: weights and KV cache; activations of a step stay in caches (as for the bound).
    """
    compute: Number = 0.0
    memory: Number = 0.0
    link: Number = 0.0
    kv_j = facts.j_per_byte if facts.j_per_kv_byte is None else facts.j_per_kv_byte
    for key, flops in counts.flops.items():
        tensor = key.engine == "tensor"
        each = facts.j_per_flop.get(key.dtype, facts.j_per_vector_flop) if tensor else facts.j_per_vector_flop
        compute = compute + flops * each
    for key, moved in counts.bytes.items():
        if key.tier == "main" and key.role in UNCACHED_ROLES:
            memory = memory + moved * (kv_j if key.role == "kv" else facts.j_per_byte)
        elif key.tier == "link" and key.direction == "write":
            link = link + moved * facts.j_per_link_byte
    return Joules(compute, memory, link)


def overload(dynamic_w: Number, facts: EnergyFacts, limit_w: float) -> Number:
    """Return what the work would draw over what the limit leaves for it; at least 1."""
    return maximum(dynamic_w / (limit_w - facts.static_w), 1.0)


def clock_loss(over: Number) -> Number:
    """Return how much slower work runs at the limit than at full clock: ``over^(1/3)``, :func:`overload` at full clock.

    Power falls with the cube of the clock. Measured kernels ran in bursts, at full clock.
    """
    return over ** (1.0 / 3.0)


def limit_factor(dynamic_w: Number, facts: EnergyFacts) -> Number:
    """Return how much longer work takes under ``limit_w`` than under the board's own limit."""
    over, usual = (overload(dynamic_w, facts, limit) for limit in (facts.limit_w, facts.board_w))
    return clock_loss(over) / clock_loss(usual)
