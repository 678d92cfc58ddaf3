"""Fits by levels of factors (:class:`perfmodel.fitting.shrunken.Shrunken`) as :mod:`perfmodel.fitting.judging` asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.fitting.bands import Bands, Rule
from perfmodel.fitting.judging import Terms
from perfmodel.fitting.shrunken import Parameter, Shrunken, Specification


@dataclass(frozen=True)
class LevelFit:
    """What the fit of an operator class consists of.

    ``rows_of`` turns a frame into ``seconds(coefficients)``, ``measured`` and ``roofline_s()``; ``expand`` gives the
    ``when`` mappings of a level's value. ``by_reason`` are rules for what was never measured. ``constants`` are
    coefficients that are known and not fitted. ``robust`` and ``noise`` are those of
    :func:`perfmodel.fitting.shrunken.fit_log_ratios`, which is called first with a loss ``wide`` times as wide, whose
    optimum is easy to find (0: not), then with the narrow one.
    """

    operator: str
    form: str
    data: tuple[str, ...]
    shape: tuple[str, ...]
    specification: Specification
    rows_of: Callable[[Any], Any]
    prepare: Callable[[Any], Any]
    expand: Callable[[tuple[str, ...], tuple[str, ...]], list[dict[str, Any]]]
    by_reason: Sequence[dict[str, Any]]
    group: str
    table_by: tuple[str, ...]
    bands: Bands
    terms: Terms
    file: str = ""
    starts: Mapping[Any, float] = field(default_factory=dict[Any, float])
    constants: tuple[str, ...] = ()
    robust: float = 0.06
    noise: float = 0.12
    wide: float = 2.0
    iterations: int = 20
    again: int = 12
    least: float = 0.02
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def stem(self) -> str:
        return self.file or self.operator

    def fit(self, frame: Any, near: LevelFound | None = None) -> LevelFound:
        levels, rows = Shrunken(frame, self.specification, self.starts), self.rows_of(frame)
        index, start = levels.index(frame), None if near is None else near.start_of(levels, self.constants)
        how: dict[str, Any] = {"robust": self.robust, "noise": self.noise, "frozen": self.constants}
        if near is None and not self.wide:
            theta = levels.fit(rows.seconds, rows.measured, index, **how, iterations=self.iterations)
            return LevelFound(self, levels, theta)
        if start is None:
            loose = {**how, "robust": self.wide * self.robust, "noise": 1.41 * self.noise}
            start = levels.fit(rows.seconds, rows.measured, index, **loose, iterations=self.iterations)
        theta = levels.fit(rows.seconds, rows.measured, index, **how, start=start, iterations=self.again)
        return LevelFound(self, levels, theta)

    def unseen(self, frame: Any, held: Any, own: Any, near: LevelFound) -> LevelFound:
        """Refit on the rows that are neither held out nor the device's, without the device's own factors."""
        device = frame["device"].to_numpy()[own][0]
        less = {parameter: value for parameter, value in near.values.items() if device not in parameter[2]}
        known = frame[~own & ~held].reset_index(drop=True)
        return replace(self, again=8).fit(known, near.with_values(less))

    def roofline_s(self, frame: Any) -> Any:
        return self.rows_of(frame).roofline_s()

    def without_term(self, neutral: Mapping[str, float]) -> LevelFit:
        fixed = {name: (neutral[name], []) if name in neutral else given for name, given in self.specification.items()}
        return replace(self, specification=fixed, constants=(*self.constants, *neutral))

    def levels(self) -> list[tuple[str, ...]]:
        return [columns for _, levels in self.specification.values() for columns, _ in levels]

    def without_level(self, columns: tuple[str, ...]) -> LevelFit:
        fewer = {
            name: (value, [level for level in levels if level[0] != columns])
            for name, (value, levels) in self.specification.items()
        }
        return replace(self, specification=fewer)

    def thinned(self, weight: float) -> LevelFit:
        return replace(self, noise=self.noise / weight**0.5)


@dataclass(frozen=True)
class LevelFound:
    """Fitted parameters of a :class:`LevelFit`."""

    job: LevelFit
    levels: Shrunken
    theta: Any

    @property
    def values(self) -> dict[Parameter, float]:
        return dict(zip(self.levels.parameters, self.theta, strict=True))

    def with_values(self, values: Mapping[Parameter, float]) -> LevelFound:
        """Return the same with some of its parameters, the others at no effect."""
        import numpy as np

        return replace(self, theta=np.array([values.get(parameter, 0.0) for parameter in self.levels.parameters]))

    def start_of(self, levels: Shrunken, constants: Sequence[str]) -> Any:
        """Return these values for the parameters of ``levels``; ``constants`` are where it fixes them."""
        import numpy as np

        known = self.values
        return np.array([
            value if p[0] in constants else known.get(p, 0.0)
            for p, value in zip(levels.parameters, levels.start, strict=True)
        ])  # fmt: skip

    def ratio(self, frame: Any) -> Any:
        rows = self.job.rows_of(frame)
        return rows.seconds(self.levels.coefficients(self.theta, self.levels.index(frame))) / rows.measured

    def rules(self) -> list[Rule]:
        return [*self.levels.rules(self.theta, self.job.expand, least=self.job.least), *self.job.by_reason]
