"""What the fits of attention prefill and decode share: sparse shrunken offsets of groups.

Each coefficient of a row is ``base * product of the factors of the groups that the row is in`` (backend, architecture,
device ...). The fit minimises ``sum soft_l1(ln(model/measured)) + sum stiffness*ln(factor)^2``, like
``scipy.optimize.least_squares(loss="soft_l1")``, by Levenberg-Marquardt with a sparse Jacobian that costs one
evaluation a coefficient, however many groups there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.fitting.bands import QuantileBands, Rule
from perfmodel.fitting.common import facts_by_row
from perfmodel.fitting.generations import DEDICATED, add_generation, rename_rule
from perfmodel.fitting.judging import Terms
from perfmodel.fitting.procedure import fixed_coefficients
from perfmodel.formats import find_cache_encoding

ROBUST = 0.15
"""Log ratio where the loss turns from quadratic to linear."""

FIXED = 1e6
"""Stiffness of what must not move."""


@dataclass(frozen=True)
class Level:
    """Groups of rows (equal in ``columns``) that may differ in ``names``, held to 1 with ``stiffness``.

    Rows with a value of ``without`` in these columns stay at the level above.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    stiffness: float
    without: tuple[str, ...] = ()


Parameter = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A coefficient's name, and the columns and values of the group whose factor it is (none: the base value)."""


DATA = (
    "ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0, NVIDIA Corporation",
    "casys-kaist/LLMServingSim, MIT",
    "alibaba/InferSim, Apache-2.0",
)

BANDS = QuantileBands((("backend",), ("backend", "architecture")), families=DEDICATED, close=("blackwell",), tail=0.07)
"""Two measured devices of Blackwell tell what a new sibling's error is. What was not measured: drawn further out (bands
drawn at 10 % from the other devices held 49 to 73 % of a device)."""


@dataclass(frozen=True)
class Recipe:
    """What one operator's fit consists of.

    ``split`` are the static columns that pick the formula, ``fixed`` rules that are not fitted (``set`` holds in the
    fit too, ``scale`` is only written), ``given`` the coefficients whose base value stays as it is, ``start`` factors
    (ln) that do not start at 1. ``row_weight``: the share of an independent observation that a row counts for (rows of
    a device err together).
    """

    kind: type[Any]
    form: str
    expected_s: Callable[..., Any]
    split: tuple[str, ...]
    base: Mapping[str, float]
    groups: tuple[Level, ...]
    group: str
    table_by: tuple[str, ...]
    terms: Terms
    fixed: tuple[Rule, ...] = ()
    given: tuple[str, ...] = ("host_us",)
    start: Mapping[Parameter, float] = field(default_factory=dict[Parameter, float])
    row_weight: float = 1.0
    iterations: int = 30
    data: tuple[str, ...] = DATA
    bands: QuantileBands = BANDS
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def operator(self) -> str:
        return self.kind.KIND

    @property
    def stem(self) -> str:
        return self.operator

    @property
    def shape(self) -> tuple[str, ...]:
        return (*self.kind.DOMAIN, *(["causal"] if "causal" in self.split else []))

    def prepare(self, frame: Any) -> Any:
        """Add the kernels' generation and, where there are two, the mask."""
        frame = add_generation(frame)
        return frame.assign(mask=frame["causal"].map({True: "causal", False: "full"})) if "causal" in frame else frame

    def fit(self, frame: Any, near: Fit | None = None) -> Fit:
        """Return the fit, started at what ``near`` has of these coefficients."""
        if near is None:
            return fit(self, frame, iterations=self.iterations)
        start = {parameter: value for parameter, value in near.values.items() if parameter[0] in self.base}
        return fit(replace(self, start=start), frame, iterations=12)

    def unseen(self, frame: Any, held: Any, own: Any, near: Fit, most: int = 9000) -> Fit:
        """Refit on at most ``most`` rows of the other devices, started at ``near`` less what it knows of the device."""
        device, rest = frame["device"].to_numpy()[own][0], frame[~own]
        start = {key: value for key, value in near.values.items() if device not in key[2]}
        weight = self.row_weight * max(1.0, len(rest) / most)
        rest = rest.sample(min(most, len(rest)), random_state=0).reset_index(drop=True)
        return fit(replace(self, start=start, row_weight=weight), rest, iterations=15)

    def roofline_s(self, frame: Any) -> Any:
        return Rows(self, frame).roofline_s()

    def without_term(self, neutral: Mapping[str, float]) -> Recipe:
        base = {name: value for name, value in self.base.items() if name not in neutral}
        groups = tuple(replace(level, names=tuple(n for n in level.names if n in base)) for level in self.groups)
        return replace(self, base=base, groups=groups, fixed=(*self.fixed, {"set": dict(neutral)}))

    def levels(self) -> list[tuple[str, ...]]:
        return [level.columns for level in self.groups]

    def without_level(self, columns: tuple[str, ...]) -> Recipe:
        return replace(self, groups=tuple(level for level in self.groups if level.columns != columns))

    def thinned(self, weight: float) -> Recipe:
        return replace(self, row_weight=self.row_weight * weight)


