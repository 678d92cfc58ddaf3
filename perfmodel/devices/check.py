"""Plausibility of a device file: what is well formed and yet likely wrong, such as a 2:4 peak passing for dense."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perfmodel.devices.load import KIND
from perfmodel.devices.model import Device
from perfmodel.devices.rates import FULL_RATES, SIXTEEN_BIT_RATES, bus_bits, is_a_bus, nearest_rate
from perfmodel.specs.locate import claims_under, spec_roots

_USUAL_RATIO = {"tf32": 0.5, "fp8": 2.0, "int8": 2.0, "fp4": 4.0, "int4": 4.0}
_WHOLE = ("int8", "int4", "fp4")
_RIDGE_FLOPS_PER_BYTE = (20.0, 1500.0)
_SMALL_KINDS = ("cpu", "soc", "edge")
"""Kinds without large matrix units, whose ridge point may lie lower."""

_ON_CHIP_KINDS = ("wafer", "dataflow", "systolic", "pim", "fpga")
"""Kinds that compute beside their memory, or whose memory is on the chip: neither ridge point nor size is usual."""

_SMALL_RIDGE = 3.0
_READ_ALL_S = (0.003, 2.0)


@dataclass(frozen=True)
class Finding:
    """One oddity: "error" is almost surely wrong, "warning" is worth a look."""

    level: str
    field: str
    message: str


def check_device(device: Device) -> list[Finding]:
    """Return what looks wrong in a device: sources, peaks, ridge point, memory, links, and names claimed twice."""
    checks = (_sources, _peaks, _ratios, _clock, _ridge, _memory, _bus, _links, _power, _names)
    return [finding for check in checks for finding in check(device)]


def unverified_count(device: Device) -> tuple[int, int]:
    """Return how many of a device's numbers come from a source that was not looked up, and how many there are."""
    verified = {source.id for source in device.sources if source.verified}
    return sum(source not in verified for _, source in device.field_sources), len(device.field_sources)


def _sources(device: Device) -> Iterator[Finding]:
    used = {source for _, source in device.field_sources}
    for source in device.sources:
        if source.id not in used:
            yield Finding("warning", f"sources.{source.id}", "is cited by no number")
        if source.verified and not source.url:
            yield Finding("warning", f"sources.{source.id}", "is marked verified, but has no url to look it up")
    if not any(source.verified for source in device.sources if source.id in used):
        yield Finding("warning", "sources", "no number comes from a verified source")


def _sixteen_bit(device: Device) -> float | None:
    found = [device.peak_flops_per_s(d) for d in ("bfloat16", "float16") if device.has_peak(d)]
    return max(found, default=None)


def _peaks(device: Device) -> Iterator[Finding]:
    peak, most = _sixteen_bit(device), max(SIXTEEN_BIT_RATES.get(device.architecture, (0.0,)))
    if peak is not None and most and peak > 1.1 * most * device.core_count * device.max_clock_hz:
        message = f"16-bit dense peak beats {most:g} flops a core and clock: the 2:4 figure?"
        yield Finding("error", "peaks.tensor", message)
    if peak is None and device.kind not in (*_SMALL_KINDS, "npu", *_ON_CHIP_KINDS):
        yield Finding("warning", "peaks.tensor", "states neither a bfloat16 nor a float16 tensor peak")
    for entry in device.peaks:
        if entry.sparsity == "2:4" and device.has_peak(entry.dtype, entry.engine):
            ratio = entry.flops_per_s / device.peak_flops_per_s(entry.dtype, entry.engine)
            if abs(ratio - 2) > 0.05:
                yield Finding("error", f"peaks.{entry.engine}.{entry.dtype}", f"2:4 is {ratio:.3g} times dense, not 2")


def _ratios(device: Device) -> Iterator[Finding]:
    """A dense peak at twice its usual ratio to the 16-bit one is the 2:4 figure, or a kind of number of its own."""
    base = device.peak_flops_per_s("bfloat16") if device.has_peak("bfloat16") else None
    if base is None or device.kind == "cpu":  # a CPU's int8 has instructions that its bfloat16 may lack
        return
    full = FULL_RATES.get((device.architecture, device.vendor), 0.0) * device.core_count * device.clock_hz
    # int8 and narrower are compared with 16-bit sums, fp8 and tf32, which sum in 32 bit, with 32-bit ones
    for dtype, usual in _USUAL_RATIO.items():
        if device.has_peak(dtype):
            ratio = device.peak_flops_per_s(dtype) / (max(base, full) if dtype in _WHOLE else base)
            if abs(ratio / (2 * usual) - 1) < 0.05:
                message = f"dense is {ratio:.3g} times the 16-bit peak, twice the usual: the 2:4 figure?"
                yield Finding("warning", f"peaks.tensor.{dtype}", message)


