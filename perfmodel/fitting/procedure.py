"""Fits by offsets of groups (:mod:`perfmodel.fitting.shrinkage`) as :mod:`perfmodel.fitting.judging` asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.fitting.bands import Bands, Rule
from perfmodel.fitting.judging import Terms
from perfmodel.fitting.shrinkage import Fitted, Model, Offsets, Start, fit_shrunken


@dataclass(frozen=True)
class Recipe:
    """What a class's fit consists of.

    ``model_of`` turns a frame into a function of coefficient arrays; ``roofline_of`` gives its datasheet roofline in
    seconds. ``fixed`` are rules of coefficients that are not fitted. ``rename`` writes a rule in words that a device
    is looked up by. ``row_weight`` is the share of an independent observation that one row counts for (rows of a
    device err together).
    """

    operator: str
    form: str
    data: tuple[str, ...]
    shape: tuple[str, ...]
    start: Mapping[str, Start]
    offsets: tuple[Offsets, ...]
    fixed: tuple[Rule, ...]
    prepare: Callable[[Any], Any]
    model_of: Callable[[Any], Model]
    roofline_of: Callable[[Any], Any]
    group: str
    table_by: tuple[str, ...]
    row_weight: float
    bands: Bands
    terms: Terms
    rename: Callable[[Rule], Rule] = dict
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    iterations: int = 40

    @property
    def stem(self) -> str:
        return self.operator

    def fit(self, frame: Any, near: Found | None = None) -> Found:
        """Return the fit, from the start whether or not one is known that is ``near``."""
        import numpy as np

        seconds, weight = frame["latency_us"].to_numpy() * 1e-6, np.full(len(frame), self.row_weight)
        how: Any = {"weight": weight, "iterations": self.iterations}
        return Found(self, fit_shrunken(frame, self.model(frame), seconds, self.start, self.offsets, **how))

    def unseen(self, frame: Any, held: Any, own: Any, near: Found) -> Found:
        """Refit on all rows of the other devices."""
        return replace(self, iterations=15).fit(frame[~own].reset_index(drop=True))

    def model(self, frame: Any) -> Model:
        """Return the model of a frame's rows, its fixed coefficients in it."""
        model, fixed = self.model_of(frame), fixed_coefficients(self.fixed, frame)
        return lambda c: model({**c, **fixed})

    def roofline_s(self, frame: Any) -> Any:
        return self.roofline_of(frame)

    def without_term(self, neutral: Mapping[str, float]) -> Recipe:
        start = {name: value for name, value in self.start.items() if name not in neutral}
        kept = tuple(
            replace(level, coefficients=tuple(n for n in level.coefficients if n in start)) for level in self.offsets
        )
        return replace(self, start=start, offsets=kept, fixed=(*self.fixed, {"set": dict(neutral)}))

    def levels(self) -> list[tuple[str, ...]]:
        return [level.columns for level in self.offsets]

    def without_level(self, columns: tuple[str, ...]) -> Recipe:
        return replace(self, offsets=tuple(level for level in self.offsets if level.columns != columns))

    def thinned(self, weight: float) -> Recipe:
        return replace(self, row_weight=self.row_weight * weight)


@dataclass(frozen=True)
class Found:
    """A fit by a :class:`Recipe`."""

    recipe: Recipe
    fitted: Fitted

    def ratio(self, frame: Any) -> Any:
        import numpy as np

        times = self.recipe.model(frame)(self.fitted.coefficients(frame))
        return np.asarray(times) / (frame["latency_us"].to_numpy() * 1e-6)

    def rules(self) -> list[Rule]:
        return [self.recipe.rename(rule) for rule in [*self.fitted.rules(), *self.recipe.fixed]]


def fixed_coefficients(rules: Sequence[Rule], frame: Any) -> dict[str, Any]:
    """Return the coefficients that ``set`` rules give each row of a frame."""
    import numpy as np

    values: dict[str, Any] = {}
    for rule in rules:
        applies = np.ones(len(frame), dtype=bool)
        for column, allowed in rule.get("when", {}).items():
            applies &= frame[column].isin(allowed if isinstance(allowed, list) else [allowed]).to_numpy()
        for name, value in rule["set"].items():
            values[name] = np.where(applies, float(value), values.get(name, np.nan))
    return values
