"""``kind: largest``: the largest whole value of an argument with which another part stays within a limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.errors import InputError, PlanError
from perfmodel.reproductions.expressions import evaluate
from perfmodel.reproductions.registry import kind

MOST = 1 << 30


@kind("largest")
def largest(
    *, worked: Any, of: str, vary: str, metric: str, limit: float, step: int = 1, most: int = MOST
) -> dict[str, Any]:
    """Return ``value``, the largest multiple of ``step`` whose ``metric`` is at most ``limit``, with the part's answer.

    ``metric`` is an expression of the answer's numbers. It must not fall as the argument grows; a part that cannot be
    or does not fit is beyond the limit.

    Errors: :class:`PlanError` where not even one step stays within it.
    """
    stated = worked.reproduction.parts.get(of)
    if stated is None:
        raise InputError(f"largest: there is no part '{of}'")

    def answer(value: int) -> Mapping[str, Any] | None:
        try:
            found = worked.part({**stated, vary: value * step})
        except PlanError:
            return None
        return found if found.get("fits", True) and evaluate(metric, found) <= limit else None

    if answer(1) is None:
        raise PlanError(f"largest: {vary} {step} is beyond the limit {limit:g} of {metric}")
    low, high = 1, 2
    while high * step <= most and answer(high) is not None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if middle * step > most or answer(middle) is None else (middle, high)
    return {**(answer(low) or {}), "value": low * step}
