"""Numbers as people read them: three digits and a unit, and ``-`` for what is not known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from perfmodel.units import format_quantity

Report = Mapping[str, Any]
"""The JSON object of ``perfmodel estimate --json``."""

Row = Mapping[str, Any]
"""One row of a table: numbers, texts and nothing deeper."""

MISSING = "-"
"""What stands where a value is not known."""


def number(value: object) -> float | None:
    """Return a finite number as a float, anything else (a missing value, NaN, a text, a truth value) as None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def amount(value: object) -> float:
    """Return a finite number as a float, and anything else as 0: for sums."""
    return number(value) or 0.0


def quantity(value: object, dimension: str) -> str:
    """Return an SI value with three digits and its unit, such as ``"3.35 TB/s"``; times below a millisecond in µs."""
    known = number(value)
    if known is None:
        return MISSING
    text = format_quantity(known, dimension)
    return f"{text[:-3]} µs" if text.endswith(" us") else text


def seconds(value: object) -> str:
    """Return a time with all three digits, such as ``"12.0 ms"``."""
    mantissa, _, unit = quantity(value, "seconds").partition(" ")
    if not unit or "e" in mantissa or abs(float(mantissa)) >= 100:
        return f"{mantissa} {unit}".strip()
    return f"{float(mantissa):#.3g} {unit}"


def size(value: object) -> str:
    """Return a number of bytes, such as ``"80 GB"`` (1 GB is 1e9 bytes)."""
    return quantity(value, "bytes")


def plain(value: object) -> str:
    """Return a number without a unit, three digits or all digits of a large one: ``"0.25"``, ``"12,345"``."""
    known = number(value)
    if known is None:
        return MISSING
    return f"{known:,.0f}" if abs(known) >= 100 else f"{known:.3g}"


def big(value: object, billion: str = "G") -> str:
    """Return a count with three digits and a prefix: ``"25.6 M"``, ``"4.09 G"`` (parameters: B), ``"512"``."""
    known = number(value)
    if known is None:
        return MISSING
    for scale, prefix in ((1e12, "T"), (1e9, billion), (1e6, "M"), (1e3, "k")):
        if abs(known) >= scale:
            return f"{known / scale:.3g} {prefix}"
    return f"{known:.3g}"


def percent(value: object) -> str:
    """Return a ratio as a percentage, such as ``"12 %"`` or ``"0.4 %"``."""
    known = number(value)
    if known is None:
        return MISSING
    hundredths = known * 100
    if 0 < abs(hundredths) < 0.05:
        return "<0.1 %"
    return f"{hundredths:.0f} %" if abs(hundredths) >= 9.95 or hundredths == 0 else f"{hundredths:.1f} %"


def listed(parts: list[str]) -> str:
    """Return ``"a"``, ``"a and b"`` or ``"a, b and c"``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