def _clock(device: Device) -> Iterator[Finding]:
    if device.max_clock_hz < device.clock_hz:
        yield Finding("error", "chip.max_clock", "is below the clock of the tensor peaks")
    peak = _sixteen_bit(device)
    if peak is None or device.kind in _ON_CHIP_KINDS:
        return
    per_clock = peak / (device.core_count * device.clock_hz)
    if (rate := nearest_rate(device.architecture, per_clock)) is not None:
        if abs(per_clock / rate - 1) > 0.03:
            message = f"16-bit peak is {per_clock:.0f} flops a core and clock; {device.architecture} does {rate:g}"
            yield Finding("warning", "chip.clock", message)
        return
    power = 2.0 ** round(math.log2(per_clock))
    if abs(per_clock / power - 1) > 0.03:
        message = f"16-bit peak is {per_clock:.0f} flops a core and clock, not close to a power of two ({power:.0f})"
        yield Finding("warning", "chip.clock", message)


def _ridge(device: Device) -> Iterator[Finding]:
    if peak := _sixteen_bit(device):
        ridge = peak / device.main_bandwidth_bytes_per_s
        low, high = _RIDGE_FLOPS_PER_BYTE
        low = _SMALL_RIDGE if device.kind in _SMALL_KINDS else low
        low = 0.0 if device.kind in _ON_CHIP_KINDS else low
        if not low <= ridge <= high:
            yield Finding("error", "memory.bandwidth", f"ridge point {ridge:.3g} flop/B is outside {low:g} to {high:g}")


def _memory(device: Device) -> Iterator[Finding]:
    main, cache = device.main_memory, device.last_level_cache
    seconds = main.capacity_bytes / device.main_bandwidth_bytes_per_s
    if device.kind == "cpu":
        seconds /= 4.0  # modules of any size hang on a CPU's channels
    if device.kind not in _ON_CHIP_KINDS and not _READ_ALL_S[0] <= seconds <= _READ_ALL_S[1]:
        yield Finding("warning", "memory.main", f"reading all of it takes {seconds:.3g} s: GB or GB/s mistaken?")
    if cache is None:
        return
    if cache.capacity_bytes >= main.capacity_bytes / 20 and device.kind not in _ON_CHIP_KINDS:
        yield Finding("error", "memory.last_level_cache", "is more than a twentieth of the main memory")
    if cache.bandwidth_bytes_per_s and cache.bandwidth_bytes_per_s < device.main_bandwidth_bytes_per_s:
        yield Finding("error", "memory.last_level_cache", "is slower than the main memory")


def _bus(device: Device) -> Iterator[Finding]:
    for tier in device.memory:
        bits = bus_bits(tier.name, tier.bandwidth_bytes_per_s) if tier.bandwidth_bytes_per_s else None
        if bits is not None and not is_a_bus(bits):
            message = f"{tier.name} would need a bus of {bits:.1f} bit, which is no whole number of 16-bit channels"
            yield Finding("warning", f"memory.{tier.role}.bandwidth", message)


def _links(device: Device) -> Iterator[Finding]:
    for index, link in enumerate(device.links):
        if link.bandwidth_bytes_per_s > device.main_bandwidth_bytes_per_s * 2:
            yield Finding("error", f"links[{index}].bandwidth", "is twice that of the main memory: bits for bytes?")
        if link.scope != "host" and link.domain_size < 2:
            yield Finding("warning", f"links[{index}].domain", "joins no other device")


def _power(device: Device) -> Iterator[Finding]:
    if device.idle_power_w is not None and device.power_w is not None and device.idle_power_w >= device.power_w:
        yield Finding("error", "idle_power", "is not below the board limit")


def _names(device: Device) -> Iterator[Finding]:
    """Names are compared within the folder that holds the device's file: across folders the first one wins."""
    path = Path(device.path)
    for root in spec_roots(KIND):
        if not path.is_relative_to(root):
            continue
        if device.name != path.stem:
            yield Finding("error", "name", f"'{device.name}' is not the name of its file, '{path.stem}'")
        for key, claims in claims_under(root, "device", KIND).items():
            others = [entry.name for entry in claims if entry.path != path]
            if others and len(others) < len(claims):
                yield Finding("error", "aliases", f"'{key}' is also claimed by {', '.join(others)}")
            if len(others) < len(claims) and (systems := claims_under(root, "system", KIND).get(key)):
                yield Finding("error", "aliases", f"'{key}' is also the system {systems[0].name}")
