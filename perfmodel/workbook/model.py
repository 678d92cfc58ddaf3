"""What a live workbook computes: the answer of a setup as a graph over named inputs, in the parts that sheets show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.api import Estimate
from perfmodel.cost.operator_cost import Z80, static_dtype
from perfmodel.numeric import Number, exp, maximum, minimum, total
from perfmodel.readings.trace import Graph, Node
from perfmodel.readings.writer import reachable
from perfmodel.serving.pipeline import STEP_TOKENS
from perfmodel.serving.scenario import Answer, Setup
from perfmodel.serving.timed import StepTime, Time, TimedOperator
from perfmodel.workbook.numbers import REQUEST, NamedNumber, named_setup
from perfmodel.workloads.caches import cache_rows

OPERATOR_CELLS = (
    "flops", "bytes", "link_bytes", "compute_s", "memory_s", "link_s", "bound_s", "each_expected_s", "expected_s",
    "p10_s", "p90_s",
)  # fmt: skip
BANDS = ("expected", "bound", "p10", "p90")


@dataclass(frozen=True)
class OperatorRow:
    """An operator of a step: its words, how often it runs, and a node for each of :data:`OPERATOR_CELLS`."""

    name: str
    part: str
    kind: str
    dtype: str
    behind: str
    repeat: float
    cells: Mapping[str, Node]


@dataclass(frozen=True)
class PhaseSheet:
    """A step: its operators, and the step's own numbers by name (times, parts of the bound, MFU, MBU).

    ``what`` says what it is (prefill, decode, a network), ``name`` is that of its sheet.
    """

    name: str
    operators: tuple[OperatorRow, ...]
    step: Mapping[str, Node]
    what: str


@dataclass(frozen=True)
class Metric:
    """A line of the summary: one node, or one for each of :data:`BANDS`."""

    name: str
    unit: str
    cells: Mapping[str, Node]
    swept: bool = False


@dataclass(frozen=True)
class LiveModel:
    """The graph of an estimate and all that its workbook shows. ``inputs`` are the numbers that the graph reads."""

    graph: Graph
    inputs: Mapping[str, NamedNumber]
    phases: tuple[PhaseSheet, ...]
    metrics: tuple[Metric, ...]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def titled(self) -> Iterator[tuple[str, Node]]:
        """Yield every node that a cell shows, with what it is called."""
        for phase in self.phases:
            for row in phase.operators:
                yield from ((f"{phase.name} {row.name}: {cell}", node) for cell, node in row.cells.items())
            yield from ((f"{phase.name} step: {name}", node) for name, node in phase.step.items())
        for metric in self.metrics:
            yield from ((f"{metric.name} {name}".strip(), node) for name, node in metric.cells.items())

    @property
    def roots(self) -> list[Node]:
        """Return every node that a cell shows."""
        return [node for _, node in self.titled()]


def live_model(estimate: Estimate) -> LiveModel:
    """Return the answer of an estimate's setup as a graph over named inputs."""
    try:
        return _traced(estimate, engines=True)
    except TypeError:
        # a form of an engine may branch on its settings: then they stay as they are, and the rest lives
        return _traced(estimate, engines=False)


def _traced(estimate: Estimate, *, engines: bool) -> LiveModel:
    graph = Graph()
    setup, names = named_setup(estimate.setup, estimate.device, graph, engines=engines)
    asked = dict(zip(REQUEST, (estimate.batch, estimate.input_tokens, estimate.output_tokens), strict=True))
    request = [
        names.input(NamedNumber(name, "request", float(asked[name]), "1", meaning, "as asked"))
        for name, meaning in REQUEST.items()
    ]
    answer = setup.answer(*request)
    steps = [("prefill", answer.phases.prefill), ("decode", answer.phases.decode)]
    phases = tuple(_phase(graph, setup, name, step) for name, step in steps if step is not None)
    metrics = tuple(_metrics(graph, setup, answer, *request))
    return with_used_inputs(LiveModel(graph, names.numbers, phases, metrics, _settings(estimate.setup)))


def with_used_inputs(model: LiveModel) -> LiveModel:
    """Return a model with those inputs that its graph reads, by group."""
    read = {node.args[0] for node in reachable(model.roots) if node.op == "input"}
    inputs = {name: number for name, number in model.inputs.items() if name in read or name in REQUEST}
    order = sorted(inputs, key=lambda name: _GROUPS.index(inputs[name].group))
    return replace(model, inputs={name: inputs[name] for name in order})


def _settings(setup: Setup) -> dict[str, Any]:
    """Return what picks formulas and coefficients beside the question's words."""
    machine = setup.decode.machine
    link = machine.link
    found: dict[str, Any] = {
        "matrix units (for their feeds and the board's power)": machine.chip.matrix_pace or "not slow"
    }
    if link is not None:
        found |= {"link topology": link.topology, "devices of a domain": float(link.domain_size)}
    return found


_GROUPS = ("request", "price", "device", "coefficients")


