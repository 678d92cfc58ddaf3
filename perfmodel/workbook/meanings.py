"""What a workbook's inputs mean, in words and units: coefficients by the tables in the modules of their forms."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec

_SERVING = {
    "decode_stretch": "factor on a decode step's kernels inside the framework",
    "prefill_stretch": "factor on a prefill step's kernels inside the framework",
    "decode_host_us": "time that the framework's host adds to a decode step",
    "prefill_host_us": "time that the framework's host adds to a prefill step",
    "first_host_us": "time of a request on the host before its first token",
    "mix_share": "share of a step with one prompt in it that a first token waits for",
    "queue_share": "share of the other prompts that a first token waits for; the rest delay later tokens",
}
_DEVICE = {
    "memory.main.bandwidth": "bandwidth of the main memory",
    "memory.main.capacity": "capacity of the main memory",
    "memory.last_level_cache.capacity": "last-level cache",
    "memory.last_level_cache.bandwidth": "bandwidth of the last-level cache",
    "links.scale_up.bandwidth": "link inside a domain, one direction of one device",
    "links.scale_up.latency": "latency of the link inside a domain",
    "links.scale_out.bandwidth": "network of one device, one direction",
    "links.scale_out.latency": "latency of the network",
    "links.host.bandwidth": "link to the host, one direction",
    "links.host.latency": "latency of the link to the host",
    "chip.cores": "cores (SMs, CUs, tensor cores)",
    "chip.clock": "clock at which the matrix peaks hold (they are cells of their own)",
    "chip.max_clock": "highest clock",
    "power": "power limit of the board",
    "idle_power": "power of an idle device",
}
_UNITS = (
    ("_bytes_per_s", "B/s"), ("_flops_per_s", "FLOP/s"), ("_bytes_per_clock", "B/clock"), ("_kclk", "1000 clocks"),
    ("_clocks", "clocks"), ("_clk", "clocks"), ("_us", "us"), ("_ns", "ns"), ("_ps", "ps"), ("_ms", "ms"),
    ("_hz", "Hz"), ("_mib", "MiB"), ("_bytes", "B"), ("_s", "s"), ("_w", "W"),
)  # fmt: skip
_PREFIXES = ("causal_", "full_")
_NAME = r"[a-z][a-z0-9_]*"
_NAMES = rf"{_NAME}(?:, {_NAME})*"
_PLAIN_ROW = re.compile(rf"^({_NAMES}) {{1,}}(?:(?:us|ns|ps|1|waves|bytes|passes) +)?(\S.*)$")
_PIPED_ROW = re.compile(rf"^\| ({_NAMES}) \| (.*) \|$")
_QUOTED = re.compile(r"``([a-z][a-z0-9_*]*)``")


def unit_of(name: str) -> str:
    """Return the unit that a name ends in; 1 for a ratio or a count."""
    return next((unit for ending, unit in _UNITS if name.endswith(ending)), "1")


def device_meaning(place: str) -> str:
    """Return what a number of a device is, by its field."""
    group, engine, dtype = [*place.split(".", 2), "", ""][:3]
    if group == "peaks":
        return f"dense {dtype} peak of the {'matrix' if engine == 'tensor' else 'vector'} units"
    return _DEVICE.get(place, place.replace(".", " ").replace("_", " "))


def coefficient_meaning(calibration: str, name: str) -> str:
    """Return what a coefficient is, as the module of its form explains it, or else its name in words."""
    known = _SERVING if calibration == "serving" else _explained(calibration)
    bare = next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)
    by_prefix = (meaning for key, meaning in known.items() if key.endswith("*") and name.startswith(key[:-1]))
    return known.get(name) or known.get(bare) or next(by_prefix, name.replace("_", " "))


@lru_cache(maxsize=32)
def _explained(calibration: str) -> dict[str, str]:
    """Return the coefficients that the docstring of a form's module explains; nothing where Python dropped it."""
    for package in ("perfmodel.cost.gpu", "perfmodel.cost.engines"):
        name = f"{package}.{calibration}"
        if find_spec(name) is not None:
            text = import_module(name).__doc__ or ""
            return _in_prose(text) | _in_rows(text)
    return {}


def _in_rows(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        inside = not line.startswith("===") if inside and found else inside or line.startswith(("===", "| --"))
        row = _PIPED_ROW.match(line) or (_PLAIN_ROW.match(line) if inside else None)
        if row and row[1] not in ("name", "coefficient"):
            found |= dict.fromkeys(row[1].split(", "), _tidy(row[2]))
    return found


def _in_prose(text: str) -> dict[str, str]:
    """Return what a text of the kind "``a``, ``b``: meaning; ``c``: meaning" says."""
    found: dict[str, str] = {}
    for part in " ".join(text.split()).split(";"):
        said, colon, meaning = part.rpartition("``:") if "``:" in part else ("", "", "")
        if colon:
            found |= dict.fromkeys(_QUOTED.findall(f"{said}``"), _tidy(meaning))
    return found


def _tidy(text: str) -> str:
    text = re.sub(r":func:`[^`]*`", "the form", text).replace("``", "")
    return text.strip().removesuffix(".").removesuffix(",")
