"""Designs as an environment for agents, with gymnasium's calls: an action is a design, an observation its metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from perfmodel.errors import InputError
from perfmodel.search.design.evaluate import METRICS, Designs
from perfmodel.search.design.optimise import INSTALL, Aim

UNKNOWN = -50.0
"""Stands in an observation for the logarithm of a metric that a design does not have."""


class DesignEnv:
    """An agent proposes designs; each answer is their metrics, the reward how much better than the model chip they are.

    ``step(action)``: an action is a row of numbers from 0 to 1, an axis of the space each (several rows: several
    designs at once, and arrays come back). The observation is the natural logarithm of each metric of ``metrics``; the
    reward is ``ln(objective of the model chip/objective)`` (of rates inversely) less ``penalty`` times how far the
    design is beyond its limits. An episode is truncated after ``horizon`` steps and never ends by itself. The calls
    are gymnasium's (Towers et al. 2024); the problem's shape is that of ArchGym (Krishnan et al., ISCA 2023).
    """

    metadata: Mapping[str, Any] = {"render_modes": []}
    render_mode = None

    def __init__(self, designs: Designs, aim: Aim, horizon: int = 128, penalty: float = 10.0) -> None:
        import numpy as np

        self.designs, self.aim, self.horizon, self.penalty = designs, aim, horizon, penalty
        self.start = np.array(designs.space.encode(designs.base))
        self.steps = 0
        first = designs.of_like()
        self.metrics = tuple(first)
        if missing := [name for name in (*aim.objectives, *aim.limits) if name not in first]:
            raise InputError(f"{METRICS[missing[0]][0]} of {designs.like.name} is not known ({missing[0]})")
        loss = float(aim.losses({name: np.array([value]) for name, value in first.items()})[0, 0])
        self.reference = loss if math.isfinite(loss) else 0.0

    @property
    def action_size(self) -> int:
        """Return how many numbers an action has."""
        return len(self.designs.space.axes)

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode at the model chip; return the observation and the metrics. Nothing here is random."""
        self.steps = 0
        observation, _, info = self._answer(self.start)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Return (observation, reward, terminated, truncated, metrics) of a design, or of several."""
        self.steps += 1
        observation, reward, info = self._answer(action)
        return observation, reward, False, self.steps >= self.horizon, info

    def _answer(self, action: Any) -> tuple[Any, Any, dict[str, Any]]:
        import numpy as np

        unit = np.asarray(action, dtype=float)
        metrics = self.designs.evaluate(unit)
        violation = self.aim.violation(metrics)
        gain = self.reference - np.nan_to_num(self.aim.losses(metrics)[:, 0], nan=self.reference)
        reward = gain - self.penalty * violation
        columns = np.stack([metrics[name] for name in self.metrics], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            observation = np.nan_to_num(np.log(columns), nan=UNKNOWN, posinf=-UNKNOWN, neginf=UNKNOWN)
        if unit.ndim == 1:
            info = {name: float(column[0]) for name, column in metrics.items()} | {"violation": float(violation[0])}
            return observation[0].astype("float32"), float(reward[0]), info
        return observation.astype("float32"), reward, {**metrics, "violation": violation}

    def render(self) -> None:
        """Show nothing: the metrics are in ``info``."""

    def close(self) -> None:
        """Hold nothing open."""


def gymnasium_env(designs: Designs, aim: Aim, horizon: int = 128, penalty: float = 10.0) -> Any:
    """Return :class:`DesignEnv` as a ``gymnasium.Env`` with spaces. Errors: :class:`InputError` without gymnasium."""
    try:
        gymnasium: Any = import_module("gymnasium")
    except ImportError:
        raise InputError(f"gymnasium is not installed: {INSTALL}, or use DesignEnv, which needs none") from None

    def reset(
        self: Any, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        gymnasium.Env.reset(self, seed=seed)
        return DesignEnv.reset(self, seed=seed, options=options)

    kind: Any = type("GymnasiumDesignEnv", (DesignEnv, gymnasium.Env), {"reset": reset, "__doc__": DesignEnv.__doc__})
    env = kind(designs, aim, horizon, penalty)
    box = gymnasium.spaces.Box
    env.action_space = box(0.0, 1.0, (env.action_size,), "float32")
    env.observation_space = box(-math.inf, math.inf, (len(env.metrics),), "float32")
    return env
