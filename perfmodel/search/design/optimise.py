"""The designs that nothing beats, under limits: by optuna, or by SciPy's differential evolution."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from perfmodel.errors import InputError, did_you_mean
from perfmodel.search.design.evaluate import METRICS, Designs

SEARCHERS = ("auto", "optuna", "evolution", "random")
BATCH = 64
"""Designs of a generation."""

MISSING = 20.0
"""What a design lacks that cannot be at all, in powers of e beyond a limit."""

INSTALL = 'pip install "perfmodel[dse]"'
Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class Aim:
    """Objectives by name, the first first, and for metrics the most (of rates: the least) that is allowed."""

    objectives: tuple[str, ...]
    limits: Mapping[str, float]

    def __post_init__(self) -> None:
        for name in (*self.objectives, *self.limits):
            if name not in METRICS:
                raise InputError(f"no metric '{name}'{did_you_mean(name, METRICS)} (one of {', '.join(METRICS)})")
        if not self.objectives:
            raise InputError("nothing is to be best: name an objective, such as usd_per_million_tokens")

    def losses(self, metrics: Mapping[str, Any]) -> Any:
        """Return a column an objective, less is better: logarithms, for metrics are compared by ratios."""
        import numpy as np

        columns = [-METRICS[name][2] * np.log(np.maximum(metrics[name], 1e-300)) for name in self.objectives]
        return np.stack(columns, axis=1)

    def violation(self, metrics: Mapping[str, Any]) -> Any:
        """Return how far each design is beyond its limits: the sum of the logarithms; 0 where it keeps all."""
        import numpy as np

        over = np.zeros(len(metrics["memory_share"]))
        for name, limit in {**self.limits, "memory_share": 1.0}.items():
            ratio = np.log(np.maximum(metrics[name], 1e-300) / limit) * -METRICS[name][2]
            over = over + np.where(np.isfinite(ratio), np.maximum(ratio, 0.0), MISSING)
        lost = ~np.isfinite(self.losses(metrics)).all(axis=1)
        return over + np.where(lost, MISSING, 0.0)


@dataclass(frozen=True)
class Found:
    """All designs that were tried (rows of the unit cube) with their metrics; ``front`` and ``best`` are places.

    ``front`` holds those that keep the limits and that no other beats in all objectives, by the first; ``best`` is the
    front's best by the first objective, None where no design keeps the limits; ``nearest`` is closest to the limits.
    """

    unit: Any
    metrics: Mapping[str, Any]
    violation: Any
    front: tuple[int, ...]
    best: int | None
    nearest: int
    searcher: str


def optimise(
    designs: Designs, aim: Aim, trials: int = 2000, seed: int = 0, searcher: str = "auto",
    progress: Progress | None = None,
) -> Found:  # fmt: skip
    """Search the space for the aim with so many designs; the same seed gives the same answer.

    ``optuna``: NSGA-II with constraints (Deb et al. 2002), generations of :data:`BATCH` evaluated at once.
    ``evolution``: differential evolution (Storn and Price 1997) of weighted sums of the objectives, limits as
    penalties. ``random``: a Sobol sequence. ``auto``: optuna where it is installed, otherwise evolution. The model chip
    is tried first. Errors: :class:`InputError` for a metric that this device does not have.
    """
    import numpy as np

    if searcher not in SEARCHERS:
        hint = did_you_mean(searcher, SEARCHERS)
        raise InputError(f"no searcher '{searcher}'{hint} (one of {', '.join(SEARCHERS)})")
    if searcher == "auto":
        searcher = "optuna" if find_spec("optuna") else "evolution"
    tried = _Tried(designs, aim, trials, progress)
    tried(np.array([designs.space.encode(designs.base)]))
    {"optuna": _optuna, "evolution": _evolution, "random": _random}[searcher](tried, len(designs.space.axes), seed)
    return tried.found(searcher)


class _Tried:
    """What has been evaluated so far."""

    def __init__(self, designs: Designs, aim: Aim, trials: int, progress: Progress | None) -> None:
        self.designs, self.aim, self.trials, self.progress = designs, aim, trials, progress
        self.unit: list[Any] = []
        self.metrics: list[Mapping[str, Any]] = []
        self.done = 0

    def __call__(self, unit: Any) -> tuple[Any, Any]:
        """Evaluate designs; return the objectives' losses and the violations of the limits."""
        metrics = self.designs.evaluate(unit)
        for name in (*self.aim.objectives, *self.aim.limits):
            if name not in metrics:
                raise InputError(f"{METRICS[name][0]} of {self.designs.like.name} is not known ({name})")
        self.unit.append(unit)
        self.metrics.append(metrics)
        self.done += len(unit)
        if self.progress:
            self.progress(self.done, max(self.trials, self.done))
        return self.aim.losses(metrics), self.aim.violation(metrics)

    def found(self, searcher: str) -> Found:
        import numpy as np

        unit = np.concatenate(self.unit)
        metrics = {name: np.concatenate([one[name] for one in self.metrics]) for name in self.metrics[0]}
        violation, losses = self.aim.violation(metrics), self.aim.losses(metrics)
        kept = np.flatnonzero(violation <= 0.0)
        front = kept[undominated(losses[kept])]
        front = front[np.argsort(losses[front, 0], kind="stable")]
        best = int(front[0]) if len(front) else None
        return Found(unit, metrics, violation, tuple(map(int, front)), best, int(np.argmin(violation)), searcher)


