"""From values to pixels, and the round values that stand on an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

MOST_TICKS = 7


class Scale(NamedTuple):
    """A range of values laid over a range of pixels, evenly or by the logarithm."""

    low: float
    high: float
    start_px: float
    end_px: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value, held to the range."""
        part = self._part(min(max(value, self.low), self.high))
        return self.start_px + part * (self.end_px - self.start_px)

    def _part(self, value: float) -> float:
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def scale_over(values: Sequence[float], start_px: float, end_px: float, log: bool, zero: bool = True) -> Scale:
    """Return a scale over finite values with some air; an even one begins at zero, unless values lie below it."""
    low, high = min(values), max(values)
    if log:  # the air grows with the decades: a mark shall not lie on the axis
        air = max(1.15, (high / low) ** 0.04)
        return Scale(low / air, high * air if high > low else low * 2.0, start_px, end_px, True)
    bottom = min(low, 0.0) if zero else low
    top = high if high > bottom else bottom + 1.0
    return Scale(bottom, bottom + 1.06 * (top - bottom), start_px, end_px)


def ticks(scale: Scale, most: int = MOST_TICKS) -> list[float]:
    """Return at most ``most`` round values on a scale: even steps, or powers of ten with 2 and 5 if they have room."""
    return _log_ticks(scale, most) if scale.log else _even_ticks(scale, most)


def _even_ticks(scale: Scale, most: int) -> list[float]:
    raw = (scale.high - scale.low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= raw * (1 - 1e-9))
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(scale: Scale, most: int) -> list[float]:
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [d * 10.0**p for p in powers for d in digits if scale.low <= d * 10.0**p <= scale.high]
        if len(found) <= most:
            break
    if len(found) < 3 and scale.high < 10.0 * scale.low:
        return _even_ticks(scale, most)
    return found[:: math.ceil(len(found) / most)]
