"""How much an answer changes with each number of the machine and the load."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from perfmodel.errors import InputError, did_you_mean
from perfmodel.numeric import Number
from perfmodel.search.knobs import KNOBS, REQUEST, present, turned
from perfmodel.serving.scenario import Setup

METRICS = {
    "ttft": "TTFT", "tpot": "TPOT", "e2e": "E2E", "tokens_per_s": "output tokens/s", "joules_per_token": "J a token",
    "usd_per_million_tokens": "$ a million tokens",
}  # fmt: skip
Numbers = tuple[float, float, float]


class Elasticity(NamedTuple):
    """What a number does to a metric.

    ``derivative``: per cent of the metric for one per cent of the number, at the very point. ``up``, ``down``: the
    metric over what it was, with the number 10 % higher and lower: whole tiles and batches round, so that a point may
    lie flat between two steps.
    """

    knob: str
    meaning: str
    value: float
    derivative: float
    up: float
    down: float

    @property
    def swing(self) -> float:
        """Return how far the metric moves between the number 10 % lower and 10 % higher."""
        return abs(self.up - self.down)


def elasticities(setup: Setup, metric: str, numbers: Numbers, of: str = "expected") -> list[Elasticity]:
    """Return the elasticity of a metric by every number that the deployment has, the strongest first.

    ``derivative = d ln(metric)/d ln(number)``, by forward differentiation of the formula itself. ``of``: expected or
    bound (times only). Errors: :class:`InputError` for a metric that is not known, or that this setup does not have.
    """
    from perfmodel.readings.dual import gradient

    f = metric_of(setup, metric, numbers, of)
    names = [*present(setup), *REQUEST]
    at = dict.fromkeys(names, 1.0)
    value, slopes = gradient(f, at)
    found: list[Elasticity] = []
    for name in names:
        up, down = (float(f(**{**at, name: factor})) / value for factor in (1.1, 1.0 / 1.1))
        meaning, own = _described(setup, name, numbers)
        found.append(Elasticity(name, meaning, own, slopes[name] / value, up, down))
    return sorted(found, key=lambda one: (-max(one.swing, 1e-9 * abs(one.derivative)), one.knob))


def metric_of(setup: Setup, metric: str, numbers: Numbers, of: str = "expected") -> Callable[..., Number]:
    """Return a metric as a function of factors on :data:`KNOBS` and on the request's numbers, by name."""
    if metric not in METRICS:
        raise InputError(f"unknown metric '{metric}'{did_you_mean(metric, METRICS)} (one of {', '.join(METRICS)})")
    if of not in ("expected", "bound") or (of == "bound" and metric not in ("ttft", "tpot", "e2e")):
        raise InputError(f"'{of}' is neither expected nor (of ttft, tpot and e2e) bound")

    def f(**factors: Number) -> Number:
        load = [value * factors.pop(name, 1.0) for name, value in zip(REQUEST, numbers, strict=True)]
        answer = turned(setup, factors).answer(*load)
        if metric in ("ttft", "tpot", "e2e"):
            time = getattr(answer.phases, metric)
            if time is None:
                raise InputError(f"phase {setup.question.phase} has no {metric}")
            return getattr(time, of)
        if metric == "tokens_per_s":
            return answer.tokens_per_s
        if metric not in answer.extras:
            raise InputError(f"the device states no number that {metric} needs: a power limit, or a price")
        return answer.extras[metric]

    return f


def _described(setup: Setup, name: str, numbers: Numbers) -> tuple[str, float]:
    if name in KNOBS:
        return KNOBS[name].meaning, KNOBS[name].value(setup)
    return REQUEST[name], dict(zip(REQUEST, numbers, strict=True))[name]