def undominated(losses: Any) -> Any:
    """Return the places of the rows that no other is at most as high as in all columns (of equal rows the first)."""
    import numpy as np

    order = np.lexsort(losses.T[::-1])
    kept: list[int] = []
    for place in order:
        row = losses[place]
        if not kept or not (losses[kept] <= row).all(axis=1).any():
            kept.append(int(place))
    return np.array(kept, dtype=int)


def _random(tried: _Tried, axes: int, seed: int) -> None:
    sobol: Any = import_module("scipy.stats.qmc").Sobol(axes, seed=seed)
    tried(sobol.random_base2(max(math.ceil(math.log2(tried.trials)), 0)))


def _evolution(tried: _Tried, axes: int, seed: int) -> None:
    """Run differential evolution once for each of a few weightings of the objectives."""
    import numpy as np

    differential_evolution: Any = import_module("scipy.optimize").differential_evolution
    weights = _weights(len(tried.aim.objectives))
    people = max(min(BATCH, tried.trials // (4 * len(weights))) // axes, 1)
    size = max(people * axes, 5)
    rounds = max(tried.trials // (len(weights) * size) - 1, 1)
    for place, weight in enumerate(weights):

        def loss(columns: Any, weight: Any = weight) -> Any:
            losses, violation = tried(columns.T)
            scored = np.nan_to_num(losses, nan=0.0, posinf=0.0, neginf=0.0) @ weight
            return np.where(violation > 0.0, 1e3 * (1.0 + violation), scored)

        differential_evolution(loss, [(0.0, 1.0)] * axes, vectorized=True, updating="deferred", polish=False,
                               popsize=people, maxiter=rounds, seed=seed + place, init="sobol", tol=0.0)  # fmt: skip


def _weights(objectives: int) -> Any:
    import numpy as np

    if objectives == 1:
        return np.ones((1, 1))
    corners = np.eye(objectives)
    middle = np.full((1, objectives), 1.0 / objectives)
    between = (corners + 2.0 * middle) / 3.0
    return np.concatenate([0.98 * corners + 0.02 * middle, between, middle])


def _optuna(tried: _Tried, axes: int, seed: int) -> None:
    try:
        optuna: Any = import_module("optuna")
    except ImportError:
        raise InputError(f"optuna is not installed: {INSTALL}, or --searcher evolution") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges = {f"x{i:02d}": optuna.distributions.FloatDistribution(0.0, 1.0) for i in range(axes)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints are called experimental
        sampler = optuna.samplers.NSGAIISampler(
            population_size=BATCH, seed=seed, constraints_func=lambda trial: (trial.user_attrs["beyond"],)
        )
        study = optuna.create_study(directions=["minimize"] * len(tried.aim.objectives), sampler=sampler)
        study.enqueue_trial(dict(zip(ranges, map(float, tried.unit[0][0]), strict=True)))
        _generations(tried, study, ranges)


def _generations(tried: _Tried, study: Any, ranges: Mapping[str, Any]) -> None:
    import numpy as np

    while tried.done < tried.trials:
        trials = [study.ask(ranges) for _ in range(BATCH)]
        unit = np.array([[trial.params[name] for name in ranges] for trial in trials])
        losses, violation = tried(unit)
        for trial, loss, beyond in zip(trials, losses, violation, strict=True):
            trial.set_user_attr("beyond", float(beyond))
            values: Sequence[float] = [value if math.isfinite(value) else 1e9 for value in map(float, loss)]
            study.tell(trial, values)
