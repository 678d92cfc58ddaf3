"""What the page of an explorer computes: one list of numbers for a setup, and the operators behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.cost.operator_cost import static_dtype
from perfmodel.numeric import Number, maximum, minimum, total, where
from perfmodel.serving.pipeline import STEP_TOKENS
from perfmodel.serving.scenario import Answer, Setup
from perfmodel.serving.timed import StepTime, Time, TimedOperator
from perfmodel.workloads.caches import cache_rows

OPERATOR_FIELDS = ("expected_s", "compute_s", "memory_s", "link_s", "flops", "bytes", "link_bytes")
BANDS = ("bound", "expected", "p10", "p90")


@dataclass(frozen=True)
class OperatorLabel:
    """What does not depend on numbers of an operator of a step; ``peak`` is the dtype of the matrix peak it runs at."""

    phase: str
    name: str
    part: str
    kind: str
    dtype: str
    repeat: float
    peak: str = ""

    def at_peak(self, peak: str) -> OperatorLabel:
        """Return the same with its peak."""
        return replace(self, peak=peak)


def answer_formula(
    setup: Setup, batch: Number, input_tokens: Number, output_tokens: Number
) -> tuple[dict[str, Number], list[OperatorLabel], list[Number]]:
    """Return the numbers of an answer by name, and the operators with :data:`OPERATOR_FIELDS` of each, one by one.

    A number's name is its path in the JSON object of ``perfmodel estimate``.
    """
    answer = setup.answer(batch, input_tokens, output_tokens)
    phases = answer.phases
    named: dict[str, Number] = {}
    for name in ("ttft", "tpot", "e2e"):
        named |= _time(f"{name}_s", getattr(phases, name))
    step = phases.decode or phases.prefill
    named |= _time("step_s", step and step.time)
    tokens = answer.tokens_per_s * (input_tokens if setup.question.phase == "prefill" else 1.0)
    named |= {"tokens_per_s": tokens, "tokens_per_s_per_device": tokens / setup.devices}
    named |= {name: getattr(phases, name) for name in ("requests_per_s", "running", "waiting")}
    named |= _memory(setup, answer, input_tokens) | dict(answer.extras) | _energy(setup, answer, output_tokens)
    labels: list[OperatorLabel] = []
    rows: list[Number] = []
    for phase, step in (("prefill", phases.prefill), ("decode", phases.decode)):
        if step is not None:
            named |= _utilisation(setup, phase, step)
            labels += [_label(phase, row) for row in step.operators]
            rows += [value for row in step.operators for value in _row(row)]
    return named, labels, rows


def _time(name: str, time: Time | None) -> dict[str, Number]:
    return {} if time is None else {f"{name}.{band}": getattr(time, band) for band in BANDS}


def _memory(setup: Setup, answer: Answer, input_tokens: Number) -> dict[str, Number]:
    """Return the memory as in the report: at the requests that run, and how many or how long they could be."""
    memory, sizes = answer.memory, setup.memory
    groups = maximum(answer.phases.running / float(sizes.plan.attention_dp) / setup.replicas, 1.0)
    parts = ("capacity_bytes", "weights_bytes", "kv_bytes", "activation_bytes", "overhead_bytes", "free_bytes")
    longest = sizes.longest_context(groups, minimum(input_tokens, STEP_TOKENS))
    limited = sizes.model.maximum_tokens or any(tuple(cache_rows(group)) for group in sizes.model.layers)
    return {
        **{f"memory.{name}": getattr(memory, name) for name in parts},
        "memory.largest_batch": answer.most_running * setup.replicas,
        **({"memory.longest_context_tokens": longest} if limited else {}),
        "fits": where(answer.fits, 1.0, 0.0),
    }


def _energy(setup: Setup, answer: Answer, output_tokens: Number) -> dict[str, Number]:
    energy, facts = setup.energy(answer.phases, output_tokens), setup.energy_facts
    if energy is None or facts is None:
        return {}
    each = answer.extras["joules_per_token"]
    return {
        "energy.joules_per_token_p10": each * facts.p10, "energy.joules_per_token_p90": each * facts.p90,
        "energy.slow_down": energy.slow_down, "energy.joules_per_request": energy.joules_per_request,
    }  # fmt: skip


def _utilisation(setup: Setup, phase: str, step: StepTime) -> dict[str, Number]:
    """Return the parts of a step's bound, MFU and MBU as :func:`perfmodel.serving.rows.utilisation` has them."""
    deployment = setup.decode  # as the report does, for both
    chip = deployment.machine.chip
    peak = chip.peak_flops_per_s(deployment.precisions.linear.compute)
    matrix = total(
        row.step.repeat * row.step.operator.counts().filter_flops(engine="tensor").total_flops()
        for row in step.operators
    )
    return {
        f"{phase}.mfu": matrix / (step.time.expected * peak),
        f"{phase}.mbu": step.bound_parts.memory_s / step.time.expected,
        **{f"{phase}.{part}": getattr(step.bound_parts, part) for part in ("compute_s", "memory_s", "link_s")},
    }


def _label(phase: str, row: TimedOperator) -> OperatorLabel:
    step = row.step
    dtype = static_dtype(step.operator)
    return OperatorLabel(phase, step.name, step.part, step.operator.KIND, dtype, float(step.repeat))


def _row(row: TimedOperator) -> list[Number]:
    counts, bound, repeat = row.step.operator.counts(), row.bound, row.step.repeat
    sent = total(v for k, v in counts.bytes.items() if k.tier == "link" and k.direction == "write")
    each = (
        row.expected_s, bound.compute_s, bound.memory_s, bound.link_s, counts.total_flops(), counts.total_bytes(), sent
    )  # fmt: skip
    return [value * repeat for value in each]


def memory_formula(setup: Setup, batch: Number, tokens: Number, input_tokens: Number) -> Sequence[Any]:
    """Return (weights, KV cache, activations, overhead) bytes of a device that holds ``batch`` requests of ``tokens``.

    All of the deployment's requests at once (of pools: on the decode workers), whether they fit or not.
    """
    pool = setup.question.decode_pool
    workers = pool.workers if pool else setup.replicas
    sequences = maximum(batch / workers / setup.memory.plan.attention_dp, 1.0)
    use = setup.memory.use(sequences, tokens, minimum(input_tokens, STEP_TOKENS))
    return use.weights_bytes, use.kv_bytes, use.activation_bytes, use.overhead_bytes
