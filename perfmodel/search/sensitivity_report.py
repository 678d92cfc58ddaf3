"""Sensitivities and crossovers as one JSON-ready object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel import __version__
from perfmodel.search.bottlenecks import RESOURCES, Along, Crossover, bottleneck_maps, bottlenecks, crossovers
from perfmodel.search.elasticity import METRICS, Elasticity, elasticities, metric_of
from perfmodel.search.knobs import KNOBS, scenario_text
from perfmodel.serving.scenario import Setup
from perfmodel.units import format_quantity, time_text

Numbers = tuple[float, float, float]
_LOAD = {"batch": "sequences of a step", "context": "tokens of a prompt or cache"}


def sensitivity_report(setup: Setup, numbers: Numbers, metrics: Sequence[str], of: str = "expected") -> dict[str, Any]:
    """Return elasticities of ``metrics`` and crossovers (schema ``perfmodel/sensitivity/1``).

    ``bottlenecks`` are the stretches between the crossovers; ``maps`` what bounds a step over sequences and tokens, as
    rows of places in ``resources``.
    """
    rows: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    for metric in metrics:
        rows += [_row(metric, one) for one in elasticities(setup, metric, numbers, of)]
        value = float(metric_of(setup, metric, numbers, of)())
        named.append({"metric": metric, "name": METRICS[metric], "value": value, "text": metric_text(metric, value)})
    along = bottlenecks(setup, numbers)
    return {
        "schema": "perfmodel/sensitivity/1",
        "version": __version__,
        "model": setup.decode.model.name,
        "device": setup.decode.machine.chip.name,
        "scenario": scenario_text(setup, numbers),
        "of": of,
        "metrics": named,
        "elasticities": rows,
        "crossovers": [_crossing(one) for one in crossovers(along)],
        "bottlenecks": [_stretches(one) for one in along],
        "resources": list(RESOURCES),
        "maps": [one._asdict() for one in bottleneck_maps(setup, numbers)],
    }  # fmt: skip


def metric_text(metric: str, value: float) -> str:
    """Return a metric with its unit."""
    if metric in ("ttft", "tpot", "e2e"):
        return time_text(value)
    return f"{value:,.4g}"


def _row(metric: str, one: Elasticity) -> dict[str, Any]:
    return {
        "metric": metric, "number": one.knob, "meaning": one.meaning, "value": one.value,
        "text": number_text(one.knob, one.value), "elasticity": one.derivative, "up": one.up, "down": one.down,
    }  # fmt: skip


def number_text(knob: str, value: float) -> str:
    """Return the value of a knob with its unit."""
    dimension = KNOBS[knob].dimension if knob in KNOBS else ""
    return format_quantity(value, dimension) if dimension else f"{value:,.0f}"


def _crossing(one: Crossover) -> dict[str, Any]:
    return {**one._asdict(), "meaning": _meaning(one.knob), "text": number_text(one.knob, one.at)}


def _stretches(one: Along) -> dict[str, Any]:
    spans = [{**s._asdict(), "from": number_text(one.knob, s.low), "to": number_text(one.knob, s.high)}
             for s in one.spans]  # fmt: skip
    return {"phase": one.phase, "knob": one.knob, "meaning": _meaning(one.knob), "value": one.value,
            "text": number_text(one.knob, one.value), "spans": spans}  # fmt: skip


def _meaning(knob: str) -> str:
    return _LOAD.get(knob) or KNOBS[knob].meaning