class Rows:
    """Measured rows as operators and facts of arrays, one block for each value of the static columns."""

    def __init__(self, recipe: Recipe, frame: Any) -> None:
        import numpy as np

        self.recipe, self.count = recipe, len(frame)
        self.target = np.log(frame["latency_us"].to_numpy(float) * 1e-6)
        self.blocks: list[tuple[Any, Any, Any]] = []
        for values, rows in frame.groupby(list(recipe.split), sort=True).indices.items():
            part = frame.iloc[rows]
            static: dict[str, Any] = dict(zip(recipe.split, values, strict=True))
            static["cache"] = find_cache_encoding(str(static.pop("kv_dtype")))
            if "causal" in static:
                static["causal"] = bool(static["causal"])
            numbers = {name: part[name].to_numpy(float) for name in recipe.kind.DOMAIN}
            self.blocks.append((rows, recipe.kind(**numbers, **static), facts_by_row(part["device"])))
        self.fixed = fixed_coefficients([rule for rule in recipe.fixed if "set" in rule], frame)

    def log_seconds(self, c: Mapping[str, Any]) -> Any:
        """Return the log of the expected seconds of every row for coefficients given as arrays."""
        import numpy as np

        out = np.empty(self.count)
        c = {**c, **{name: np.where(np.isnan(v), c.get(name, v), v) for name, v in self.fixed.items()}}
        for rows, op, chip in self.blocks:
            out[rows] = self.recipe.expected_s(op, chip, {name: value[rows] for name, value in c.items()})
        return np.log(out)

    def roofline_s(self) -> Any:
        """Return the larger of flops over peak and bytes over bandwidth, of every row."""
        import numpy as np

        out = np.empty(self.count)
        for rows, op, chip in self.blocks:
            counts = op.counts()
            peak = chip.peaks.get(op.dtype, chip.peaks.get("float16"))
            compute = counts.filter_flops(engine="tensor").total_flops() / peak
            out[rows] = np.maximum(compute, counts.total_bytes() / chip.memory_bandwidth_bytes_per_s)
        return out


def parameters_of(recipe: Recipe, frame: Any) -> dict[Parameter, float]:
    """Return every parameter that the rows of a frame can tell something about, with its stiffness."""
    found: dict[Parameter, float] = {(name, (), ()): FIXED if name in recipe.given else 0.05 for name in recipe.base}
    for level in recipe.groups:
        for values in sorted(set(map(tuple, frame[list(level.columns)].astype(str).to_numpy()))):
            if not set(values) & set(level.without):
                found.update({(name, level.columns, values): level.stiffness for name in level.names})
    return found


