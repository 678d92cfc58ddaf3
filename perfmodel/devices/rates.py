"""What the cores of known architectures do in a clock, and what a memory bus carries: the yardsticks of the check."""

from __future__ import annotations

import re

SIXTEEN_BIT_RATES: dict[str, tuple[float, ...]] = {
    "volta": (1024,),
    "turing": (512, 1024),
    "ampere": (512, 1024, 2048),
    "ada": (512, 1024),
    "hopper": (1024, 4096),
    "blackwell": (8192,),
    "blackwell-workstation": (512, 1024, 2048),
    "rubin": (8192,),
    "pascal": (256, 512),
    "cdna": (1024,),
    "cdna2": (1024,),
    "cdna3": (2048,),
    "cdna4": (4096,),
    "vega": (256,),
    "rdna3": (512,),
    "rdna3.5": (512,),
    "rdna4": (1024,),
    "alchemist": (2048,),
    "battlemage": (2048,),
    "xe-hpc": (4096,),
    "tpu-v2": (32768,),
    "tpu-v3": (65536,),
    "tpu-v4": (131072,),
    "tpu-v5e": (131072,),
    "tpu-v5p": (131072,),
    "tpu-v6e": (524288,),
    "tpu-v7": (524288,),
    "neuron-v4": (32768,),
    "apple-gpu": (256, 1024),
    "apple-neural-engine": (1024,),
}
"""Dense 16-bit tensor flops of one core and clock; several where products were cut or sum in 32 bit at half rate.

Sources: NVIDIA's architecture white papers, AMD's CDNA white papers and RDNA ISA guides, Intel's Xe guides, Google's
and AWS's documentation, each as cited in the devices' files.
"""

FULL_RATES: dict[tuple[str, str], float] = {
    ("turing", "nvidia"): 1024.0,
    ("ampere", "nvidia"): 1024.0,
    ("ada", "nvidia"): 1024.0,
    ("blackwell-workstation", "nvidia"): 1024.0,
}
"""16-bit rate of graphics chips when they sum in 16 bit; GeForce runs at half of it with 32-bit sums."""

_PIN_RATE = re.compile(r"(?:DDR\dX?|DDR\dT)-(\d{4,5})$", re.IGNORECASE)
_CHANNEL_BITS = 16


def nearest_rate(architecture: str, per_clock: float) -> float | None:
    """Return the known rate nearest to flops per core and clock, or None for an architecture without an entry."""
    rates = SIXTEEN_BIT_RATES.get(architecture, ())
    return min(rates, key=lambda rate: abs(per_clock / rate - 1), default=None)


def bus_bits(memory: str, bytes_per_s: float) -> float | None:
    """Return the bus width in bits that a bandwidth needs at the transfer rate in a memory's name (LPDDR5X-8533)."""
    found = _PIN_RATE.search(memory)
    return None if found is None else bytes_per_s * 8 / (float(found.group(1)) * 1e6)


def is_a_bus(bits: float) -> bool:
    """Say whether a width is a whole number of 16-bit channels, to 3 %."""
    channels = bits / _CHANNEL_BITS
    return channels >= 0.97 and abs(channels / max(round(channels), 1) - 1) < 0.03
