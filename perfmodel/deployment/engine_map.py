"""Which engine of a device runs which layer of a network: an integer program over all layers at once.

Source: Herald (Kwon et al., HPCA 2021, arXiv:1909.07437) for sub-accelerators with different dataflows; solved exactly
(:mod:`perfmodel.programs`) instead of by a heuristic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from perfmodel.cost.operator_cost import operator_cost
from perfmodel.errors import InputError, PlanError, did_you_mean
from perfmodel.programs import Row, minimised
from perfmodel.serving.network import NetworkSetup

GOALS = ("latency", "throughput")
"""One sample as early as can be; or as many as can be, each engine at work on another one."""


@dataclass(frozen=True)
class EngineMap:
    """The engine of each layer, by name, and the seconds that each engine and their exchange take for a sample."""

    goal: str
    layers: tuple[str, ...]
    engines: tuple[str, ...]
    seconds: tuple[float, ...]
    busy_s: dict[str, float]
    exchange_s: float
    latency_s: float
    period_s: float
    alone_s: dict[str, float | None]


def map_network(setup: NetworkSetup, batch: int = 1, goal: str = "latency") -> EngineMap:
    """Return the best assignment of a network's kernels to the engines of its device.

    Goal "latency": least ``sum t + sum exchange``; "throughput": least ``max(sum t of each engine, sum exchange)``. A
    change of engine between kernels that follow one another takes their bytes over the main memory's bandwidth. Errors:
    :class:`InputError` for an unknown goal, :class:`PlanError` for a device of fewer than two engines.
    """
    if goal not in GOALS:
        raise InputError(f"unknown goal '{goal}'{did_you_mean(goal, GOALS)} (one of {', '.join(GOALS)})")
    machine = setup.machine
    if len(machine.engines) < 2:
        raise PlanError(f"{setup.device.name} lists fewer than two engines; there is nothing to choose")
    alone = [(name, replace(machine, engines=((name, engine),))) for name, engine in machine.engines]
    ops = [k.operator.batched(float(batch)) for schedule in setup.schedules for k in schedule]
    names = tuple(k.name for schedule in setup.schedules for k in schedule)
    times = [
        [
            float(operator_cost(op, one).expected_s) if engine.takes(op) else math.inf
            for (_, one), (_, engine) in zip(alone, machine.engines, strict=True)
        ]
        for op in ops
    ]
    sent = [sum(float(v) for k, v in op.counts().bytes.items() if k.direction == "write") for op in ops[:-1]]
    moves = [size / float(machine.chip.memory_bandwidth_bytes_per_s) for size in sent]
    chosen = assign(times, moves, goal)
    return _answer(goal, names, [name for name, _ in machine.engines], times, moves, chosen)


def _answer(
    goal: str, names: tuple[str, ...], engines: list[str], times: list[list[float]], moves: list[float],
    chosen: list[int],
) -> EngineMap:  # fmt: skip
    seconds = tuple(times[i][e] for i, e in enumerate(chosen))
    busy = {name: sum(s for s, e in zip(seconds, chosen, strict=True) if engines[e] == name) for name in engines}
    exchange = sum(move for move, a, b in zip(moves, chosen[:-1], chosen[1:], strict=True) if a != b)
    totals = {name: sum(row[e] for row in times) for e, name in enumerate(engines)}
    return EngineMap(
        goal, names, tuple(engines[e] for e in chosen), seconds, busy, exchange, sum(seconds) + exchange,
        max(*busy.values(), exchange), {name: t if math.isfinite(t) else None for name, t in totals.items()},
    )  # fmt: skip


def assign(times: Sequence[Sequence[float]], moves: Sequence[float], goal: str) -> list[int]:
    """Return the engine of each layer that minimises the goal, exactly.

    ``times[i][e]`` may be infinite (engine e cannot run layer i); ``moves[i]`` is paid if layers i and i + 1 differ.
    Binaries ``x_ie`` with ``sum_e x_ie = 1``, ``y_i >= x_ie - x_(i+1)e``.
    """
    layers, engines = len(times), len(times[0])
    x, y, last = layers * engines, layers - 1, layers * engines + layers - 1
    flat = [t for row in times for t in row]
    scale = max(*(t for t in flat if math.isfinite(t)), 1e-30)  # seconds of kernels are below a solver's tolerances
    shares = [t / scale if math.isfinite(t) else 0.0 for t in flat]
    rows = [Row({i * engines + e: 1.0 for e in range(engines)}, 1.0, 1.0) for i in range(layers)]
    rows += [
        Row({x + i: 1.0, i * engines + e: -1.0, (i + 1) * engines + e: 1.0}, 0.0, math.inf)
        for i in range(y)
        for e in range(engines)
    ]
    if goal == "latency":
        cost = [*shares, *(move / scale for move in moves), 0.0]
    else:
        cost = [0.0] * last + [1.0]
        loads = [{i * engines + e: -shares[i * engines + e] for i in range(layers)} for e in range(engines)]
        loads.append({x + i: -moves[i] / scale for i in range(y)})
        rows += [Row({**load, last: 1.0}, 0.0, math.inf) for load in loads]
    upper = [*(float(math.isfinite(t)) for t in flat), *[1.0] * y, math.inf]
    found = minimised(cost, rows, upper=upper, whole=x)
    if found is None:
        raise PlanError("no assignment of layers to engines: there is a layer that none of them runs")
    parts = [found[i * engines : (i + 1) * engines] for i in range(layers)]
    return [part.index(max(part)) for part in parts]
