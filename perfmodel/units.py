"""Quantities with units, such as ``"3.35 TB/s"``, to and from SI floats: a closed table, nothing clever.

GB is 1e9 bytes, GiB is 2**30 bytes, and bits are only ever spelt ``bit`` (8 bit/s = 1 B/s). What could mean two
things (``TFLOPS``, ``Gb``, ``KB``, ``TBps``) is refused with the reason.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple

from perfmodel.errors import InputError, did_you_mean

_DECIMAL = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5}
_SMALL = {"": 0, "m": -3, "u": -6, "µ": -6, "μ": -6, "n": -9, "p": -12, "f": -15}


class _Scale(NamedTuple):
    """SI value of one unit: ``10**power * factor``; apart, so that "2.3 TB" is the float nearest to 2.3e12."""

    power: int
    factor: float


class _Dimension(NamedTuple):
    """How a dimension is written: its unit as shown, whether zero makes sense, and all spellings."""

    shown: str
    zero: bool
    units: dict[str, _Scale]


def _prefixed(unit: str, prefixes: dict[str, int], factor: float = 1.0) -> dict[str, _Scale]:
    return {prefix + unit: _Scale(power, factor) for prefix, power in prefixes.items()}


def _binary(unit: str, factor: float = 1.0) -> dict[str, _Scale]:
    return {prefix + unit: _Scale(0, factor * 1024.0**power) for prefix, power in _BINARY.items()}


def _per(units: dict[str, _Scale], below: str, factor: float = 1.0) -> dict[str, _Scale]:
    return {f"{unit}/{below}": _Scale(scale.power, scale.factor * factor) for unit, scale in units.items()}


_BYTES = {**_prefixed("B", _DECIMAL), **_binary("B"), **_prefixed("bit", _DECIMAL, 1 / 8), **_binary("bit", 1 / 8)}
_FLOPS = {**_prefixed("FLOP", _DECIMAL), **_prefixed("OP", _DECIMAL)}
_JOULES = {**_prefixed("J", {**_SMALL, "k": 3, "M": 6}), **_prefixed("Wh", {"": 0, "k": 3, "M": 6}, 3600.0)}
_SECONDS = {**_prefixed("s", _SMALL), "min": _Scale(0, 60.0), "h": _Scale(0, 3600.0)}
_METRES = _prefixed("m", {"": 0, "c": -2, "m": -3, "u": -6, "µ": -6, "n": -9})
_USD = {"USD": _Scale(0, 1.0)}

_DIMENSIONS: dict[str, _Dimension] = {
    "bytes": _Dimension("B", False, _BYTES),
    "bytes_per_s": _Dimension("B/s", False, _per(_BYTES, "s")),
    "flops": _Dimension("FLOP", True, _FLOPS),
    "flops_per_s": _Dimension("FLOP/s", False, _per(_FLOPS, "s")),
    "hertz": _Dimension("Hz", False, _prefixed("Hz", {"": 0, "k": 3, "M": 6, "G": 9})),
    "seconds": _Dimension("s", True, _SECONDS),
    "watts": _Dimension("W", True, _prefixed("W", {"": 0, "u": -6, "m": -3, "k": 3, "M": 6})),
    "joules": _Dimension("J", True, _JOULES),
    "joules_per_flop": _Dimension("J/FLOP", True, {**_per(_JOULES, "FLOP"), **_per(_JOULES, "OP")}),
    "joules_per_byte": _Dimension("J/B", True, {**_per(_JOULES, "B"), **_per(_JOULES, "bit", 8.0)}),
    "usd": _Dimension("USD", True, _USD),
    "usd_per_hour": _Dimension("USD/h", True, _per(_USD, "h")),
    "metres": _Dimension("m", False, _METRES),
    "square_metres": _Dimension("m2", False, {"mm2": _Scale(-6, 1.0), "cm2": _Scale(-4, 1.0), "m2": _Scale(0, 1.0)}),
    "count": _Dimension("", True, {"": _Scale(0, 1.0)}),
}

DIMENSIONS: tuple[str, ...] = tuple(_DIMENSIONS)
"""The dimensions that :func:`parse_quantity` knows; each is the SI unit of the float that it returns."""

_QUANTITY = re.compile(r"\s*([-+]?)((?:\d+\.?\d*|\.\d+))(?:[eE]([-+]?\d+))?\s*(.*?)\s*")

_REFUSED: tuple[tuple[str, str], ...] = (
    (r"[kMGTPE]?(FLOPS|FLOPs|Flops|flops|FLOPS/s|flop/s)", "may be a count or a rate: write {p}FLOP/s for a rate"),
    (r"[kMGTPE]?(OPS|OPs|ops)", "may be a count or a rate: write {p}OP/s for a rate"),
    (r"[kKMGTPE]i?(Bps|bps)", "hides the slash, and whether bits or bytes: write {p}B/s or {p}bit/s"),
    (r"K(B|bit)(/s)?", "has a capital K, which is only in Ki: write kB (1000 B) or KiB (1024 B)"),
    (r"[kKMGTPE]i?b(/s)?", "may be bits or bytes: write {p}bit{s} or {p}B{s}"),
    (r"sec|secs|second|seconds|hr|hrs|hour|hours", "is no unit here: write s or h"),
    (r"[$€].*|.*[$€].*|dollars?", "is no unit here: write USD, or USD/h"),
)


@lru_cache(maxsize=4096)
def parse_quantity(text: str, dimension: str) -> float:
    """Return a quantity such as ``"3.35 TB/s"`` as a float in SI units of ``dimension`` (``"bytes_per_s"``).

    Raises :class:`InputError` for a missing, unknown, ambiguous or wrong unit, and for negative, infinite or (where
    it makes no sense) zero values.
    """
    known = _known(dimension)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InputError(f"'{text}' is not a number with a unit, such as {_example(dimension)}")
    sign, digits, exponent, unit = match.groups()
    scale = known.units.get(unit)
    if scale is None:
        raise InputError(f"'{text}' {_why_not(unit, dimension)}")
    value = float(f"{sign}{digits}e{int(exponent or 0) + scale.power}") * scale.factor
    return check_quantity(value, dimension, text)


def check_quantity(value: float, dimension: str, text: str | None = None) -> float:
    """Return ``value`` if it may be a quantity of ``dimension``: finite, not negative, and zero only where sensible."""
    shown = repr(value) if text is None else f"'{text}'"
    if not math.isfinite(value):
        raise InputError(f"{shown} is not a finite number")
    if value < 0:
        raise InputError(f"{shown} is negative")
    if value == 0 and not _known(dimension).zero:
        raise InputError(f"{shown} is zero; leave the field out if the device has none")
    return value


def _known(dimension: str) -> _Dimension:
    found = _DIMENSIONS.get(dimension)
    if found is None:
        raise InputError(f"unknown dimension '{dimension}'{did_you_mean(dimension, DIMENSIONS)}")
    return found


def _example(dimension: str) -> str:
    return f"'{_EXAMPLES[dimension]}'"


_EXAMPLES = {
    "bytes": "80 GB",
    "bytes_per_s": "3.35 TB/s",
    "flops": "2 GFLOP",
    "flops_per_s": "989 TFLOP/s",
    "hertz": "1830 MHz",
    "seconds": "12 us",
    "watts": "700 W",
    "joules": "3.2 J",
    "joules_per_flop": "0.5 pJ/FLOP",
    "joules_per_byte": "4 pJ/bit",
    "usd": "1999 USD",
    "usd_per_hour": "2.5 USD/h",
    "metres": "4 nm",
    "square_metres": "814 mm2",
    "count": "132",
}


def _why_not(unit: str, dimension: str) -> str:
    """Return why ``unit`` is not one of ``dimension``: missing, ambiguous, of another dimension, or unknown."""
    if not unit:
        return f"has no unit, expected one such as {_example(dimension)}"
    for pattern, reason in _REFUSED:
        if re.fullmatch(pattern, unit):
            per_second = "/s" if unit.endswith("/s") else ""
            return f"is refused: {unit} {reason.format(p=_prefix_of(unit), s=per_second)}"
    for other in _DIMENSIONS.values():
        if unit in other.units:
            return f"is in {other.shown or 'no unit'}, expected {_known(dimension).shown or 'a bare number'}"
    return f"has the unknown unit '{unit}'{did_you_mean(unit, _known(dimension).units)}"


def _prefix_of(unit: str) -> str:
    """Return the prefix that was probably meant: that of ``unit``, with a lone K read as k."""
    match = re.match(r"[KMGTPE]i|[kKMGTPE](?=[A-Za-z])", unit)
    prefix = match[0] if match else ""
    return "k" if prefix == "K" else prefix


_SHOWN_PREFIXES = (*reversed(_DECIMAL.items()), *((p, power) for p, power in _SMALL.items() if p in "munpf" and p))


def format_quantity(value: float, dimension: str) -> str:
    """Return a short human text of an SI value with three digits, such as ``"3.35 TB/s"`` or ``"12.4 ms"``."""
    unit = _known(dimension).shown
    if not math.isfinite(value) or value == 0:
        return f"{value:g} {unit}".strip()
    prefixes = _prefixes_for(_known(dimension))
    if len(prefixes) == 1 and abs(value) >= 1000:
        return f"{value:,.0f} {unit}".strip()
    rounded = float(f"{value:.3g}")
    size, prefix = next((pair for pair in prefixes if abs(rounded) >= pair[0] * (1 - 1e-12)), prefixes[-1])
    return f"{_three_digits(rounded / size)} {prefix}{unit}".strip()


def _prefixes_for(known: _Dimension) -> list[tuple[float, str]]:
    """Return the prefixes, largest first, that a dimension's unit may have, with their factors."""
    units, shown = known.units, known.shown
    return [(10.0**power, p) for p, power in _SHOWN_PREFIXES if units.get(p + shown) == _Scale(power, 1.0)]


def _three_digits(mantissa: float) -> str:
    return f"{mantissa:.0f}" if 100 <= abs(mantissa) < 1e6 else f"{mantissa:.3g}"


def stated_quantity(name: str, text: str, dimension: str, such_as: str) -> float:
    """Return what an option or a field states with its unit. Errors: :class:`InputError` that names it."""
    try:
        return parse_quantity(text, dimension)
    except InputError as error:
        raise InputError(f"{name}: {error}; write it with its unit, such as {such_as}") from None


def time_text(seconds: float) -> str:
    """Return a time with four digits, in ms below ten seconds: ``"12.34 ms"``, ``"61.2 s"``."""
    return f"{1e3 * seconds:,.4g} ms" if seconds < 10 else f"{seconds:,.4g} s"


def counted(count: float, what: str, several: str = "") -> str:
    """Return a count with its word: ``"1 request"``, ``"64 requests"``; ``several`` where no s makes the plural."""
    return f"{count:,g} {what}" if count == 1 else f"{count:,g} {several or what + 's'}"
