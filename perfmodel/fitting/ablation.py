"""What each physical term of a form buys: the fit again with the term's coefficients where they switch it off.

A class lists its terms as ``{term: {coefficient: neutral value}}``. Without a term its coefficients stay at the neutral
values for every row, no family or device may differ in them, and all others are fitted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from perfmodel.fitting.common import Shrunken, Specification

Terms = Mapping[str, Mapping[str, float]]


def ablation_table(
    frame: Any, held: Any, ratio_without: Callable[[Mapping[str, float]], Any], terms: Terms, by: str
) -> Any:
    """Return the MAPE (in %) of the fit and of held-out shapes, of the whole form and without each term.

    ``ratio_without(neutral)`` refits on the rows not ``held`` with these coefficients fixed and returns
    expected/measured of every row; ``by`` is the column of the groups.
    """
    import numpy as np
    import pandas as pd

    def row(neutral: Mapping[str, float]) -> dict[str, float]:
        off = 100 * np.abs(np.asarray(ratio_without(neutral)) - 1)
        groups = pd.Series(off[held]).groupby(frame[held][by].to_numpy()).mean()
        return {"fit": off[~held].mean(), "held out": off[held].mean(), **groups.to_dict()}

    rows = {"(whole form)": row({})}
    for term, neutral in terms.items():
        rows[f"without {term}"] = row(neutral)
    return pd.DataFrame(rows).T.round(1)


def print_ablation(table: Any, class_name: str) -> None:
    """Print an ablation table."""
    print(f"\n{class_name}: MAPE in % of the whole form and of refits without a term, last columns held out by group")
    print(table.to_string(), flush=True)


def without(specification: Specification, neutral: Mapping[str, float]) -> Specification:
    """Return a specification in which some coefficients have one value and no factors."""
    return {
        name: (neutral[name], []) if name in neutral else (value, levels)
        for name, (value, levels) in specification.items()
    }


def shrunken_ratio(
    frame: Any, held: Any, levels: Shrunken, theta: Any, rows_of: Callable[[Any], Any], **options: Any
) -> Callable[[Mapping[str, float]], Any]:
    """Return ``ratio_without`` of a :class:`Shrunken` fit; the refits start at ``theta``, the whole form's.

    ``options`` are those of :func:`perfmodel.fitting.common.fit_log_ratios`.
    """
    import numpy as np

    known = frame[~held].reset_index(drop=True)
    rows, everything = rows_of(known), rows_of(frame)
    found = dict(zip(levels.parameters, theta, strict=True))

    def ratio(neutral: Mapping[str, float]) -> Any:
        less = Shrunken(frame, without(levels.specification, neutral))
        start = np.array([
            first if p[0] in neutral else found[p] for p, first in zip(less.parameters, less.start, strict=True)
        ])  # fmt: skip
        fixed = (*options.get("frozen", ()), *neutral)
        how: dict[str, Any] = {"iterations": 10, **options, "start": start, "frozen": fixed}
        refit = less.fit(rows.seconds, rows.measured, less.index(known), **how) if neutral else start
        return everything.seconds(Shrunken.coefficients(refit, less.index(frame))) / everything.measured

    return ratio


def print_coefficients(class_name: str, scales: Iterable[Mapping[str, float]], shared: int) -> None:
    """Print how many coefficients a class has: shared ones, and the factors by which families and devices differ."""
    factors = sum(len(scale) for scale in scales)
    print(f"\n{class_name}: {shared} coefficients, {factors} factors by family, backend, precision or device")
