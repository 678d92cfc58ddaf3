"""Checks of numbers and words at the edge: what comes in is a clear error or a plain, whole, finite value."""

from __future__ import annotations

import math
import re
from typing import Any

from perfmodel.errors import InputError

LARGEST_COUNT = 10**12
Count = int | str | float
"""What :func:`whole` reads as a count."""


def whole(name: str, value: Any, least: int = 1) -> int:
    """Return a count as an int; ``4.0`` and ``"4"`` are four. Errors: :class:`InputError` that names the argument."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} must be a whole number, not '{str(value)[:40]}'") from None
    if not math.isfinite(number) or number != math.floor(number):
        raise InputError(f"{name} must be a whole number, not {value}")
    if not least <= number <= LARGEST_COUNT:
        raise InputError(f"{name} must be at least {least} and at most 1e12, not {value}")
    return int(number)


def positive(name: str, value: Any) -> float:
    """Return a number above or equal to zero. Errors: :class:`InputError` that names the argument."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number, not '{str(value)[:40]}'") from None
    if not 0.0 <= number < math.inf:
        raise InputError(f"{name} must be a finite number of at least 0, not {value}")
    return number


def share(name: str, value: Any) -> float:
    """Return a number from 0 to 1. Errors: :class:`InputError` that names the argument."""
    number = positive(name, value)
    if number > 1:
        raise InputError(f"{name} must be between 0 and 1, not {value}")
    return number


def truth(name: str, value: Any) -> bool:
    """Return a flag from a bool, a number or the words true, false, yes, no."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("true", "1", "1.0", "yes"):
        return True
    if text in ("false", "0", "0.0", "no", ""):
        return False
    raise InputError(f"{name} must be true or false, not '{value}'")


def parse_axis(name: str, text: str) -> list[int]:
    """Return the values of a sweep axis.

    ``1,2,4``; ``1:512:x2`` (times two up to 512); ``0:100:+10`` or ``1:9:2`` (steps). The end is included when hit.
    """
    values: list[int] = []
    for part in text.split(","):
        values += _range(name, part.strip()) if ":" in part else [whole(name, part.strip())]
    if not values:
        raise InputError(f"{name} has no values")
    return values


_PARTS = re.compile(r"\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(\D*?)\s*")


def parse_quantities(name: str, text: str) -> list[str]:
    """Return the values of an axis of quantities: ``2TB/s:8TB/s:4`` (four, evenly apart), ``1TB/s:8TB/s:x2``, lists."""
    values: list[str] = []
    for part in (piece.strip() for piece in text.split(",")):
        values += _quantities(name, part) if ":" in part else [part]
    return values


def _quantities(name: str, part: str) -> list[str]:
    pieces = [piece.strip() for piece in part.split(":")]
    ends = [_PARTS.fullmatch(piece) for piece in pieces[:2]]
    if len(pieces) != 3 or ends[0] is None or ends[1] is None or ends[0][2] != ends[1][2]:
        raise InputError(
            f"{name}: '{part}' is not start:stop:count; write 2TB/s:8TB/s:4 or 1TB/s:8TB/s:x2, in one unit"
        )
    start, stop, unit = float(ends[0][1]), float(ends[1][1]), ends[0][2]
    if not 0.0 < start <= stop:
        raise InputError(f"{name}: '{part}' must begin above 0 and end above its start")
    if pieces[2].startswith(("x", "*")):
        factor = whole(name, pieces[2][1:], least=2)
        steps = range(math.floor(math.log(stop / start, factor) + 1e-9) + 1)
        return [f"{start * factor**i:.12g}{unit}" for i in steps]
    count = whole(name, pieces[2], least=2)
    return [f"{start + (stop - start) * i / (count - 1):.12g}{unit}" for i in range(count)]


def _range(name: str, part: str) -> list[int]:
    pieces = part.split(":")
    if len(pieces) != 3:
        raise InputError(f"{name}: '{part}' is not start:stop:step; write 1:512:x2 (doubling) or 128:1024:128")
    start, stop = whole(name, pieces[0]), whole(name, pieces[1])
    factor = pieces[2].startswith(("x", "*"))
    step = whole(name, pieces[2].lstrip("x*+"), least=2 if factor else 1)
    if stop < start:
        raise InputError(f"{name}: '{part}' ends before it starts")
    values = [start]
    while (following := values[-1] * step if factor else values[-1] + step) <= stop:
        values.append(following)
        if len(values) > 1_000_000:
            raise InputError(f"{name}: '{part}' has more than a million values")
    return values
