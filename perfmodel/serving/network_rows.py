"""The kernels behind a network's answer as flat rows: as those of a language model, with the block of each."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.cost.machine import Machine
from perfmodel.ops import Fused, Operator
from perfmodel.ops.conv import Convolution
from perfmodel.serving.network import NetworkAnswer, StageTime
from perfmodel.serving.rows import operator_rows

_SUMS = ("flops", "bytes", "link_bytes", "bound_s", "expected_s", "p10_s", "p90_s", "compute_s", "memory_s", "link_s")


def network_rows(stage: StageTime, machine: Machine, precision: str) -> list[dict[str, Any]]:
    """Return one row a kernel of a network, all its runs for a batch together.

    As :func:`perfmodel.serving.rows.operator_rows`; ``phase`` is the network, ``part`` the kind of layer
    (:func:`layer_kind`), ``block`` the block of the network. ``precision`` is the dtype of kernels without products.
    """
    rows = operator_rows(stage.network.name, stage.step, machine)
    operators = [timed.step.operator for timed in stage.step.operators]
    return [_row(row, op, stage.repeat, precision) for row, op in zip(rows, operators, strict=True)]


def _row(row: dict[str, Any], op: Operator, times: float, precision: str) -> dict[str, Any]:
    found = {**row, "block": row["part"], "part": layer_kind(op), "dtype": matrix_dtype(op) or precision}
    return found | {name: row[name] * times for name in ("repeat", *_SUMS)}


def layer_kind(op: Operator) -> str:
    """Return what kind of layer a kernel is, a fused one by the part with the most arithmetic.

    One of convolution, depthwise, dense, attention, lookup, pooling and element-wise (norms, activations, copies).
    """
    if isinstance(op, Fused):
        return layer_kind(_lead(op))
    if isinstance(op, Convolution):
        return "depthwise" if op.in_per_group == 1 and op.groups != 1 else "convolution"
    for kinds, name in _KINDS:
        if isinstance(op, kinds):
            return name
    return "element-wise"


_KINDS: tuple[tuple[tuple[type[Operator], ...], str], ...] = (
    ((ops.Linear,), "dense"),
    ((ops.AttentionPrefill, ops.BatchedMatmul), "attention"),
    ((ops.EmbeddingBag, ops.Embedding), "lookup"),
    ((ops.Pool, ops.Resize), "pooling"),
)


def _lead(op: Fused) -> Operator:
    matrix = [part for part in op.parts if matrix_dtype(part)]
    return max(matrix or op.parts, key=lambda part: float(part.counts().total_flops()))


def matrix_dtype(op: Operator) -> str:
    """Return the dtype of a kernel's matrix products, an empty text if it has none."""
    found = [key.dtype for key in op.counts().flops if key.engine == "tensor"]
    return found[0] if found else ""


def bottlenecks(answer: NetworkAnswer, machine: Machine, count: int) -> list[str]:
    """Return for each of ``count`` batches what most of the expected time is spent on: compute or memory."""
    import numpy as np

    bandwidth = machine.chip.memory_bandwidth_bytes_per_s
    computing = np.zeros(count)
    moving = np.zeros(count)
    for stage in answer.stages:
        for timed in stage.step.operators:
            traffic_s = timed.step.operator.counts().total_bytes() / bandwidth
            busy = np.asarray(timed.bound.compute_s, dtype=float)
            waits = np.maximum(np.asarray(timed.bound.memory_s, dtype=float), np.asarray(traffic_s, dtype=float))
            spent = np.asarray(timed.expected_s, dtype=float) * timed.step.repeat * stage.repeat
            computing = computing + np.where(busy >= waits, spent, 0.0)
            moving = moving + np.where(busy >= waits, 0.0, spent)
    return ["compute" if compute >= memory else "memory" for compute, memory in zip(computing, moving, strict=True)]
