"""Times that a user states, such as ``30ms`` or ``1.5 s``."""

from __future__ import annotations

import math

from perfmodel.errors import InputError


def quantity(option: str, text: str, unit: str, such_as: str) -> float:
    """Return what an option states in a unit of ours, such as ``bytes``. Errors: :class:`InputError` that names it."""
    from perfmodel.errors import PerfmodelError
    from perfmodel.units import parse_quantity

    try:
        return parse_quantity(text, unit)
    except PerfmodelError as error:
        raise InputError(f"{option}: {error}; write it with its unit, such as {such_as}") from None


def seconds(option: str, text: str) -> float:
    """Return the seconds that an option states, infinity where it is empty. Errors: :class:`InputError`."""
    if not text:
        return math.inf
    found = quantity(option, text, "seconds", "30ms or 1.5s")
    if not 0.0 < found < math.inf:
        raise InputError(f"{option}: '{text}' must be more than no time at all")
    return found
