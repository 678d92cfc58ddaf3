"""The question turned round: the machine that keeps the limits that a service has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.errors import InputError, PlanError
from perfmodel.plan.memory import USABLE_FRACTION
from perfmodel.plan.step_shape import StepShape
from perfmodel.search.knobs import KNOBS, present, turned
from perfmodel.serving.scenario import STEP_TOKENS, Answer, Setup
from perfmodel.serving.step import step_parts

Numbers = tuple[float, float, float]
SOLVED = ("peak", "bandwidth", "capacity", "link", "network")
"""Numbers that are solved for, where the deployment has them; latencies are solved as the most that is allowed."""

LATENCIES = ("link_latency", "network_latency")
WIDEST = 4096.0
"""Factors beyond this are no answer: the number is not what stands in the way."""


@dataclass(frozen=True)
class Limits:
    """What a service must keep, in seconds; None is no limit. ``of``: expected times, p90 of their band, or bounds."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    of: str = "expected"

    def __post_init__(self) -> None:
        if self.of not in ("expected", "p90", "bound"):
            raise InputError(f"'{self.of}' is none of expected, p90, bound")
        if not self.named:
            raise InputError("nothing is required: give a limit on TTFT, TPOT or E2E")

    @property
    def named(self) -> dict[str, float]:
        """Return the limits that there are, by metric."""
        every = {"ttft": self.ttft_s, "tpot": self.tpot_s, "e2e": self.e2e_s}
        return {name: limit for name, limit in every.items() if limit is not None}

    def excess(self, answer: Answer) -> float:
        """Return the largest of the times over their limits: at most one where all are kept."""
        found = [float(getattr(getattr(answer.phases, name), self.of)) / limit for name, limit in self.named.items()]
        return max(found)


@dataclass(frozen=True)
class Need:
    """What is required of one number.

    ``has`` is what the platform has; ``floor`` what physics asks for whatever the rest of the machine is like (the
    bound: work over time), with its formula; ``alone`` what the expected times ask for while all else stays as it is
    (None: no value of this number alone is enough).
    """

    knob: str
    meaning: str
    dimension: str
    has: float
    floor: float | None
    formula: str
    alone: float | None

    @property
    def enough(self) -> bool:
        """Say whether the platform has it."""
        return self.alone is not None and (
            self.has <= self.alone * (1 + 1e-9) if self.knob in LATENCIES else self.has >= self.alone * (1 - 1e-9)
        )


def needs(setup: Setup, numbers: Numbers, limits: Limits) -> list[Need]:
    """Return what each number of the platform must be for the limits to hold at the load.

    Errors: :class:`PlanError` where memory is what is missing and cannot be solved for.
    """
    names = present(setup)
    found: list[Need] = []
    for name in SOLVED:
        if name in names:
            floor, formula = _floor(setup, name, numbers, limits)
            alone = _capacity(setup, numbers) if name == "capacity" else _least(setup, name, numbers, limits)
            found.append(_need(setup, name, floor, formula, alone))
    found += [
        _need(setup, name, None, "", _least(setup, name, numbers, limits, falling=True))
        for name in LATENCIES
        if name in names
    ]
    return found


def _need(setup: Setup, name: str, floor: float | None, formula: str, alone: float | None) -> Need:
    knob = KNOBS[name]
    return Need(name, knob.meaning, knob.dimension, knob.value(setup), floor, formula, alone)


def _excess(setup: Setup, factors: Mapping[str, float], numbers: Numbers, limits: Limits) -> float:
    return limits.excess(_with_room(turned(setup, factors), numbers).answer(*numbers))


def _with_room(setup: Setup, numbers: Numbers) -> Setup:
    """Return the setup with memory for the whole load: speed is asked for apart from capacity."""
    needed = _capacity(setup, numbers)
    return replace(setup, memory=replace(setup.memory, capacity_bytes=max(needed, setup.memory.capacity_bytes)))


def _least(
    setup: Setup, name: str, numbers: Numbers, limits: Limits, factors: Mapping[str, float] | None = None, *,
    falling: bool = False,
) -> float | None:  # fmt: skip
    """Return the least value of a number (``falling``: the most) that keeps the limits, others as in ``factors``."""
    others = dict(factors or {})

    def kept(factor: float) -> bool:
        return _excess(setup, {**others, name: factor}, numbers, limits) <= 1.0

    best, worst = (1.0 / WIDEST, WIDEST) if falling else (WIDEST, 1.0 / WIDEST)
    if not kept(best):
        return None
    if kept(worst):
        return worst * KNOBS[name].value(setup)
    low, high = math.log(worst), math.log(best)
    for _ in range(34):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if kept(math.exp(middle)) else (middle, high)
    return math.exp(high) * KNOBS[name].value(setup)


