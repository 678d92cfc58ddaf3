"""How much an answer changes with each number of the machine and the load, and where its bottleneck switches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from perfmodel.cost.bounds import Bound
from perfmodel.errors import InputError, did_you_mean
from perfmodel.numeric import Number
from perfmodel.plan.step_shape import StepShape
from perfmodel.search.knobs import KNOBS, REQUEST, present, turned
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import step_parts

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


class Crossover(NamedTuple):
    """Where the bound of a step changes from one resource to another as a number grows."""

    phase: str
    knob: str
    at: float
    below: str
    above: str


AXES = {"batch": (1.0, 65536.0), "context": (16.0, 4_194_304.0)}
"""Numbers of the load and how far they are followed."""

_FACTORS = (1.0 / 64.0, 64.0)
_RESOURCES = ("compute", "memory", "link")
_GRID = 241


def crossovers(setup: Setup, numbers: Numbers) -> list[Crossover]:
    """Return where the bottleneck of the prefill and the decode step switches.

    Along ``batch`` (sequences of a step of one replica) and ``context`` (its input tokens, its cache), to the limits of
    :data:`AXES`, and along the device's numbers from a 64th to 64 times; the others stay as they are. The parts of the
    bound are piecewise linear in each, and the crossing is solved to nine digits between points of a fine grid.
    """
    found: list[Crossover] = []
    for phase in ("prefill", "decode"):
        if setup.question.phase in ("serve", phase):
            for knob in ("batch", "context", *(n for n in ("peak", "bandwidth", "link") if n in present(setup))):
                found += _along(setup, phase, knob, numbers)
    return found


def _along(setup: Setup, phase: str, knob: str, numbers: Numbers) -> list[Crossover]:
    import numpy as np
    from scipy.optimize import brentq

    parts, scale = _parts_along(setup, phase, knob, numbers)
    low, high = AXES.get(knob, tuple(f * scale for f in _FACTORS))
    grid = np.geomspace(low, high, _GRID)
    values = _stacked(parts(grid), grid.shape)
    largest = values.argmax(axis=0)
    found: list[Crossover] = []
    for i in np.flatnonzero(np.diff(largest)):
        one, other = int(largest[i]), int(largest[i + 1])

        def difference(x: float, a: int = one, b: int = other) -> float:
            both = _stacked(parts(np.array([x])), (1,))
            return float(both[b, 0] - both[a, 0])

        at: Any = brentq(difference, grid[i], grid[i + 1], xtol=1e-300, rtol=np.float64(1e-10))
        found.append(Crossover(phase, knob, float(at), _RESOURCES[one], _RESOURCES[other]))
    return found


def _stacked(parts: Bound, shape: tuple[int, ...]) -> Any:
    import numpy as np

    rows = (parts.compute_s, parts.memory_s, parts.link_s)
    return np.stack([np.broadcast_to(np.asarray(row, dtype=float), shape) for row in rows])


def _parts_along(setup: Setup, phase: str, knob: str, numbers: Numbers) -> tuple[Callable[[Any], Bound], float]:
    """Return the parts of a step's bound as a function of one number, and that number as it is."""
    batch, input_tokens, output_tokens = numbers
    sequences = max(batch / setup.replicas, 1.0) if setup.together or phase == "decode" else 1.0

    def parts(x: Any) -> Bound:
        machine = setup if knob in AXES else turned(setup, {knob: x / KNOBS[knob].value(setup)})
        n = x if knob == "batch" else sequences
        if phase == "prefill":
            tokens = x if knob == "context" else input_tokens
            return step_parts(machine.prefill, StepShape(n, tokens, tokens))
        cached = x if knob == "context" else input_tokens + 0.5 * output_tokens
        return step_parts(machine.decode, StepShape(decodes=n, decode_context=cached))

    return parts, 1.0 if knob in AXES else KNOBS[knob].value(setup)
