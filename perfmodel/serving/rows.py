"""The operators behind an answer as flat rows of plain numbers, for tables, files and figures."""

from __future__ import annotations

import math
from typing import Any

from perfmodel.cost.gpu.collectives import algorithm_of
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import Z80, static_dtype
from perfmodel.ops import Collective, Operator
from perfmodel.serving.timed import StepTime, TimedOperator, sticking_out


def operator_rows(phase: str, step: StepTime, machine: Machine) -> list[dict[str, Any]]:
    """Return one row an operator of a step: counts and times of all its repetitions, in SI units."""
    total = sum(float(r.step.repeat * r.expected_s) for r in step.operators)
    bandwidth = float(machine.chip.memory_bandwidth_bytes_per_s)
    rows = [_row(phase, operator, total, bandwidth) for operator in step.operators]
    for row, timed in zip(rows, step.operators, strict=True):
        row["algorithm"] = _algorithm(timed.step.operator, machine)
    return rows


def _algorithm(op: Operator, machine: Machine) -> str:
    """Return how a collective is done; nothing for other operators."""
    if not isinstance(op, Collective) or machine.link is None:
        return ""
    if op.KIND == "expert_exchange":
        return "direct"
    c = machine.coefficients("collectives", op.KIND, static_dtype(op))
    return algorithm_of(op, c, machine.link, machine.chip.clock_hz)


def _row(phase: str, timed: TimedOperator, total_s: float, bandwidth_bytes_per_s: float) -> dict[str, Any]:
    op, repeat = timed.step.operator, timed.step.repeat
    counts = op.counts()
    flops, moved = float(counts.total_flops()) * repeat, float(counts.total_bytes()) * repeat
    expected, bound = float(timed.expected_s) * repeat, float(timed.bound.time_s) * repeat
    traffic_s = moved / bandwidth_bytes_per_s
    parts = {
        "compute": float(timed.bound.compute_s) * repeat,
        "memory": float(timed.bound.memory_s) * repeat,
        "link": float(timed.bound.link_s) * repeat,
    }
    return {
        "phase": phase,
        "name": timed.step.name,
        "part": timed.step.part,
        "kind": op.KIND,
        "dtype": static_dtype(op),
        "repeat": repeat,
        "flops": flops,
        "bytes": moved,
        "link_bytes": sum(float(v) for k, v in counts.bytes.items() if k.tier == "link" and k.direction == "write")
        * repeat,
        "arithmetic_intensity_flops_per_byte": flops / moved if moved else None,
        "bound_s": bound,
        "expected_s": expected,
        "p10_s": max(bound, expected * math.exp(-Z80 * timed.spread_low)),
        "p90_s": expected * math.exp(Z80 * timed.spread_high),
        "compute_s": parts["compute"],
        "memory_s": parts["memory"],
        "link_s": parts["link"],
        "behind": timed.step.behind,
        "share": expected / total_s if total_s else 0.0,
        # by all traffic: activations may stay in a cache, which the bound grants, but their bytes are what limits
        "bottleneck": max(parts, key=lambda name: max(parts[name], traffic_s if name == "memory" else 0.0)),
    }


def communication(step: StepTime) -> dict[str, float]:
    """Return the expected seconds of a step's collectives: ``total = overlapped + exposed + non_overlappable``.

    Overlapped is what hides behind computation, exposed what could have and sticks out, non-overlappable what every
    following operator waits for.
    """
    weighed = [(r, float(r.step.repeat * r.expected_s)) for r in step.operators]
    moved = [(r, t) for r, t in weighed if isinstance(r.step.operator, Collective)]
    exposed = sum(float(x) for x in sticking_out(weighed))
    able = sum(t for r, t in moved if r.step.behind)
    everything = sum(t for _, t in moved)
    return {
        "total_s": everything,
        "overlapped_s": able - exposed,
        "exposed_s": exposed,
        "non_overlappable_s": everything - able,
    }


def utilisation(step: StepTime, peak_flops_per_s: float) -> tuple[float, float]:
    """Return (MFU, MBU) of a step on one device, with the expected time.

    ``MFU = matrix flops/(time*peak)``. ``MBU = sum(bytes/bandwidth)/time``: bytes of weights, KV cache and states, each
    at the full rate of the memory that its engine reads, which is not the device's own where memory itself computes.
    """
    matrix = 0.0
    for row in step.operators:
        matrix += row.step.repeat * float(row.step.operator.counts().filter_flops(engine="tensor").total_flops())
    seconds = float(step.time.expected)
    return matrix / (seconds * peak_flops_per_s), float(step.bound_parts.memory_s) / seconds