def _capacity(setup: Setup, numbers: Numbers) -> float:
    """Return the memory of a device that holds the load: weights, caches of all requests, activations, the runtime."""
    batch, input_tokens, output_tokens = numbers
    workers = setup.question.decode_pool.workers if setup.question.decode_pool else setup.replicas
    held = max(batch / workers, 1.0) / setup.memory.plan.attention_dp
    length = input_tokens + output_tokens * (1.0 if setup.together else 0.5)
    used = setup.memory.use(max(held, 1.0), length, min(input_tokens, STEP_TOKENS)).used_bytes
    alone = setup.memory.use(1.0, input_tokens + output_tokens, min(input_tokens, STEP_TOKENS)).used_bytes
    return float(max(used, alone)) / USABLE_FRACTION


_PART = {"peak": "compute_s", "bandwidth": "memory_s", "link": "link_s", "network": "link_s"}
_WORK = {
    "peak": "FLOPs",
    "bandwidth": "bytes from memory",
    "link": "bytes over the links",
    "network": "bytes over the network",
}


def _floor(setup: Setup, name: str, numbers: Numbers, limits: Limits) -> tuple[float | None, str]:
    """Return what the bound asks of a number: the work of a step over its time limit, the largest of all limits."""
    if name == "capacity":
        return _capacity(setup, numbers), "weights + requests*cache + activations + runtime"
    batch, input_tokens, output_tokens = numbers
    sequences = max(batch / setup.replicas, 1.0) if setup.together else 1.0
    found: list[tuple[float, str]] = []
    for metric, limit in limits.named.items():
        if metric in ("ttft", "tpot"):
            deployment = setup.prefill if metric == "ttft" else setup.decode
            shape = (
                StepShape(sequences, input_tokens, input_tokens)
                if metric == "ttft"
                else StepShape(decodes=sequences, decode_context=input_tokens + 0.5 * output_tokens)
            )
            part: Any = getattr(step_parts(deployment, shape), _PART[name])
            # a prompt may pass a pipeline in chunks, all stages at work; a token passes one stage after the other
            work = float(part) / (deployment.plan.pp if metric == "ttft" else 1)
            what = f"{_WORK[name]} of a {_STEP[metric]} / {metric.upper()}"
            found.append((KNOBS[name].value(setup) * work / limit, what))
    return max(found, default=(None, ""))


_STEP = {"ttft": "prefill", "tpot": "decode step"}


@dataclass(frozen=True)
class Curve:
    """The edge of what is enough: for each value of ``x`` the least ``y`` that keeps the limits (None: none does)."""

    x: str
    y: str
    points: list[tuple[float, float | None]]


def trade_off(
    setup: Setup, numbers: Numbers, limits: Limits, x: str = "bandwidth", y: str = "peak", count: int = 17,
    span: float = 8.0,
) -> Curve:  # fmt: skip
    """Return how much of ``y`` each value of ``x`` asks for, ``x`` from a ``span``-th to ``span`` times what it is.

    Errors: :class:`InputError` for a number that the deployment does not have.
    """
    names = present(setup)
    for name in (x, y):
        if name not in SOLVED or name not in names:
            raise InputError(f"no '{name}' to trade here (one of {', '.join(n for n in SOLVED if n in names)})")
    points: list[tuple[float, float | None]] = []
    for i in range(count):
        factor = span ** (2.0 * i / (count - 1) - 1.0)
        points.append((factor * KNOBS[x].value(setup), _least(setup, y, numbers, limits, {x: factor})))
    return Curve(x, y, points)


def jointly(
    setup: Setup, numbers: Numbers, limits: Limits, names: Sequence[str] = ("peak", "bandwidth", "link")
) -> float:
    """Return the factor by which all of the named numbers must grow together for the limits to hold.

    Errors: :class:`PlanError` if no factor up to :data:`WIDEST` is enough: what is left is latency.
    """
    turning = [name for name in names if name in present(setup)]

    def excess(factor: float) -> float:
        return _excess(setup, dict.fromkeys(turning, factor), numbers, limits)

    return _solved(excess)


def _solved(excess: Callable[[float], float]) -> float:
    if excess(WIDEST) > 1.0:
        raise PlanError(
            f"even {WIDEST:g} times as much of everything leaves the limits missed {excess(WIDEST):.2f} times over: "
            "what is left is the time to start kernels, wires and the framework's host"
        )
    low, high = -math.log(WIDEST), math.log(WIDEST)
    for _ in range(34):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if excess(math.exp(middle)) <= 1.0 else (middle, high)
    return math.exp(high)
