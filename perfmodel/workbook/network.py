"""What the live workbook of a network computes: a sheet for each network of its pipeline, the same cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from perfmodel.network_api import NetworkEstimate
from perfmodel.numeric import Number
from perfmodel.readings.trace import Graph
from perfmodel.serving.network import NetworkAnswer, NetworkSetup, StageTime
from perfmodel.serving.network_rows import layer_kind, matrix_dtype
from perfmodel.workbook.model import (
    BANDS,
    LiveModel,
    Metric,
    OperatorRow,
    PhaseSheet,
    matrix_flops,
    operator_row,
    with_used_inputs,
)
from perfmodel.workbook.numbers import NamedNumber, named_network_setup

_LONGEST_SHEET_NAME = 31


def live_network_model(estimate: NetworkEstimate) -> LiveModel:
    """Return the answer of a network's setup as a graph over named inputs.

    Raises TypeError where a formula can only be computed, not traced.
    """
    try:
        return _traced(estimate, engines=True)
    except TypeError:
        return _traced(estimate, engines=False)


def _traced(estimate: NetworkEstimate, *, engines: bool) -> LiveModel:
    graph = Graph()
    setup, names = named_network_setup(estimate.setup, estimate.device, graph, engines=engines)
    meaning = "samples at once, over all devices"
    batch = names.input(NamedNumber("batch", "request", float(estimate.batch), "1", meaning, "as asked"))
    answer = setup.answer(batch)
    phases = tuple(_sheet(graph, setup, place, stage, answer) for place, stage in enumerate(answer.stages))
    settings: dict[str, Any] = {
        "matrix units (for their feeds and the board's power)": setup.machine.chip.matrix_pace or "not slow"
    }
    return with_used_inputs(LiveModel(graph, names.numbers, phases, tuple(_metrics(graph, setup, answer)), settings))


def _sheet(graph: Graph, setup: NetworkSetup, place: int, stage: StageTime, answer: NetworkAnswer) -> PhaseSheet:
    """Return the sheet of a network: its kernels, and the time of all its runs for a batch."""
    name = "kernels"
    if len(answer.stages) > 1:
        name = re.sub(r"\W+", "_", f"network{place + 1}_{stage.network.name}")[:_LONGEST_SHEET_NAME]
    step, repeat = stage.step, stage.repeat
    numbers: dict[str, Number] = {f"{band}_s": getattr(step.time, band) * repeat for band in BANDS}
    numbers |= {part: getattr(step.bound_parts, part) * repeat for part in ("compute_s", "memory_s", "link_s")}
    matrix = matrix_flops(step)
    chip = setup.machine.chip
    used = sorted({dtype for row in step.operators if (dtype := matrix_dtype(row.step.operator)) in chip.peaks})
    if len(used) == 1:  # of several dtypes the report's MFU is over the largest peak, whichever that is
        numbers["mfu"] = matrix / (step.time.expected * chip.peak_flops_per_s(used[0]))
    cells = {key: graph.lift(value) for key, value in numbers.items()}
    return PhaseSheet(name, tuple(_rows(graph, setup, stage)), cells, f"network {stage.network.name}")


def _rows(graph: Graph, setup: NetworkSetup, stage: StageTime) -> Iterator[OperatorRow]:
    """Yield the row of each kernel; those that are alike have the same cells."""
    known: dict[int, OperatorRow] = {}
    for row in stage.step.operators:
        op = row.step.operator
        if id(op) not in known:
            known[id(op)] = operator_row(graph, row, stage.repeat)
        dtype = matrix_dtype(op) or setup.plan.precision
        same = known[id(op)]
        yield OperatorRow(row.step.name, layer_kind(op), op.KIND, dtype, row.step.behind, same.repeat, same.cells)


def _metrics(graph: Graph, setup: NetworkSetup, answer: NetworkAnswer) -> Iterator[Metric]:
    def one(name: str, unit: str, value: Number, *, swept: bool = False) -> Metric:
        return Metric(name, unit, {"": graph.lift(value)}, swept)

    yield Metric("latency_s", "s", {band: graph.lift(getattr(answer.latency, band)) for band in BANDS}, True)
    yield one("samples_per_s", "1/s", answer.samples_per_s, swept=True)
    yield one("samples_per_s_per_device", "1/s", answer.samples_per_s / setup.question.dp, swept=True)
    for name, unit, value in (
        ("usd_per_million_samples", "USD", answer.usd_per_million_samples),
        ("joules_per_sample", "J", answer.joules_per_sample),
        ("power_w_per_device", "W", answer.power_w),
    ):
        if value is not None:
            yield one(name, unit, value, swept=name != "power_w_per_device")
    for name in ("capacity", "weights", "activation", "overhead", "used", "free"):
        yield one(f"memory.{name}_bytes", "B", getattr(answer.memory, f"{name}_bytes"), swept=name == "used")
    yield one("memory.largest_batch", "samples", answer.largest_batch)
    yield one("fits", "", answer.fits, swept=True)