def _phase(graph: Graph, setup: Setup, name: str, step: StepTime) -> PhaseSheet:
    rows = tuple(operator_row(graph, row) for row in step.operators)
    chip, precisions = setup.decode.machine.chip, setup.decode.precisions
    matrix = matrix_flops(step)
    numbers: dict[str, Number] = {f"{band}_s": getattr(step.time, band) for band in BANDS}
    numbers |= {part: getattr(step.bound_parts, part) for part in ("compute_s", "memory_s", "link_s")}
    numbers["mfu"] = matrix / (step.time.expected * chip.peak_flops_per_s(precisions.linear.compute))
    numbers["mbu"] = step.bound_parts.memory_s / step.time.expected
    return PhaseSheet(name, rows, {key: graph.lift(value) for key, value in numbers.items()}, f"{name} step")


def matrix_flops(step: StepTime) -> Number:
    """Return the flops of a step's matrix products."""
    return total(
        row.step.repeat * row.step.operator.counts().filter_flops(engine="tensor").total_flops()
        for row in step.operators
    )


def operator_row(graph: Graph, row: TimedOperator, times: float = 1.0) -> OperatorRow:
    """Return the cells of an operator of a step that runs ``times`` times."""
    op, repeat = row.step.operator, row.step.repeat * times
    counts = op.counts()
    sent = total(value for key, value in counts.bytes.items() if key.tier == "link" and key.direction == "write")
    expected = repeat * row.expected_s
    parts = [repeat * part for part in (row.bound.compute_s, row.bound.memory_s, row.bound.link_s)]
    bound = maximum(*(graph.lift(part) for part in parts))
    low = maximum(expected * exp(-Z80 * row.spread_low), bound)
    values = (
        repeat * counts.total_flops(), repeat * counts.total_bytes(), repeat * sent, *parts, bound, row.expected_s,
        expected, low, expected * exp(Z80 * row.spread_high),
    )  # fmt: skip
    cells = {name: graph.lift(value) for name, value in zip(OPERATOR_CELLS, values, strict=True)}
    return OperatorRow(row.step.name, row.step.part, op.KIND, static_dtype(op), row.step.behind, float(repeat), cells)


def _metrics(
    graph: Graph, setup: Setup, answer: Answer, batch: Number, input_tokens: Number, output_tokens: Number
) -> Iterator[Metric]:
    del batch, output_tokens
    phases = answer.phases

    def one(name: str, unit: str, value: Number, *, swept: bool = False) -> Metric:
        return Metric(name, unit, {"": graph.lift(value)}, swept)

    for name in ("ttft", "tpot", "e2e"):
        time: Time | None = getattr(phases, name)
        if time is not None:
            yield Metric(f"{name}_s", "s", {band: graph.lift(getattr(time, band)) for band in BANDS}, True)
    rate = answer.tokens_per_s * (input_tokens if setup.question.phase == "prefill" else 1.0)
    yield one("tokens_per_s", "1/s", rate, swept=True)
    yield one("tokens_per_s_per_device", "1/s", rate / setup.devices, swept=True)
    yield one("requests_per_s", "1/s", answer.requests_per_s)
    yield one("running", "requests", phases.running, swept=True)
    yield one("waiting", "requests", phases.waiting)
    for name, unit in _EXTRAS.items():
        if name in answer.extras:
            swept = name in ("usd_per_million_tokens", "joules_per_token")
            yield one(name, unit, answer.extras[name], swept=swept)
    yield from _memory(graph, setup, answer, input_tokens)


_EXTRAS = {
    "usd_per_million_tokens": "USD", "usd_per_million_input_tokens": "USD", "usd_per_million_output_tokens": "USD",
    "joules_per_token": "J", "power_w_per_device": "W",
}  # fmt: skip


def _memory(graph: Graph, setup: Setup, answer: Answer, input_tokens: Number) -> Iterator[Metric]:
    """Yield the memory of the fullest device as the report has it."""
    memory, sizes = answer.memory, setup.memory
    groups = maximum(graph.lift(answer.phases.running) / (sizes.plan.attention_dp * setup.replicas), 1.0)
    values: dict[str, Number] = {
        name: getattr(memory, f"{name}_bytes")
        for name in ("capacity", "weights", "kv", "activation", "overhead", "used", "free")
    }
    for name, value in values.items():
        yield Metric(f"memory.{name}_bytes", "B", {"": graph.lift(value)}, name == "used")
    yield Metric("memory.largest_batch", "requests", {"": graph.lift(answer.most_running * setup.replicas)})
    if sizes.model.maximum_tokens or any(tuple(cache_rows(group)) for group in sizes.model.layers):
        longest = sizes.longest_context(groups, minimum(input_tokens, STEP_TOKENS))
        yield Metric("memory.longest_context_tokens", "tokens", {"": graph.lift(longest)})
    yield Metric("fits", "", {"": graph.lift(answer.fits)}, True)
