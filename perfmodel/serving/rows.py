"""The operators behind an answer as flat rows of plain numbers, for tables, files and figures."""

from __future__ import annotations

import math
from typing import Any

from perfmodel.cost.operator_cost import Z80, static_dtype
from perfmodel.serving.step import StepTime, TimedOperator


def operator_rows(phase: str, step: StepTime, bandwidth_bytes_per_s: float) -> list[dict[str, Any]]:
    """Return one row an operator of a step: counts and times of all its repetitions, in SI units."""
    total = sum(float(r.step.repeat * r.expected_s) for r in step.operators)
    return [_row(phase, operator, total, bandwidth_bytes_per_s) for operator in step.operators]


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
        "share": expected / total_s if total_s else 0.0,
        # by all traffic: activations may stay in a cache, which the bound grants, but their bytes are what limits
        "bottleneck": max(parts, key=lambda name: max(parts[name], traffic_s if name == "memory" else 0.0)),
    }


def utilisation(step: StepTime, peak_flops_per_s: float, bandwidth_bytes_per_s: float) -> tuple[float, float]:
    """Return (MFU, MBU) of a step on one device.

    ``MFU = matrix flops/(time*peak)``, ``MBU = (weight + KV bytes)/(time*bandwidth)``, with the expected time.
    """
    matrix = needed = 0.0
    for row in step.operators:
        counts, repeat = row.step.operator.counts(), row.step.repeat
        matrix += repeat * float(counts.filter_flops(engine="tensor").total_flops())
        needed += repeat * sum(float(v) for k, v in counts.bytes.items() if k.role in ("weight", "kv"))
    seconds = float(step.time.expected)
    return matrix / (seconds * peak_flops_per_s), needed / (seconds * bandwidth_bytes_per_s)
