"""The numbers of a chip that time formulas use, any of which may be an array or a symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from perfmodel.devices.model import Device, MemoryTier
from perfmodel.errors import InputError
from perfmodel.numeric import Number, floor, maximum, where


@dataclass(frozen=True)
class ChipFacts:
    """Datasheet numbers of one chip, flat and generic over the number type.

    ``peaks`` are dense matrix-unit rates by dtype; ``vector_flops_per_s`` is the SIMT/SIMD float32 rate.
    ``core_count`` counts SMs, CUs, Xe-cores or tensor cores; ``llc`` is the last-level cache, ``on_chip_bytes`` all
    memory on the chip that activations may stay in. ``sparse_peaks`` are those of 2:4 sparse weights ("int8@2:4").
    ``tiers`` are all memories, as the device's file states them, ``memory_kind`` the main one's technology: hbm, gddr,
    lpddr, ddr, or empty. ``matrix_pace`` is "slow" where neither feeds nor watts can limit the matrix units.
    ``power_w`` is the board's limit, None if unknown; ``lanes`` is 1 where products run on SIMD lanes, else 0.
    """

    name: str
    vendor: str
    kind: str
    architecture: str
    core_count: Number
    clock_hz: Number
    memory_bytes: Number
    memory_bandwidth_bytes_per_s: Number
    llc_bytes: Number
    llc_partitions: int
    peaks: Mapping[str, Number]
    vector_flops_per_s: Number
    on_chip_bytes: Number = 0.0
    sparse_peaks: Mapping[str, Number] = field(default_factory=dict[str, Number])
    tiers: tuple[MemoryTier, ...] = ()
    like: str = ""
    memory_kind: str = ""
    matrix_pace: str = ""
    power_w: Number | None = None
    lanes: Number = 0.0

    def peak_flops_per_s(self, dtype: str) -> Number:
        """Return the dense matrix peak of a dtype; :class:`InputError` if the chip has none."""
        if dtype in self.sparse_peaks:
            return self.sparse_peaks[dtype]
        if dtype not in self.peaks:
            raise InputError(f"{self.name} has no {dtype} matrix peak; it has {', '.join(sorted(self.peaks))}")
        return self.peaks[dtype]

    @property
    def core_bytes_per_s(self) -> Number:
        """Return what all SMs of a GPU can pull through the on-chip fabric at 64 bytes a clock each."""
        return 64.0 * self.clock_hz * self.core_count

    def fabric_bytes_per_s(self, bytes_per_clock: Number, least: Number) -> Number:
        """Return what all cores draw on chip at so many bytes a clock each: at least ``least`` times the main memory.

        ``least`` is the least of the measured chips, whose caches feed their cores faster than the memory does.
        """
        drawn = bytes_per_clock * self.clock_hz * self.core_count
        return maximum(drawn, least * self.memory_bandwidth_bytes_per_s)

    def rows_of_tile(self, rows: Number, tiles: Number, tile_rows: Number) -> Number:
        """Return the rows that a tile costs: all of a matrix unit's, on SIMD lanes its share of those there are."""
        if isinstance(self.lanes, float) and not self.lanes:
            return tile_rows
        return where(self.lanes > 0.5, rows / tiles, tile_rows)


def chip_facts(device: Device, matrix_pace: str | None = None) -> ChipFacts:
    """Return the flat view of a device that time formulas read.

    A device whose numbers are no floats needs its ``matrix_pace`` told, for it picks coefficients.
    """
    cache = device.last_level_cache
    vector = device.peak_flops_per_s("float32", "vector") if device.has_peak("float32", "vector") else None
    lanes = _lanes(device, vector)
    peaks = {dtype: device.peak_flops_per_s(dtype) for dtype in device.dtypes("tensor")}
    held = [tier.capacity_bytes for tier in device.memory if tier.role in ("last_level_cache", "scratchpad")]
    return ChipFacts(
        name=device.name,
        vendor=device.vendor,
        kind=device.kind,
        architecture=device.architecture,
        core_count=_tiles_at_once(device, peaks),
        clock_hz=device.clock_hz,
        memory_bytes=device.main_memory.capacity_bytes,
        memory_bandwidth_bytes_per_s=device.main_bandwidth_bytes_per_s,
        llc_bytes=cache.capacity_bytes if cache else 0.0,
        llc_partitions=device.l2_partitions,
        peaks=peaks,
        # without a stated vector rate assume 1/16 of the widest matrix rate, the least ratio in the library
        vector_flops_per_s=maximum(0.0, *peaks.values()) / 16 if vector is None else vector,
        on_chip_bytes=sum(held),
        tiers=device.memory,
        like=device.like,
        memory_kind=_memory_kind(device.main_memory.name),
        matrix_pace=_matrix_pace(device) if matrix_pace is None else matrix_pace,
        power_w=device.power_w,
        lanes=lanes,
        sparse_peaks={
            f"{dtype}@2:4": device.peak_flops_per_s(dtype, sparsity="2:4") for dtype in device.dtypes("tensor", "2:4")
        },
    )


