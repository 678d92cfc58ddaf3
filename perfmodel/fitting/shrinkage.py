"""Robust fits of coefficients that families share: offsets of groups (architecture, backend, device) shrunk to zero.

Each coefficient of a row is ``exp(base + sum of the offsets of the groups that the row is in)``. The fit minimises
``sum soft_l1(ln(model/measured)) + sum (offset/width)^2 + sum ((base - prior)/prior_width)^2`` by Levenberg-Marquardt;
the formula is evaluated with arrays of coefficients, so the Jacobian costs one evaluation a coefficient, however many
groups there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Model = Callable[[Mapping[str, Any]], Any]
"""Coefficients (an array a name, one value a row) to expected times."""


@dataclass(frozen=True)
class Start:
    """Where a coefficient starts, and how firmly (width in ln units) the fit is held there."""

    value: float
    width: float = 3.0


@dataclass(frozen=True)
class Offsets:
    """Which coefficients may differ between the groups that ``columns`` make, and by how much (ln units).

    Groups with one of the values in ``without`` stay at the base: they, and what was never seen, are its meaning.
    """

    columns: tuple[str, ...]
    coefficients: tuple[str, ...]
    width: float
    without: tuple[str, ...] = ()


@dataclass
class Fitted:
    """The solution: base coefficients and the ln offsets of each (columns, group, coefficient)."""

    base: dict[str, float]
    offsets: dict[tuple[tuple[str, ...], tuple[str, ...], str], float] = field(default_factory=dict)
    cost: float = 0.0

    def coefficients(self, frame: Any) -> dict[str, Any]:
        """Return each coefficient as an array over the rows of a frame; unknown groups add nothing."""
        import numpy as np

        logs = {name: np.full(len(frame), np.log(value)) for name, value in self.base.items()}
        masks: dict[Any, Any] = {}
        for (columns, group, name), delta in self.offsets.items():
            if (columns, group) not in masks:
                masks[columns, group] = _mask(frame, columns, group)
            logs[name] = logs[name] + delta * masks[columns, group]
        return {name: np.exp(value) for name, value in logs.items()}

    def rules(self, smallest: float = 0.02) -> list[dict[str, Any]]:
        """Return calibration rules: the base set, then one ``scale`` a group (offsets below ``smallest`` left out)."""
        import math

        rules: list[dict[str, Any]] = [{"set": dict(self.base)}]
        scales: dict[Any, dict[str, float]] = {}
        for (columns, group, name), delta in self.offsets.items():
            if abs(delta) >= smallest:
                scales.setdefault((columns, group), {})[name] = math.exp(delta)
        for (columns, group), scale in scales.items():
            rules.append({"when": dict(zip(columns, group, strict=True)), "scale": scale})
        return rules


def _mask(frame: Any, columns: Sequence[str], group: Sequence[str]) -> Any:
    import numpy as np

    mask = np.ones(len(frame), dtype=bool)
    for column, value in zip(columns, group, strict=True):
        mask &= (frame[column] == value).to_numpy()
    return mask.astype(float)


def fit_shrunken(
    frame: Any,
    model: Model,
    measured: Any,
    start: Mapping[str, Start],
    offsets: Sequence[Offsets],
    *,
    f_scale: float = 0.15,
    weight: Any = None,
    iterations: int = 40,
) -> Fitted:
    """Return the fit of ``model`` on rows ``frame`` with times ``measured`` (same unit as the model's).

    ``weight`` multiplies the residual of a row; ``f_scale`` is where the loss turns from quadratic to linear.
    """
    import numpy as np

    names = list(start)
    keys: list[tuple[Any, ...]] = [("base", (), name) for name in names]
    columns_of: list[tuple[int, Any]] = [(i, None) for i in range(len(names))]
    prior = [np.log(start[name].value) for name in names]
    width = [start[name].width for name in names]
    for level in offsets:
        for group in sorted(set(map(tuple, frame[list(level.columns)].astype(str).to_numpy()))):
            if set(group) & set(level.without):
                continue
            mask = _mask(frame, level.columns, group)
            for name in level.coefficients:
                keys.append((level.columns, group, name))
                columns_of.append((names.index(name), mask))
                prior.append(0.0)
                width.append(level.width)
    problem = _Problem(names, columns_of, np.array(prior), np.array(width), model, np.log(measured), f_scale, weight)
    theta = problem.solve(iterations)
    base = {name: float(np.exp(theta[i])) for i, name in enumerate(names)}
    rest = {keys[i]: float(theta[i]) for i in range(len(names), len(keys))}
    return Fitted(base, rest, problem.cost(theta)[0])


@dataclass
class _Problem:
    names: list[str]
    columns_of: list[tuple[int, Any]]
    prior: Any
    width: Any
    model: Model
    target: Any
    f_scale: float
    weight: Any

    def _logs(self, theta: Any) -> list[Any]:
        import numpy as np

        logs = [np.full(len(self.target), theta[i]) for i in range(len(self.names))]
        for value, (index, mask) in zip(theta[len(self.names) :], self.columns_of[len(self.names) :], strict=True):
            logs[index] = logs[index] + value * mask
        return logs

    def _residual(self, logs: list[Any]) -> Any:
        import numpy as np

        values = {name: np.exp(log) for name, log in zip(self.names, logs, strict=True)}
        return np.log(self.model(values)) - self.target

    def cost(self, theta: Any) -> tuple[float, Any, list[Any]]:
        """Return the loss, the raw residuals and the row-level logs at ``theta``."""
        import numpy as np

        logs = self._logs(theta)
        r = self._residual(logs)
        loss = 2 * self.f_scale**2 * (np.sqrt(1 + (r / self.f_scale) ** 2) - 1)
        if self.weight is not None:
            loss = loss * self.weight
        return float(loss.sum() + _ridge(self, theta)), r, logs

    def solve(self, iterations: int) -> Any:
        """Levenberg-Marquardt on the iteratively reweighted normal equations."""
        import numpy as np

        theta, damping = self.prior.copy(), 1e-2
        cost, r, logs = self.cost(theta)
        for _ in range(iterations):
            jacobian = self._jacobian(logs, r)
            w = 1 / np.sqrt(1 + (r / self.f_scale) ** 2)
            if self.weight is not None:
                w = w * self.weight
            ridge = self.f_scale**2 / self.width**2
            normal = jacobian.T @ (jacobian * w[:, None]) + np.diag(ridge)
            gradient = jacobian.T @ (w * r) + ridge * (theta - self.prior)
            gain = 0.0
            for _ in range(8):
                step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -gradient)
                trial = theta + np.clip(step, -0.7, 0.7)
                new = self.cost(trial)
                if np.isfinite(new[0]) and new[0] < cost:
                    gain, theta = cost - new[0], trial
                    cost, r, logs = new
                    damping = max(damping / 4, 1e-7)
                    break
                damping *= 5
            if gain < 1e-5 * cost:
                break
        return theta

    def _jacobian(self, logs: list[Any], r: Any) -> Any:
        import numpy as np

        slopes = []
        for i in range(len(self.names)):
            moved = list(logs)
            moved[i] = logs[i] + 1e-4
            slopes.append((self._residual(moved) - r) / 1e-4)
        columns = [slopes[i] if mask is None else slopes[i] * mask for i, mask in self.columns_of]
        return np.column_stack(columns)


def _ridge(problem: _Problem, theta: Any) -> Any:
    return (problem.f_scale**2 * ((theta - problem.prior) / problem.width) ** 2).sum()
