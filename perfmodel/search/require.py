"""The question turned round: the machine that keeps the limits that a service has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.errors import InputError, PlanError
from perfmodel.numeric import Number, maximum
from perfmodel.plan.memory import USABLE_FRACTION
from perfmodel.plan.step_shape import StepShape
from perfmodel.search.knobs import KNOBS, present, turned
from perfmodel.serving.scenario import STEP_TOKENS, Setup
from perfmodel.serving.step import step_parts

Numbers = tuple[float, float, float]
SOLVED = ("peak", "bandwidth", "capacity", "link", "network")
"""Numbers that are solved for, where the deployment has them; latencies are solved as the most that is allowed."""

TOGETHER = ("peak", "bandwidth", "link", "network")
"""Numbers that grow together, those that the deployment has: a platform that is so many times faster."""

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

    def times(self, setup: Setup, numbers: Numbers) -> dict[str, Number]:
        """Return the times that the limits are for, in seconds, by metric."""
        if self.of == "bound":
            return dict(zip(("ttft", "tpot", "e2e"), setup.bounds(*numbers), strict=True))
        phases = setup.answer(*numbers).phases
        return {name: getattr(getattr(phases, name), self.of) for name in self.named}

    def excess(self, setup: Setup, numbers: Numbers) -> Number:
        """Return the largest of the times over their limits: at most one where all are kept."""
        times = self.times(setup, numbers)
        return maximum(0.0, *(times[name] / limit for name, limit in self.named.items()))


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


def platform(setup: Setup, factors: Mapping[str, Number]) -> Setup:
    """Return the setup on a platform with its numbers multiplied by factors; a higher peak comes from more cores.

    Cores of a higher peak each would soon wait for their own latencies and caches, of which nobody asks.
    """
    return turned(setup, {_BY.get(name, name): factor for name, factor in factors.items()})


_BY = {"peak": "cores"}


def excess_of(setup: Setup, factors: Mapping[str, Number], numbers: Numbers, limits: Limits) -> Number:
    """Return the largest of the times over their limits on a platform of other numbers, and enough memory."""
    return limits.excess(_with_room(platform(setup, factors), numbers), numbers)


def _with_room(setup: Setup, numbers: Numbers) -> Setup:
    """Return the setup with memory for the whole load: speed is asked for apart from capacity."""
    needed = _capacity(setup, numbers)
    return replace(setup, memory=replace(setup.memory, capacity_bytes=maximum(needed, setup.memory.capacity_bytes)))


def _least(setup: Setup, name: str, numbers: Numbers, limits: Limits, *, falling: bool = False) -> float | None:
    """Return the least value of a number (``falling``: the most) that keeps the limits, all else as it is."""
    found = solved(lambda factor: excess_of(setup, {name: factor}, numbers, limits), 1, falling=falling)[0]
    return None if math.isnan(found) else found * KNOBS[name].value(setup)


def solved(excess: Callable[[Any], Number], rows: int, *, falling: bool = False) -> list[float]:
    """Return for each row the least factor (``falling``: the most) with which it keeps the limits, NaN if none does.

    ``excess`` takes a column of factors for each row, all evaluated at once; seven grids, each 16 times finer.
    """
    import numpy as np

    sign = -1.0 if falling else 1.0
    low, high = (np.full((rows, 1), sign * edge * math.log(WIDEST)) for edge in (-1.0, 1.0))
    none = np.broadcast_to(np.asarray(excess(np.exp(high)), dtype=float), (rows, 1))[:, 0] > 1.0
    for _ in range(7):
        grid = low + (high - low) * np.linspace(0.0, 1.0, 17)[None, :]
        kept = np.broadcast_to(np.asarray(excess(np.exp(grid)), dtype=float), grid.shape) <= 1.0
        first = np.where(kept.any(axis=1), kept.argmax(axis=1), 16)[:, None]
        low, high = (np.take_along_axis(grid, np.maximum(first - back, 0), axis=1) for back in (1, 0))
    return np.where(none, np.nan, np.exp(high[:, 0])).tolist()


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


def jointly(setup: Setup, numbers: Numbers, limits: Limits, names: Sequence[str] = TOGETHER) -> float:
    """Return the factor by which all of the named numbers must grow together for the limits to hold.

    Errors: :class:`PlanError` if no factor up to :data:`WIDEST` is enough: what is left is latency.
    """
    turning = [name for name in names if name in present(setup)]

    def excess(factor: Number) -> Number:
        return excess_of(setup, dict.fromkeys(turning, factor), numbers, limits)

    found = solved(excess, 1)[0]
    if math.isnan(found):
        most = _with_room(platform(setup, dict.fromkeys(turning, WIDEST)), numbers)
        left = ", ".join(
            f"{name.upper()} {1e3 * time:.3g} ms where {1e3 * limit:g} ms are asked for"
            for name, limit in limits.named.items()
            if (time := float(limits.times(most, numbers)[name])) > limit
        )
        raise PlanError(
            f"even {WIDEST:g} times as much of everything leaves {left}: the time to start kernels, wires and the "
            "framework's host"
        )
    return found
