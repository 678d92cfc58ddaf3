"""What the page of an explorer computes of a network: one list of numbers for a setup, and the kernels behind them."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.counts import Counts
from perfmodel.explorer.formulas import BANDS, OperatorLabel
from perfmodel.numeric import Number, maximum, minimum, total, where
from perfmodel.ops import Operator
from perfmodel.serving.network import NetworkAnswer, NetworkSetup, StageTime, spilled
from perfmodel.serving.network_rows import layer_kind, matrix_dtype

_CACHED = ("weight", "kv", "state")


class _Counted:
    """The counts of operators, each counted once: many kernels of a network are the same operator."""

    def __init__(self, setup: NetworkSetup) -> None:
        self._on_chip_bytes = setup.machine.chip.on_chip_bytes
        self._counts: dict[int, Counts] = {}
        self._traffic: dict[int, Number] = {}

    def of(self, op: Operator) -> Counts:
        """Return the counts of an operator."""
        if id(op) not in self._counts:
            self._counts[id(op)] = op.counts()
        return self._counts[id(op)]

    def traffic_bytes(self, op: Operator) -> Number:
        """Return what it moves to and from main memory: weights, and those activations that no cache holds."""
        if id(op) not in self._traffic:
            moved = spilled(self.of(op), self._on_chip_bytes).bytes
            self._traffic[id(op)] = total(v for k, v in moved.items() if k.tier == "main" and k.role in _CACHED)
        return self._traffic[id(op)]


def network_formula(setup: NetworkSetup, batch: Number) -> tuple[dict[str, Number], list[OperatorLabel], list[Number]]:
    """Return the numbers of an answer by name, and the kernels with the explorer's fields of each, one by one.

    As :func:`perfmodel.explorer.formulas.answer_formula`: a number's name is its path in the JSON object of
    ``perfmodel estimate``.
    """
    answer, counted = setup.answer(batch), _Counted(setup)
    latency, rate = answer.latency, answer.samples_per_s
    named: dict[str, Number] = {f"latency_s.{band}": getattr(latency, band) for band in BANDS}
    named |= {
        "samples_per_s": rate, "samples_per_s_bound": minimum(batch, rate * latency.expected) / latency.bound,
        "samples_per_s_per_device": rate / setup.question.dp,
    }  # fmt: skip
    named |= _memory(answer) | _energy_and_money(setup, answer)
    rows = [value for stage in answer.stages for row in _rows(stage, counted) for value in row]
    named |= _work(setup, answer, counted, batch)
    if len(answer.stages) > 1:
        for place, stage in enumerate(answer.stages):
            named[f"stages.{place}.latency_s"] = stage.step.time.expected * stage.repeat
            named[f"stages.{place}.bound_s"] = stage.step.time.bound * stage.repeat
    return named, _labels(setup, answer), rows


def _memory(answer: NetworkAnswer) -> dict[str, Number]:
    parts = ("capacity_bytes", "weights_bytes", "activation_bytes", "overhead_bytes", "free_bytes")
    return {
        **{f"memory.{name}": getattr(answer.memory, name) for name in parts},
        "memory.largest_batch": answer.largest_batch,
        "fits": where(answer.fits, 1.0, 0.0),
    }


def _energy_and_money(setup: NetworkSetup, answer: NetworkAnswer) -> dict[str, Number]:
    found: dict[str, Number] = {}
    facts, joules, watts = setup.energy_facts, answer.joules_per_sample, answer.power_w
    if facts is not None and joules is not None and watts is not None:
        found |= {
            "joules_per_sample": joules, "power_w_per_device": watts,
            "energy.joules_per_sample_p10": joules * facts.p10, "energy.joules_per_sample_p90": joules * facts.p90,
        }  # fmt: skip
    if answer.usd_per_million_samples is not None:
        found["usd_per_million_samples"] = answer.usd_per_million_samples
    return found


def _work(setup: NetworkSetup, answer: NetworkAnswer, counted: _Counted, batch: Number) -> dict[str, Number]:
    """Return the work of a sample, and MFU and MBU of the stage that takes longest, as the report has them."""
    chip = setup.machine.chip
    used = {key.dtype for op in _operators(answer) for key in counted.of(op).flops if key.engine == "tensor"}
    dtypes = used & {*chip.peaks, *chip.sparse_peaks} or {min(chip.peaks)}
    peak: Number = maximum(0.0, *(chip.peak_flops_per_s(name) for name in sorted(dtypes)))
    flops = moved = longest = mfu = mbu = 0.0
    for stage in answer.stages:
        operators = [row.step.operator for row in stage.step.operators]
        flops = flops + stage.repeat * total(counted.of(op).total_flops() for op in operators)
        moved = moved + stage.repeat * total(counted.of(op).total_bytes() for op in operators)
        matrix = total(counted.of(op).filter_flops(engine="tensor").total_flops() for op in operators)
        seconds = stage.step.time.expected
        traffic = total(counted.traffic_bytes(op) for op in operators)
        longer = seconds * stage.repeat > longest
        mfu = where(longer, matrix / (seconds * peak), mfu)
        mbu = where(longer, traffic / (seconds * chip.memory_bandwidth_bytes_per_s), mbu)
        longest = maximum(longest, seconds * stage.repeat)
    return {
        "bytes_per_sample": moved / maximum(batch / setup.question.dp, 1.0),
        "arithmetic_intensity_flops_per_byte": flops / moved, "mfu": mfu, "mbu": mbu,
    }  # fmt: skip


def _operators(answer: NetworkAnswer) -> list[Operator]:
    found = {id(row.step.operator): row.step.operator for stage in answer.stages for row in stage.step.operators}
    return list(found.values())


def _rows(stage: StageTime, counted: _Counted) -> list[list[Number]]:
    """Return the explorer's fields of each kernel, all its runs for a batch together."""
    known: dict[int, list[Number]] = {}
    for row in stage.step.operators:
        op, bound = row.step.operator, row.bound
        if id(op) not in known:
            counts = counted.of(op)
            each = (row.expected_s, bound.compute_s, bound.memory_s, bound.link_s, counts.total_flops(),
                    counts.total_bytes(), 0.0)  # fmt: skip
            known[id(op)] = [value * stage.repeat for value in each]
    return [known[id(row.step.operator)] for row in stage.step.operators]


def _labels(setup: NetworkSetup, answer: NetworkAnswer) -> list[OperatorLabel]:
    return [
        OperatorLabel(stage.network.name, row.step.name, layer_kind(row.step.operator), row.step.operator.KIND,
                      matrix_dtype(row.step.operator) or setup.plan.precision, float(stage.repeat))
        for stage in answer.stages for row in stage.step.operators
    ]  # fmt: skip


def network_memory_formula(setup: NetworkSetup, batch: Number) -> Sequence[Number]:
    """Return (weights, activations, overhead) bytes of a device at ``batch`` samples over all devices."""
    use = setup.memory_of(maximum(batch / setup.question.dp, 1.0))
    return use.weights_bytes, use.activation_bytes, use.overhead_bytes