EASILY_FED_FLOPS_PER_CLOCK = 600.0
"""16-bit flops of a core and clock that its caches always feed: GeForce's matrix units at half rate (32-bit sums)."""
EASILY_POWERED_FLOPS_PER_J = 0.4e12
"""16-bit peak over board power that no board must slow down for: GeForce cards and the H20 lie below it."""


def _matrix_pace(device: Device) -> str:
    """Return "slow" for a GPU whose matrix units are slow for their feeds or for the board's power, else nothing."""
    return "slow" if slow_matrix_units(device) else ""


def slow_matrix_units(device: Device) -> Number:
    """Say whether a device is a GPU whose matrix units are slow for their feeds or for the board's power."""
    stated = [device.peak_flops_per_s(dtype) for dtype in _SIXTEEN_BITS if device.has_peak(dtype)]
    if device.kind != "gpu" or not stated:
        return False
    peak = maximum(0.0, *stated)
    fed = peak / (device.core_count * device.clock_hz) <= EASILY_FED_FLOPS_PER_CLOCK
    if device.power_w is None:
        return fed
    powered = peak / device.power_w <= EASILY_POWERED_FLOPS_PER_J
    return where(fed, 1.0, where(powered, 1.0, 0.0)) > 0.5


_SIXTEEN_BITS = ("bfloat16", "float16")

NO_MATRIX_UNITS = frozenset({"maxwell", "pascal", "vega"})
"""Architectures of GPUs without matrix units."""
LANES_RATIO = 4.1
"""16-bit products for a float32 one of the vector units up to which they run on the same lanes, packed or in dots."""


def _lanes(device: Device, vector: Number | None) -> Number:
    """Return 1 for a chip whose products run on SIMD lanes, which need no tile of rows, else 0.

    That are GPUs before matrix units, and processors, phones' and boards' chips with 16-bit peaks of at most four times
    the vector units'.
    """
    if device.architecture in NO_MATRIX_UNITS:
        return 1.0
    stated = [device.peak_flops_per_s(dtype) for dtype in _SIXTEEN_BITS if device.has_peak(dtype)]
    if device.kind not in _PROCESSORS or vector is None or not stated:
        return 0.0
    return where(maximum(0.0, *stated) <= LANES_RATIO * vector, 1.0, 0.0)


_PROCESSORS = ("apu", "cpu", "edge", "soc")


def _memory_kind(name: str) -> str:
    """Return hbm, gddr, lpddr or ddr for a memory called by its standard (``HBM3e``, ``GDDR6X``), else nothing."""
    return next((kind for kind in ("hbm", "gddr", "lpddr", "ddr") if name.lower().startswith(kind)), "")


FLOPS_PER_S_OF_A_CORE = 16e12
"""What one of the cores that the forms were fitted on does (an SM of 2 to 16 TFLOP/s in 16 bits)."""


def _tiles_at_once(device: Device, peaks: Mapping[str, Number]) -> Number:
    """Return how many tiles run at once: a GPU's cores; elsewhere one for each share of the peak (few, large cores)."""
    if device.kind == "gpu":
        return device.core_count * 1.0
    peak = maximum(0.0, 0.0, *(peaks[dtype] for dtype in _SIXTEEN_BITS if dtype in peaks))
    return maximum(device.core_count * 1.0, floor(peak / FLOPS_PER_S_OF_A_CORE + 0.5))
