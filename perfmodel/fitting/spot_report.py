"""Calibrates one device on measured kernels: three honest numbers, bands, and the file that is laid over the packaged.

Before: datasheet and family (what the library says without these rows). Fit: the rows fitted on. Held out: each row
predicted by a fit that has not seen its shape. With fewer than :data:`FEWEST_FOR_A_SPLIT` rows of a class that is a fit
for each shape, or for each of :data:`FOLDS` parts; with more, one fit on 70 % of the shapes.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.calibration import Band, packaged_calibration
from perfmodel.fitting.spot_fit import SpotFit, fit_spots
from perfmodel.fitting.spot_rows import Group, Spots, read_spots

FEWEST_FOR_A_SPLIT = 60
FOLDS = 5
HELD_OUT_SHARE = 0.30
STRENGTHS = (1.0, 0.4, 0.15)
"""Widths of the prior of which the best held out is taken; the family's own coefficients stay if none is better."""

ONE_SHAPE = 0.25
"""Width of the prior where one shape alone was measured, so that nothing can be held out."""

BAND_ROWS = 4.0
"""How many rows the packaged band of an unmeasured device weighs when it is narrowed by the residuals."""

Z80 = 1.2815515655446004


@dataclass(frozen=True)
class Errors:
    """Errors of a set of rows: mean and median of |expected/measured - 1| in percent, and the median ratio."""

    mape_percent: float
    median_percent: float
    median_ratio: float

    @classmethod
    def of(cls, ratios: Iterable[float]) -> Errors:
        """Return the errors of ratios expected/measured."""
        found = [float(r) for r in ratios]
        off = [100.0 * abs(r - 1.0) for r in found]
        return cls(statistics.fmean(off), statistics.median(off), statistics.median(found))


@dataclass(frozen=True)
class ClassReport:
    """What calibrating one operator class on a device's rows brought.

    ``held_out`` is None where one shape alone was measured; ``strength`` 0 says that no fit was better than the family.
    """

    name: str
    rows: int
    method: str
    before: Errors
    fit: Errors
    held_out: Errors | None
    strength: float
    rules: list[dict[str, Any]]
    band: Band
    figures: list[dict[str, Any]]


@dataclass(frozen=True)
class DeviceReport:
    """The calibration of one device: a report a class, and the rows that could not be used, with their reasons."""

    device: str
    classes: tuple[ClassReport, ...]
    refused: tuple[tuple[int, str], ...]

    @property
    def rows(self) -> int:
        """Return how many rows were used."""
        return sum(part.rows for part in self.classes)


def calibrate(rows: Iterable[Mapping[str, str]], device: str) -> DeviceReport:
    """Return the calibration of a device (a name or a file) on measured rows, in the columns of ``perfmodel kernels``.

    Errors: those of :func:`load_device`; a row that cannot be used has its reason in the report.
    """
    spots = read_spots([dict(row) for row in rows], device)
    return calibrate_spots(spots)


def calibrate_spots(spots: Spots) -> DeviceReport:
    """Return the calibration on rows that were read already."""
    parts = [_class_report(name, groups) for name, groups in spots.classes().items()]
    return DeviceReport(spots.device.name, tuple(parts), spots.refused)


def _class_report(name: str, groups: Sequence[Group]) -> ClassReport:
    import numpy as np

    family, (folds, method) = SpotFit((), ()), _folds(groups)
    before = family.ratios(groups)
    if folds is None:
        strength, held, tested = ONE_SHAPE, before, np.zeros(len(before), dtype=bool)
    else:
        tested = np.concatenate([np.asarray(f) for f in folds]) >= 0
        strength, held = _best_strength(groups, folds, before, tested)
    fit = fit_spots(groups, strength)
    fitted = fit.ratios(groups)
    band = _band(name, groups, held[tested] if tested.any() else before)
    return ClassReport(
        name, len(before), method, Errors.of(before), Errors.of(fitted),
        Errors.of(held[tested]) if tested.any() else None, strength, fit.rules(groups[0].machine.chip.name), band,
        _figures(groups, before, fitted, np.where(tested, held, np.nan), band),
    )  # fmt: skip


def _best_strength(groups: Sequence[Group], folds: Folds, before: Any, tested: Any) -> tuple[float, Any]:
    """Return the strength that is best held out, and its ratios; 0 and the family's if none is better than these."""
    tried = [(0.0, before), *((strength, _held_out(groups, folds, strength)) for strength in STRENGTHS)]
    return min(tried, key=lambda one: _loss(one[1][tested]))


def _loss(ratios: Any) -> float:
    import numpy as np

    return float(np.mean(np.abs(np.log(ratios)) + np.abs(ratios - 1.0)))  # far too slow is as bad as far too fast


