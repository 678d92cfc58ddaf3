"""Fits a few factors of one device's coefficients on spot measurements, held to its family by a prior.

Each coefficient of a row is the family's times ``exp(sum of the factors of the levels that the row is in)``: the
device, and on it a precision, a backend, a way of timing. The fit minimises

``sum 2 f^2 (sqrt(1 + (r/f)^2) - 1)/noise^2 + sum (factor/width)^2``,  ``r = ln(expected/measured)``

by Levenberg-Marquardt, so that a factor that the rows say nothing about stays at the family's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from perfmodel.fitting.spot_rows import Factors, Group

WIDTHS: tuple[tuple[str, float], ...] = (
    ("*launch*", 0.5), ("*host_us", 0.5), ("custom_us", 0.5), ("*step_us", 0.5),
    ("*efficiency", 0.25), ("bandwidth_share", 0.25), ("*bytes_per_clock", 0.4), ("*flops_per_clock", 0.3),
    ("throttle", 0.7), ("step_clocks", 0.4), ("*tile_kclk", 0.4), ("*key_clk", 0.4), ("key_clocks", 0.4),
    ("block_kclk", 0.4), ("cta_us", 0.4), ("*row_clocks", 0.5), ("*ramp_us", 0.5), ("*passes", 0.2),
    ("split_us", 0.5), ("prologue_k", 0.4), ("cache_share", 0.3), ("llc_share", 0.3), ("weight_copies", 0.3),
)  # fmt: skip
"""Coefficients that a device may differ in from its family, and how far (ln units; the first pattern that matches)."""

TIMED = ("*launch*", "*host_us")
"""Coefficients that the way of timing decides: what was measured by the clock on the wall says nothing of a graph."""

DEVICE_SIDE = ("cuda_graph", "kernel", "nccl_tests")
"""Ways of timing that see the device alone."""

FINER = {"dtype": 0.5, "backend": 0.5, "topology": 1.0}
"""How far a level below the device may differ from it, in its width, where the rows have more than one."""

FARTHEST = 2.5
"""How many widths a factor may move: beyond, the form is at fault and not the device."""

NOISE, ROBUST = 0.15, 0.25
"""Scatter (ln units) of a form around a device's own times, and where the loss turns from quadratic to linear."""


_RANK = {"": 0, "timing": 1, "dtype": 2, "backend": 3, "topology": 4}
"""The order in which rules are written: those of the whole device first."""


class Level(NamedTuple):
    """Where a factor holds: everywhere on the device (empty), or where ``column`` has one of ``values``."""

    column: str = ""
    values: tuple[str, ...] = ()

    def holds(self, group: Group) -> bool:
        """Say whether a group of rows is in it."""
        return not self.column or _situation(group, self.column) in self.values


class Parameter(NamedTuple):
    """A factor to be fitted: of which coefficient, where, and the width of its prior."""

    name: str
    level: Level
    width: float


@dataclass(frozen=True)
class SpotFit:
    """The factors (ln) found, those of the widest level first."""

    parameters: tuple[Parameter, ...]
    values: tuple[float, ...]

    def factors(self, group: Group) -> Factors:
        """Return what a group's coefficients are multiplied by."""
        return _factors(group, self.parameters, self.values)

    def ratios(self, groups: Sequence[Group]) -> Any:
        """Return expected/measured of all rows, group after group."""
        return _ratios(groups, self.parameters, self.values)

    def rules(self, device: str, least: float = 0.01) -> list[dict[str, Any]]:
        """Return calibration rules of the device, without factors closer to 1 than ``least``."""
        import math

        found: dict[Level, dict[str, float]] = {}
        for parameter, value in sorted(
            zip(self.parameters, self.values, strict=True), key=lambda p: _RANK[p[0].level.column]
        ):
            if abs(value) >= least:
                found.setdefault(parameter.level, {})[parameter.name] = math.exp(value)
        return [{"when": _when(device, level), "scale": scale} for level, scale in found.items()]


def _when(device: str, level: Level) -> dict[str, Any]:
    if not level.column:
        return {"device": device}
    return {"device": device, level.column: level.values[0] if len(level.values) == 1 else list(level.values)}


def _situation(group: Group, column: str) -> str:
    link = group.machine.link
    found = {"dtype": group.dtype, "backend": group.key.backend, "timing": group.key.timing}
    return found.get(column, link.topology if link else "")


