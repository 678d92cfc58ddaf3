"""Times that a user states, such as ``30ms`` or ``1.5 s``."""

from __future__ import annotations

import math

from perfmodel.errors import InputError


def seconds(option: str, text: str) -> float:
    """Return the seconds that an option states, infinity where it is empty. Errors: :class:`InputError`."""
    if not text:
        return math.inf
    from perfmodel.errors import PerfmodelError
    from perfmodel.units import parse_quantity

    try:
        found = parse_quantity(text, "seconds")
    except PerfmodelError as error:
        raise InputError(f"{option}: {error}; write a time with its unit, such as 30ms or 1.5s") from None
    if not 0.0 < found < math.inf:
        raise InputError(f"{option}: '{text}' must be more than no time at all")
    return found