Folds = list[list[int]]
"""For each group the fold of each row: it is predicted without the rows of its own fold, and never if it is -1."""


def _folds(groups: Sequence[Group]) -> tuple[Folds | None, str]:
    """Return the folds of the rows and their name; rows of one shape are in one fold, whatever dtype and backend."""
    shapes = sorted({f"{g.key.op}|{s}" for g in groups for s in g.shapes}, key=lambda s: zlib.crc32(s.encode()))
    rows = sum(len(g.shapes) for g in groups)
    if len(shapes) < 2:
        return None, "none: one shape"
    if rows >= FEWEST_FOR_A_SPLIT and len(shapes) >= 20:
        held = set(shapes[: round(HELD_OUT_SHARE * len(shapes))])
        return [[0 if f"{g.key.op}|{s}" in held else -1 for s in g.shapes] for g in groups], "30 % of the shapes"
    count = min(len(shapes), FOLDS)
    place = {shape: i % count for i, shape in enumerate(shapes)}
    method = "each shape left out" if count == len(shapes) else f"{count} folds of the shapes"
    return [[place[f"{g.key.op}|{s}"] for s in g.shapes] for g in groups], method


def _held_out(groups: Sequence[Group], folds: Folds, strength: float) -> Any:
    """Return expected/measured of all rows by fits without the row's fold; rows of no fold are not to be read."""
    import numpy as np

    ratios = [np.ones(len(g.shapes)) for g in groups]
    for fold in sorted({f for part in folds for f in part if f >= 0}):
        rest = [g.take(seen) for g, part in zip(groups, folds, strict=True)
                if (seen := [i for i, f in enumerate(part) if f != fold])]  # fmt: skip
        fit = fit_spots(rest, strength, iterations=6)
        for group, part, found in zip(groups, folds, ratios, strict=True):
            chosen = [i for i, f in enumerate(part) if f == fold]
            if chosen:
                found[chosen] = fit.ratios([group.take(chosen)])
    return np.concatenate(ratios)


def _band(name: str, groups: Sequence[Group], ratios: Any) -> Band:
    """Return p10 and p90 of measured/expected: the residuals held out, beside the band of an unmeasured device."""
    import numpy as np

    known = packaged_calibration(name)
    lows: list[float] = []
    highs: list[float] = []
    for group in groups:
        band = known.band(measured="false", **group.machine.situation(name))
        lows += [-math.log(min(band.p10, 0.98)) / Z80] * len(group.shapes)
        highs += [math.log(max(band.p90, 1.02)) / Z80] * len(group.shapes)
    off = np.clip(-np.log(ratios), -1.5, 1.5)  # one outlier is no width
    low, high = (
        math.sqrt((BAND_ROWS * prior**2 + float(np.sum(side**2))) / (BAND_ROWS + len(off) * share))
        for prior, side, share in (
            (statistics.fmean(lows), np.minimum(off, 0.0), 0.5), (statistics.fmean(highs), np.maximum(off, 0.0), 0.5),
        )
    )  # fmt: skip
    return Band(math.exp(-Z80 * low), math.exp(Z80 * high))


def _figures(groups: Sequence[Group], before: Any, fitted: Any, held: Any, band: Band) -> list[dict[str, Any]]:
    """Return a row for each measured row: its number in the table, what it is, and its times in microseconds."""
    found: list[dict[str, Any]] = []
    for group in groups:
        bound = group.bound_s()
        for i, place in enumerate(group.places):
            at, measured, bound_us = len(found), float(group.measured_s[i]) * 1e6, float(bound[i]) * 1e6
            expected = float(fitted[at]) * measured
            found.append({
                "row": place, "op": group.key.op, "backend": group.key.backend, "dtype": group.key.dtype,
                "timing": group.key.timing, "shape": group.shapes[i].replace("|", " x "), "region": _region(bound_us),
                "measured_us": measured, "before_us": float(before[at]) * measured, "fitted_us": expected,
                "held_out_us": None if math.isnan(held[at]) else float(held[at]) * measured, "bound_us": bound_us,
                "p10_us": max(expected * band.p10, bound_us), "p90_us": expected * band.p90,
            })  # fmt: skip
    return sorted(found, key=lambda row: row["row"])


def _region(bound_us: float) -> str:
    """Return the decade of a kernel's bound: small ones are launch, large ones are bandwidth and arithmetic."""
    for most, text in ((1.0, "bound below 1 µs"), (10.0, "1 to 10 µs"), (100.0, "10 to 100 µs"), (1e3, "0.1 to 1 ms")):
        if bound_us < most:
            return text
    return "above 1 ms"