def parameters_of(groups: Sequence[Group], strength: float = 1.0) -> tuple[Parameter, ...]:
    """Return the factors that rows of one operator class can move; ``strength`` multiplies the widths."""
    names: dict[str, float] = {}
    for group in groups:
        for name, value in group.machine.coefficients(*group.machine.asked[0]).items():
            if value > 0.0 and name not in names:
                names[name] = next((width for pattern, width in WIDTHS if fnmatchcase(name, pattern)), 0.0)
    found: list[Parameter] = []
    for name, width in names.items():
        for level, share in _levels(name, groups) if width else ():
            found.append(Parameter(name, level, width * share * strength))
    return tuple(found)


def _levels(name: str, groups: Sequence[Group]) -> list[tuple[Level, float]]:
    if any(fnmatchcase(name, pattern) for pattern in TIMED):
        timings = sorted({group.key.timing for group in groups})
        sides = [tuple(t for t in DEVICE_SIDE), *[(t,) for t in timings if t not in DEVICE_SIDE]]
        top = [(Level("timing", side), 1.0) for side in sides if set(side) & set(timings)]
    else:
        top = [(Level(), 1.0)]
    for column, share in FINER.items():
        values = sorted({_situation(group, column) for group in groups})
        top += [(Level(column, (value,)), share) for value in values] if len(values) > 1 else []
    return top


def fit_spots(groups: Sequence[Group], strength: float = 1.0, iterations: int = 12) -> SpotFit:
    """Return the factors of a device on rows of one operator class; ``strength`` 0 leaves the family's."""
    parameters = parameters_of(groups, strength) if strength else ()
    if not parameters:
        return SpotFit((), ())
    return SpotFit(parameters, tuple(float(x) for x in _solve(groups, parameters, iterations)))


def _factors(group: Group, parameters: Sequence[Parameter], values: Sequence[float]) -> Factors:
    import math

    sums: dict[str, float] = {}
    for parameter, value in zip(parameters, values, strict=True):
        if parameter.level.holds(group):
            sums[parameter.name] = sums.get(parameter.name, 0.0) + float(value)
    return {name: math.exp(value) for name, value in sums.items()}


def _ratios(groups: Sequence[Group], parameters: Sequence[Parameter], values: Sequence[float]) -> Any:
    import numpy as np

    return np.concatenate([g.expected_s(_factors(g, parameters, values)) / g.measured_s for g in groups])


def _solve(groups: Sequence[Group], parameters: Sequence[Parameter], iterations: int) -> Any:
    """Levenberg-Marquardt on the iteratively reweighted normal equations."""
    import numpy as np

    width = np.array([p.width for p in parameters])

    def cost(values: Any) -> tuple[float, Any]:
        r = np.log(_ratios(groups, parameters, values))
        loss = 2 * (ROBUST / NOISE) ** 2 * np.sum(np.sqrt(1 + (r / ROBUST) ** 2) - 1)
        return float(loss + np.sum((values / width) ** 2)), r

    theta, damping = np.zeros(len(parameters)), 1e-2
    now, r = cost(theta)
    for _ in range(iterations):
        jacobian = _jacobian(groups, parameters, theta, r)
        weight = 1 / np.sqrt(1 + (r / ROBUST) ** 2) / NOISE**2
        normal = jacobian.T @ (jacobian * weight[:, None]) + np.diag(width**-2)
        gradient = jacobian.T @ (weight * r) + theta / width**2
        gain = 0.0
        for _ in range(6):
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
            trial = np.clip(theta + np.clip(step, -0.7, 0.7), -FARTHEST * width, FARTHEST * width)
            new, r_new = cost(trial)
            if np.isfinite(new) and new < now:
                gain, theta, now, r, damping = now - new, trial, new, r_new, max(damping / 5, 1e-7)
                break
            damping *= 6
        if gain < 1e-4 * now:
            break
    return theta


def _jacobian(groups: Sequence[Group], parameters: Sequence[Parameter], theta: Any, r: Any) -> Any:
    """Return d ln(expected)/d factor: one evaluation a coefficient, however many levels it has."""
    import numpy as np

    step = 1e-4
    jacobian = np.zeros((len(r), len(parameters)))
    for name in dict.fromkeys(p.name for p in parameters):
        start = 0
        for group in groups:
            rows = slice(start, start + len(group.places))
            start = rows.stop
            factors = dict(_factors(group, parameters, theta))
            if name not in factors:
                continue
            factors[name] *= 1 + step
            slope = (np.log(group.expected_s(factors) / group.measured_s) - r[rows]) / np.log1p(step)
            for place, parameter in enumerate(parameters):
                if parameter.name == name and parameter.level.holds(group):
                    jacobian[rows, place] = slope
    return jacobian
