"""Times that a user states, such as ``30ms`` or ``1.5 s``."""

from __future__ import annotations

import math

from perfmodel.errors import InputError


def seconds(option: str, text: str) -> float:
    """Return the seconds that an option states, infinity where it is empty. Errors: :class:`InputError`."""
    if not text:
        return math.inf
    from perfmodel.units import stated_quantity

    found = stated_quantity(option, text, "seconds", "30ms or 1.5s")
    if not 0.0 < found < math.inf:
        raise InputError(f"{option}: '{text}' must be more than no time at all")
    return found
