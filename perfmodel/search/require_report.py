"""Requirements as one JSON-ready object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from perfmodel import __version__
from perfmodel.errors import InputError, PlanError
from perfmodel.search.knobs import KNOBS, present, scenario_text
from perfmodel.search.require import (
    LATENCIES,
    SOLVED,
    TOGETHER,
    Limits,
    Need,
    jointly,
    needs,
    platform,
)
from perfmodel.search.sensitivity_report import number_text
from perfmodel.search.trade import trade_off
from perfmodel.serving.scenario import Setup

Numbers = tuple[float, float, float]
_NONE = "no value of it alone"


def asked_limits(usecase: str, limits: Mapping[str, float], of: str = "expected") -> Limits:
    """Return the limits in seconds, infinite where none is stated, else those of the use case.

    Errors: :class:`InputError` for a use case or a kind of answer that there is not.
    """
    found = {name: limit for name, limit in limits.items() if limit < math.inf}
    if usecase:
        from perfmodel.workloads.usecases import load_usecase

        case = load_usecase(usecase)
        found = {"ttft": case.ttft_s, "tpot": case.tpot_s, **found}
    return Limits(found.get("ttft"), found.get("tpot"), found.get("e2e"), of)


def require_report(setup: Setup, numbers: Numbers, limits: Limits, trade: str = "bandwidth,peak") -> dict[str, Any]:
    """Return what is required of the platform (schema ``perfmodel/require/1``)."""
    found = needs(setup, numbers, limits)
    try:
        factor: float | None = jointly(setup, numbers, limits)
        problem = ""
    except PlanError as error:
        factor, problem = None, str(error)
    curve = _curve(setup, numbers, limits, trade, factor or 1.0)
    return {
        "schema": "perfmodel/require/1",
        "version": __version__,
        "model": setup.decode.model.name,
        "device": setup.decode.machine.chip.name,
        "scenario": scenario_text(setup, numbers),
        "required": ", ".join(f"{name.upper()} within {1e3 * limit:g} ms" for name, limit in limits.named.items())
        + f" ({limits.of})",
        "limits": {f"{name}_s": limit for name, limit in limits.named.items()} | {"of": limits.of},
        "together": factor,
        "finding": _finding(setup, found, factor, problem),
        "needs": [_row(need) for need in found],
        "curve": curve,
    }  # fmt: skip


def _finding(setup: Setup, found: list[Need], factor: float | None, problem: str) -> str:
    name = setup.decode.machine.chip.name
    short = [need.meaning for need in found if need.knob == "capacity" and not need.enough]
    memory = f" It lacks {short[0]}." if short else ""
    if factor is None:
        return f"No {name} will do, however much faster: {problem}.{memory}"
    if factor <= 1.0:
        spare = f"{1 / factor:.2f}" if factor > 1e-3 else "more than 1000"
        return f"{name} is enough, with cores, bandwidth and links {spare} times what is needed.{memory}"
    return f"A {name} with {factor:.2f} times the cores, the bandwidth and the links would do.{memory}"


def _row(need: Need) -> dict[str, Any]:
    def text(value: float | None, otherwise: str) -> str:
        return otherwise if value is None else number_text(need.knob, value)

    limit = "at most " if need.knob in LATENCIES and need.alone is not None else ""
    return {
        "number": need.knob, "meaning": need.meaning, "has": need.has, "has_text": text(need.has, ""),
        "floor": need.floor, "floor_text": text(need.floor, ""), "formula": need.formula, "alone": need.alone,
        "alone_text": limit + text(need.alone, _NONE), "enough": need.enough,
        "verdict": "enough" if need.enough else "too little" if need.knob not in LATENCIES else "too long",
    }  # fmt: skip


def _curve(setup: Setup, numbers: Numbers, limits: Limits, trade: str, grown: float) -> dict[str, Any] | None:
    """Return the edge between two numbers; where both are not enough, on a platform whose others have grown too."""
    names = [name.strip() for name in trade.split(",")]
    known = [name for name in SOLVED if name in present(setup)]
    if len(names) != 2 or names[0] == names[1]:
        raise InputError(f"--trade: '{trade}' must name two of {', '.join(known)}, such as bandwidth,peak")
    found, others = trade_off(setup, numbers, limits, names[0], names[1]), 1.0
    if not found.points and grown > 1.0:
        others = grown
        rest = dict.fromkeys((name for name in TOGETHER if name in known and name not in names), others)
        found = trade_off(platform(setup, rest), numbers, limits, names[0], names[1])
    if all(y is None for _, y in found.points):
        return None
    points = [
        {
            "x": x,
            "y": y,
            "x_text": number_text(found.x, x),
            "y_text": number_text(found.y, y) if y else "none is enough",
        }
        for x, y in found.points
    ]
    return {
        "x": found.x, "y": found.y, "x_meaning": KNOBS[found.x].meaning, "y_meaning": KNOBS[found.y].meaning,
        "x_has": KNOBS[found.x].value(setup), "y_has": KNOBS[found.y].value(setup), "others": others, "points": points,
    }  # fmt: skip
