"""What every fit also tells: how many coefficients it has, what its bands hold, and what each physical term buys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

ADDED_TIMES = ("_us", "_ns", "_clk", "_kclk", "_clocks", "passes")
"""Endings of coefficients that add a time of their own, so that a form without them has them at nothing."""

NOTHING = 1e-9
"""Stands for zero in coefficients that are fitted by their logarithm."""

Errors = Mapping[str, float]


def added_terms(names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return each coefficient that adds a time as a term to leave out: for classes that name no terms."""
    return {name: {name: NOTHING} for name in names if name.endswith(ADDED_TIMES)}


def print_ablation(full: Errors, without: Mapping[str, Callable[[], Errors]]) -> None:
    """Print the errors of the whole form, then of the form refitted without each term (MAPE in %)."""
    print("\nwhat each term buys: MAPE in % of the form refitted without it (device left out: mean over devices)")
    print("\n".join(_line(name, errors) for name, errors in (("all terms", full),)), flush=True)
    for name, refit in without.items():
        print(_line(f"without {name}", refit()), flush=True)


def _line(name: str, errors: Errors) -> str:
    return f"{name:34s} " + "  ".join(f"{key} {value:5.1f}" for key, value in errors.items())


def mape(ratio: Any) -> float:
    """Return the mean of ``|expected/measured - 1|`` in %."""
    import numpy as np

    return float(100 * np.abs(np.asarray(ratio) - 1).mean())


def mean_over_devices(frame: Any, ratio: Any) -> float:
    """Return the mean of the devices' own MAPE in %: each device counts once, however many rows it has."""
    import pandas as pd

    errors = pd.Series(ratio, index=frame.index).sub(1).abs().groupby(frame["device"]).mean()
    return float(100 * errors.mean())


def print_counts(name: str, base: int, factors: Mapping[str, int]) -> None:
    """Print how many coefficients a class has: shared by all, and factors of groups."""
    groups = ", ".join(f"{count} by {group}" for group, count in factors.items())
    print(f"{name}: {base} coefficients shared by all, {sum(factors.values())} factors of groups ({groups})")


def print_coverage(title: str, frame: Any, ratio: Any, by: Sequence[str], folds: Any) -> None:
    """Print what the 80 % band holds of rows that it was not drawn from, and the median of p90/p10.

    Each fold's band is the quantiles of the other folds' measured/expected, in groups ``by`` where they have 60 rows.
    """
    import numpy as np

    inside, width, inverse = np.zeros(len(frame), bool), np.full(len(frame), np.nan), 1 / np.asarray(ratio)
    keys = frame[list(by)].astype(str).agg("|".join, axis=1).to_numpy()
    for fold in np.unique(folds):
        known, own = folds != fold, folds == fold
        if not known.any():
            continue
        for key in np.unique(keys[own]):
            alike = known & (keys == key)
            source = inverse[alike if alike.sum() >= 60 else known]
            low, high = np.quantile(source, [0.1, 0.9])
            low, high = min(low, 1.0), max(high, 1.0)
            rows = own & (keys == key)
            inside[rows] = (inverse[rows] >= low) & (inverse[rows] <= high)
            width[rows] = high / low
    print(f"{title}: the 80 % band holds {100 * inside.mean():.0f} %, median p90/p10 {np.nanmedian(width):.2f}")
