"""Coefficients as products of factors by levels, drawn to 1 by priors, and their robust fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Levels = Sequence[tuple[tuple[str, ...], float]]
Specification = Mapping[str, tuple[float, Levels]]
"""Coefficient -> (start, levels): each level is (key columns, prior spread of its factor, as a ln-scale sigma)."""


Parameter = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A coefficient's name, and the columns and values of the group whose factor it is (none: the shared value)."""


class Shrunken:
    """Coefficients as products: a shared value times a factor for each level (family, backend, dtype, device ...).

    ``ln c(row) = theta_shared + sum over levels theta_level[value of its key columns]``. Every factor is drawn to 1
    by a normal prior of the level's spread, so one that few rows support stays near its family. A row with nothing in
    a key column has no factor of that level.
    """

    def __init__(self, frame: Any, specification: Specification, starts: Mapping[Any, float] | None = None) -> None:
        import numpy as np

        self.specification = specification
        self.parameters: list[Parameter] = []
        spread: list[float] = []
        start: list[float] = []
        for name, (value, levels) in specification.items():
            self.parameters.append((name, (), ()))
            spread.append(np.inf)
            start.append(float(np.log(value)))
            for keys, sigma in levels:
                for values in sorted(set(frame[list(keys)].dropna().itertuples(index=False, name=None))):
                    self.parameters.append((name, keys, values))
                    spread.append(sigma)
                    start.append((starts or {}).get((name, keys, values), 0.0))
        self.spread, self.start = np.array(spread), np.array(start)

    def index(self, frame: Any) -> dict[str, list[Any]]:
        """Return, for each coefficient, arrays of parameter numbers a row (the last number: no factor)."""
        import numpy as np

        number = {parameter: i for i, parameter in enumerate(self.parameters)}
        nothing = len(self.parameters)
        found: dict[str, list[Any]] = {}
        for name, (_, levels) in self.specification.items():
            found[name] = [np.full(len(frame), number[(name, (), ())])]
            for keys, _ in levels:
                values = frame[list(keys)].itertuples(index=False, name=None)
                found[name].append(np.array([number.get((name, keys, v), nothing) for v in values]))
        return found

    @staticmethod
    def coefficients(theta: Any, index: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Return each coefficient as an array over the rows of ``index``."""
        import numpy as np

        padded = np.append(theta, 0.0)
        return {name: np.exp(sum(padded[i] for i in columns)) for name, columns in index.items()}

    def fit(self, seconds: Any, measured: Any, index: Mapping[str, list[Any]], **options: Any) -> Any:
        """Return theta that makes ``seconds(coefficients)`` fit ``measured``: see :func:`fit_log_ratios`."""
        return fit_log_ratios(self, seconds, measured, index, **options)

    def rules(self, theta: Any, expand: Any, least: float = 0.02) -> list[dict[str, Any]]:
        """Return calibration rules: the shared values, then factors further than ``least`` from 1, by situation.

        ``expand(keys, values)`` gives the ``when`` mappings that stand for a level's value.
        """
        import numpy as np

        shared = {p[0]: float(np.exp(v)) for p, v in zip(self.parameters, theta, strict=True) if not p[1]}
        by_situation: dict[Any, dict[str, float]] = {}
        for (name, keys, values), value in zip(self.parameters, theta, strict=True):
            if keys and abs(value) > least:
                by_situation.setdefault((len(keys), keys, values), {})[name] = float(np.exp(value))
        rules: list[dict[str, Any]] = [{"set": shared}]
        for _, keys, values in sorted(by_situation):
            scale = by_situation[len(keys), keys, values]
            rules.extend({"when": when, "scale": scale} for when in expand(keys, values))
        return rules


def fit_log_ratios(
    levels: Shrunken, seconds: Any, measured: Any, index: Mapping[str, list[Any]], *, start: Any = None,
    robust: float = 0.12, iterations: int = 25, noise: float = 0.17, frozen: Sequence[str] = (),
) -> Any:  # fmt: skip
    """Return the parameters of least robust cost ``sum soft_l1(ln(t/measured)) + prior`` (Levenberg-Marquardt).

    ``soft_l1(r) = 2*f^2*(sqrt(1 + (r/f)^2) - 1)/noise^2``. Like ``scipy.optimize.least_squares(loss="soft_l1")``, but
    the Jacobian of hundreds of factors comes from one difference a *coefficient*, and factors without rows stay 1.
    """
    import numpy as np

    theta = levels.start.copy() if start is None else np.array(start)
    size, rows, target = len(theta), len(measured), np.log(measured)
    counts = np.bincount(np.concatenate([i for columns in index.values() for i in columns]), minlength=size + 1)[:size]
    theta[counts == 0] = 0.0
    idle = (counts == 0) | np.array([p[0] in frozen for p in levels.parameters])
    shared = np.isinf(levels.spread)
    weight = np.where(shared, 1e-3, 1.0 / levels.spread**2)
    centre = np.where(shared, levels.start, 0.0)

    def residuals(at: Any) -> Any:
        return np.log(seconds(levels.coefficients(at, index))) - target

    def cost(r: Any, at: Any) -> float:
        data = 2 * (robust / noise) ** 2 * np.sum(np.sqrt(1 + (r / robust) ** 2) - 1)
        return float(data + np.sum(weight * (at - centre) ** 2))

    r, damping = residuals(theta), 1e-2
    now = cost(r, theta)
    for _ in range(iterations):
        base = levels.coefficients(theta, index)
        jacobian = np.zeros((rows, size + 1))
        for name, columns in index.items():
            if name not in frozen:
                slope = (np.log(seconds({**base, name: base[name] * 1.001})) - target - r) / np.log(1.001)
                for i in columns:
                    jacobian[np.arange(rows), i] += slope
        jacobian = jacobian[:, :size]
        w = 1.0 / np.sqrt(1 + (r / robust) ** 2) / noise**2
        hessian = jacobian.T @ (jacobian * w[:, None]) + np.diag(weight)
        gradient = jacobian.T @ (w * r) + weight * (theta - centre)
        hessian[idle, :], hessian[:, idle], gradient[idle] = 0.0, 0.0, 0.0
        hessian[idle, idle] = 1.0
        gain = 0.0
        for _ in range(7):
            step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), -gradient)
            trial = theta + np.clip(step, -1, 1)
            r_trial = residuals(trial)
            gain = now - cost(r_trial, trial)
            if gain > 0:
                theta, r, now, damping = trial, r_trial, now - gain, max(damping / 4, 1e-6)
                break
            damping *= 4
        if gain < 1e-4 * now:
            break
    return theta
