"""Sensitivities and crossovers as one JSON-ready object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel import __version__
from perfmodel.search.elasticity import METRICS, Crossover, Elasticity, crossovers, elasticities, metric_of
from perfmodel.search.knobs import KNOBS, REQUEST
from perfmodel.serving.scenario import Setup
from perfmodel.units import format_quantity

Numbers = tuple[float, float, float]
_LOAD = {"batch": "sequences of a step", "context": "tokens of a prompt or cache"}


def sensitivity_report(setup: Setup, numbers: Numbers, metrics: Sequence[str], of: str = "expected") -> dict[str, Any]:
    """Return elasticities of ``metrics`` and crossovers (schema ``perfmodel/sensitivity/1``)."""
    rows: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    for metric in metrics:
        rows += [_row(metric, one) for one in elasticities(setup, metric, numbers, of)]
        value = float(metric_of(setup, metric, numbers, of)())
        named.append({"metric": metric, "name": METRICS[metric], "value": value, "text": metric_text(metric, value)})
    batch, inputs, outputs = numbers
    return {
        "schema": "perfmodel/sensitivity/1",
        "version": __version__,
        "model": setup.decode.model.name,
        "device": setup.decode.machine.chip.name,
        "scenario": f"{batch:g} requests in flight, {inputs:g} input and {outputs:g} output tokens, "
        f"{setup.devices} device{'s' * (setup.devices != 1)}",
        "of": of,
        "metrics": named,
        "elasticities": rows,
        "crossovers": [_crossing(one) for one in crossovers(setup, numbers)],
    }  # fmt: skip


def metric_text(metric: str, value: float) -> str:
    """Return a metric with its unit."""
    if metric in ("ttft", "tpot", "e2e"):
        return f"{1e3 * value:,.4g} ms" if value < 10 else f"{value:,.4g} s"
    return f"{value:,.4g}"


def _row(metric: str, one: Elasticity) -> dict[str, Any]:
    return {
        "metric": metric, "number": one.knob, "meaning": one.meaning, "value": one.value,
        "text": number_text(one.knob, one.value), "elasticity": one.derivative, "up": one.up, "down": one.down,
    }  # fmt: skip


def number_text(knob: str, value: float) -> str:
    """Return the value of a knob with its unit."""
    return f"{value:,.0f}" if knob in REQUEST or knob in _LOAD else format_quantity(value, KNOBS[knob].dimension)


def _crossing(one: Crossover) -> dict[str, Any]:
    meaning = _LOAD.get(one.knob) or KNOBS[one.knob].meaning
    return {**one._asdict(), "meaning": meaning, "text": number_text(one.knob, one.at)}