def _indicators(recipe: Recipe, frame: Any, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return, for each coefficient, the sparse 0/1 matrix (rows by parameters) of what applies."""
    import numpy as np
    from scipy import sparse

    everywhere = np.arange(len(frame))
    members: dict[Any, Any] = {((), ()): everywhere}
    cells: dict[str, list[tuple[Any, int]]] = {name: [] for name in recipe.base}
    groups: dict[tuple[str, ...], Any] = {}
    for number, (name, columns, values) in enumerate(parameters):
        if columns and columns not in groups:
            groups[columns] = frame[list(columns)].astype(str).groupby(list(columns)).indices
        if (columns, values) not in members:
            key = values if len(columns) > 1 else (values[0] if values[0] in groups[columns] else values)
            members[columns, values] = groups[columns].get(key, everywhere[:0])
        cells[name].append((members[columns, values], number))
    matrices = {}
    for name, entries in cells.items():
        rows = np.concatenate([rows for rows, _ in entries])
        numbers = np.concatenate([np.full(len(rows), number) for rows, number in entries])
        matrices[name] = sparse.csr_matrix((np.ones(len(rows)), (rows, numbers)), shape=(len(frame), len(parameters)))
    return matrices


def coefficients(recipe: Recipe, theta: Any, indicators: Mapping[str, Any]) -> dict[str, Any]:
    """Return each coefficient as an array over rows; ``theta`` are ln factors, relative to the recipe's base."""
    import numpy as np

    return {name: recipe.base[name] * np.exp(np.clip(indicators[name] @ theta, -12, 12)) for name in recipe.base}


@dataclass
class Fit:
    """Fitted ln factors of the parameters."""

    recipe: Recipe
    values: dict[Parameter, float]

    def ratio(self, frame: Any) -> Any:
        """Return expected/measured of every row of a frame; groups never seen add nothing."""
        import numpy as np

        rows = Rows(self.recipe, frame)
        indicators = _indicators(self.recipe, frame, list(self.values))
        theta = np.array(list(self.values.values()))
        return np.exp(rows.log_seconds(coefficients(self.recipe, theta, indicators)) - rows.target)

    def rules(self) -> list[dict[str, Any]]:
        """Return the calibration rules: base values, then factors by group, from the coarsest to the finest."""
        import math

        base = {name: self.recipe.base[name] * math.exp(self.values[name, (), ()]) for name in self.recipe.base}
        scales: dict[Any, dict[str, float]] = {}
        for (name, columns, values), value in self.values.items():
            if columns:
                scales.setdefault((columns, values), {})[name] = math.exp(value)
        scaled = [{"when": dict(zip(c, v, strict=True)), "scale": scale} for (c, v), scale in scales.items()]
        return [{"set": base}, *self.recipe.fixed, *(rename_rule(rule) for rule in scaled)]


def fit(recipe: Recipe, frame: Any, least: float = 0.04, iterations: int = 30) -> Fit:
    """Return the fit on the rows of a frame; factors within ``least`` of 1 are dropped, and the rest refitted."""
    import numpy as np

    stiffness = parameters_of(recipe, frame)
    rows = Rows(recipe, frame)
    begin = np.array([recipe.start.get(p, 0.0) for p in stiffness])
    theta = _solve(recipe, rows, frame, stiffness, begin, iterations)
    values = dict(zip(stiffness, theta, strict=True))
    kept = {p: s for p, s in stiffness.items() if not p[1] or abs(values[p]) >= least}
    theta = _solve(recipe, rows, frame, kept, np.array([values[p] for p in kept]), 4)
    return Fit(recipe, {p: float(v) for p, v in zip(kept, theta, strict=True)})


def _solve(recipe: Recipe, rows: Rows, frame: Any, stiffness: Mapping[Parameter, float], theta: Any, limit: int) -> Any:
    """Levenberg-Marquardt on iteratively reweighted normal equations."""
    import numpy as np
    from scipy import sparse

    indicators = _indicators(recipe, frame, list(stiffness))
    held = np.array(list(stiffness.values()))

    def cost(at: Any) -> tuple[float, dict[str, Any], Any]:
        c = coefficients(recipe, at, indicators)
        r = rows.log_seconds(c) - rows.target
        loss = 2 * ROBUST**2 * (np.sqrt(1 + (r / ROBUST) ** 2) - 1)
        return float(recipe.row_weight * loss.sum() + (held * at * at).sum()), c, r

    now, c, r = cost(theta)
    damping = 1e-2
    for _ in range(limit):
        jacobian = sparse.csr_matrix(indicators[next(iter(indicators))].shape)
        for name, applies in indicators.items():
            slope = (rows.log_seconds({**c, name: c[name] * 1.001}) - rows.target - r) / np.log(1.001)
            jacobian += sparse.diags(slope) @ applies
        weight = recipe.row_weight / np.sqrt(1 + (r / ROBUST) ** 2)
        normal = (jacobian.T @ sparse.diags(weight) @ jacobian).toarray() + np.diag(held)
        gradient = jacobian.T @ (weight * r) + held * theta
        gain = 0.0
        for _ in range(6):
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-3), -gradient)
            trial = theta + np.clip(step, -1, 1)
            then, c_trial, r_trial = cost(trial)
            if then < now:
                gain, theta, now, c, r = now - then, trial, then, c_trial, r_trial
                damping = max(damping / 4, 1e-5)
                break
            damping = damping * 6 + 1e-3
        if gain < 3e-4 * now:
            break
    return theta
