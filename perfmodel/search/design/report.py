"""A search for a chip as one call, and its answer as one JSON-ready object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import whole
from perfmodel.devices import load_device
from perfmodel.plan.parallelism import Plan
from perfmodel.search.design.chip import base_values, designed
from perfmodel.search.design.engines import PREFIX, changes_of, peak_growth
from perfmodel.search.design.evaluate import METRICS, Designs
from perfmodel.search.design.optimise import Aim, Found, Progress, optimise
from perfmodel.search.design.space import parse_space
from perfmodel.serving.scenario import Question
from perfmodel.units import format_quantity
from perfmodel.workloads.library import load_model

Row = dict[str, Any]
AGAINST = ("area_mm2", "power_w", "chip_usd")
"""What the front trades a single objective against: the first of these that is known."""


def design_report(
    model: str,
    like: str,
    vary: Sequence[str],
    *,
    batch: Any = 1,
    input_tokens: Any = 1024,
    output_tokens: Any = 256,
    tp: Any = 1,
    precision: str = "",
    engine: str = "",
    objectives: Sequence[str] = ("usd_per_million_tokens",),
    limits: Mapping[str, float] | None = None,
    trials: Any = 2000,
    seed: Any = 0,
    searcher: str = "auto",
    progress: Progress | None = None,
) -> Row:
    """Return the best chip for a model and what it trades (schema ``perfmodel/design/1``).

    ``vary`` are the ranges of :func:`parse_space`, ``limits`` the most (of rates: the least) of metrics. With one
    objective the front trades it against the area (power or price where no area is known).

    Errors: :class:`PerfmodelError` for an unknown name, or a number that the device does not have.
    """
    load = tuple(float(whole(name, value)) for name, value in
                 (("batch", batch), ("input_tokens", input_tokens), ("output_tokens", output_tokens)))  # fmt: skip
    question = Question(plan=Plan(tp=whole("tp", tp)), precision=precision or None, engine=engine)
    device = load_device(like)
    designs = Designs(load_model(model), device, parse_space(vary, device), question, (load[0], load[1], load[2]))
    aim = Aim(_with_second(tuple(objectives), designs.of_like()), dict(limits or {}))
    found = optimise(designs, aim, whole("trials", trials), whole("seed", seed, least=0), searcher, progress)
    return {
        "schema": "perfmodel/design/1",
        "version": __version__,
        "model": designs.model.name,
        "like": designs.like.name,
        "inputs": {"vary": list(vary), "batch": load[0], "input_tokens": load[1], "output_tokens": load[2],
                   "tp": int(question.plan.tp), "precision": designs.dtype, "engine": engine,
                   "objectives": list(objectives), "limits": dict(aim.limits), "seed": whole("seed", seed, least=0)},
        "objectives": list(aim.objectives),
        "axes": [{"name": axis.name, "meaning": axis.meaning} for axis in designs.space.axes],
        "metrics": {name: {"name": METRICS[name][0], "better": "more" if METRICS[name][2] > 0 else "less"}
                    for name in found.metrics},
        "searcher": found.searcher,
        "evaluated": len(found.unit),
        "kept": int((found.violation <= 0.0).sum()),
        "model_chip": designs.of_like(),
        "best": None if found.best is None else _row(designs, found, found.best),
        "device": None if found.best is None else _settings(designs, found, found.best),
        "front": [_row(designs, found, place) for place in found.front],
        "nearest": None if found.best is not None else {**_row(designs, found, found.nearest),
                                                       "misses": _misses(found, aim)},
    }  # fmt: skip


def _with_second(objectives: tuple[str, ...], known: Mapping[str, Any]) -> tuple[str, ...]:
    if len(objectives) > 1:
        return objectives
    return objectives + tuple(name for name in AGAINST if name in known and name not in objectives)[:1]


def _row(designs: Designs, found: Found, place: int) -> Row:
    """Return a design: its values, those in words, its metrics, and whether it keeps the limits."""
    decoded = designs.space.decode(found.unit[place : place + 1])
    values = {axis.name: axis.value(decoded[axis.name][0]) for axis in designs.space.axes}
    words = ", ".join(f"{axis.name} {axis.text(values[axis.name])}" for axis in designs.space.axes)
    metrics = {name: float(column[place]) for name, column in found.metrics.items()}
    return {"design": words, **values, **metrics, "keeps_limits": bool(found.violation[place] <= 0.0)}


def _settings(designs: Designs, found: Found, place: int) -> list[str]:
    """Return the best chip as words of ``perfmodel device new --like ... --set ...``."""
    decoded = designs.space.decode(found.unit[place : place + 1])
    base = base_values(designs.like, designs.dtype)
    mine = {name: float(column[0]) for name, column in decoded.items() if name in base}
    grown = {name: value / base[name] for name, value in mine.items()}
    matrix = grown.get("peak", grown.get("cores", 1.0) * grown.get("clock", 1.0))
    matrix = matrix * float(peak_growth(designs.like, changes_of(mine)))
    vector = grown.get("vector", grown.get("cores", 1.0) * grown.get("clock", 1.0))
    factors = {"tensor": matrix, "vector": vector}
    said = [f"peaks.{p.engine}.{p.dtype}=*{factors[p.engine]:.6g}" for p in designs.like.peaks
            if p.sparsity == "dense" and factors.get(p.engine, 1.0) != 1.0]  # fmt: skip
    fields = {"cores": "chip.cores", "clock": "chip.clock", "bandwidth": "memory.main.bandwidth",
              "capacity": "memory.main.capacity", "cache": "memory.last_level_cache.capacity",
              "link": "links.scale_up.bandwidth", "network": "links.scale_out.bandwidth"}  # fmt: skip
    fields |= {name: name for name in mine if name.startswith(PREFIX)}
    dimensions = {axis.name: axis.dimension for axis in designs.space.axes}
    said += [f"{field}={_quantity(mine[name], dimensions[name])}" for name, field in fields.items() if name in mine]
    power = designed(designs.like, mine, designs.dtype).power_w
    return said if power is None else [*said, f"power={float(power):.6g}W"]


_UNITS = {"hertz": "Hz", "flops_per_s": "FLOP/s", "bytes_per_s": "B/s", "bytes": "B", "seconds": "s"}


def _quantity(value: float, dimension: str) -> str:
    return f"{value:.6g}{_UNITS[dimension]}" if dimension else str(round(value))


def _misses(found: Found, aim: Aim) -> list[str]:
    place = found.nearest
    said: list[str] = []
    for name, limit in {**aim.limits, "memory_share": 1.0}.items():
        value, better = float(found.metrics[name][place]), METRICS[name][2]
        if not (value >= limit if better > 0 else value <= limit):
            said.append(f"{METRICS[name][0]} {metric_text(name, value)} against {metric_text(name, limit)}")
    return said


def metric_text(name: str, value: float | None) -> str:
    """Return a metric with its unit."""
    if value is None or math.isnan(value):
        return ""
    dimension = METRICS[name][1]
    return format_quantity(value, dimension) if dimension else f"{value:,.4g}"
