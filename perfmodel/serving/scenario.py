"""A question, checked once and asked for many lengths and batches: what stays fixed, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from perfmodel.cost.energy import EnergyFacts, energy_facts
from perfmodel.cost.machine import machine_for
from perfmodel.cost.price import Rates, rates_for
from perfmodel.devices import Device
from perfmodel.errors import InputError, PlanError, did_you_mean
from perfmodel.numeric import Number, maximum, minimum, where
from perfmodel.ops.routing import Routing, parse_routing
from perfmodel.plan.memory import RUNTIME_BYTES, MemoryModel, MemoryUse
from perfmodel.plan.parallelism import Plan, validate_plan
from perfmodel.plan.precision import choose_precisions
from perfmodel.serving.closed_loop import aggregated, disaggregated
from perfmodel.serving.energy import Energy, request_energy, under_limit
from perfmodel.serving.framework import Framework, load_framework
from perfmodel.serving.money import Money, request_money
from perfmodel.serving.phases import Phases, static_batch
from perfmodel.serving.pipeline import STEP_TOKENS, decode_steps_bound, prefill_bound
from perfmodel.serving.step import Deployment
from perfmodel.workloads.spec import LanguageModel

PHASES = ("serve", "prefill", "decode")
ENGINES = ("", "vllm", "sglang", "trtllm")
MODES = ("agg", "disagg")


@dataclass(frozen=True)
class Pool:
    """``workers`` equal groups of devices that run one phase of a disaggregated deployment."""

    workers: int
    plan: Plan

    @property
    def devices(self) -> int:
        """Return the devices of all workers."""
        return self.workers * int(self.plan.devices)


@dataclass(frozen=True)
class Question:
    """All of a question but its numbers (batch and lengths). Precisions None: what the checkpoint says.

    ``power_limit_w`` None is the board's own; ``price_kind`` picks one of the device's prices, which
    ``usd_per_device_hour`` overrides; ``usd_per_kwh`` adds electricity.
    """

    plan: Plan = Plan()
    precision: str | None = None
    moe_precision: str | None = None
    kv_precision: str | None = None
    phase: str = "serve"
    static: bool = False
    engine: str = ""
    mode: str = "agg"
    routing: str = "uniform"
    prefill_pool: Pool | None = None
    decode_pool: Pool | None = None
    power_limit_w: float | None = None
    price_kind: str = "cloud_hour"
    usd_per_device_hour: float | None = None
    usd_per_kwh: float | None = None


@dataclass(frozen=True)
class Answer:
    """Times and rates of a deployment, and the memory of its fullest device; rates are of the whole deployment.

    ``extras`` are energy and money by the names of their columns (:meth:`Setup.extras`).
    """

    phases: Phases
    memory: MemoryUse
    most_running: Number
    devices: Number
    fits: Number
    extras: Mapping[str, Number]

    @property
    def requests_per_s(self) -> Number:
        """Return finished requests a second."""
        return self.phases.requests_per_s

    @property
    def tokens_per_s(self) -> Number:
        """Return output tokens a second (phase prefill: input tokens are ``requests_per_s`` times the input)."""
        return self.phases.output_tokens_per_s


@dataclass(frozen=True)
class Setup:
    """A checked question: everything that does not depend on batch and lengths."""

    question: Question
    decode: Deployment
    prefill: Deployment
    framework: Framework
    memory: MemoryModel
    replicas: int
    devices: int
    energy_facts: EnergyFacts | None = None
    rates: Rates | None = None

    def answer(self, batch: Number, input_tokens: Number, output_tokens: Number) -> Answer:
        """Return the answer for ``batch`` requests in flight over the whole deployment (static: started together)."""
        q = self.question
        memory, most = self.memory_of(batch, input_tokens, output_tokens)
        per_replica = maximum(batch / self.replicas, 1.0)
        if q.phase != "serve" or q.static:
            found = static_batch(self.decode, self.framework, per_replica, input_tokens, output_tokens, q.phase)
            found = _times(found, minimum(batch * 1.0, self.replicas * 1.0))
        elif q.prefill_pool and q.decode_pool:
            workers = (q.prefill_pool.workers, q.decode_pool.workers)
            found = disaggregated(
                self.prefill, self.decode, workers, self.framework, batch, most, input_tokens,
                output_tokens,
            )  # fmt: skip
        else:
            found = aggregated(self.decode, self.framework, per_replica, most, input_tokens, output_tokens)
            found = _times(found, minimum(batch * 1.0, self.replicas * 1.0))
        if q.power_limit_w is not None and self.energy_facts is not None:
            found = under_limit(found, self.prefill, self.decode, self.energy_facts, output_tokens)
        extras = self.extras(found, input_tokens, output_tokens)
        return Answer(found, memory, most, self.devices, self.fits(batch, most), extras)

    def extras(self, phases: Phases, input_tokens: Number, output_tokens: Number) -> dict[str, Number]:
        """Return energy and money as plain numbers by the names of their columns; what is not known is not there.

        ``joules_per_token`` is of output tokens (phase prefill: of input tokens), without the host.
        """
        energy = self.energy(phases, output_tokens)
        money = self.money(phases, energy, input_tokens, output_tokens)
        found: dict[str, Number] = {}
        if energy is not None:
            tokens = input_tokens if phases.tpot is None else output_tokens
            if phases.prefill is None:
                tokens = maximum(output_tokens - 1.0, 1.0)
            found["joules_per_token"] = energy.joules_per_request / tokens
            found["power_w_per_device"] = energy.power_w
        if money is not None:
            found["usd_per_million_tokens"] = money.usd_per_million_tokens
            found["usd_per_million_input_tokens"] = money.usd_per_million_input_tokens
            found["usd_per_million_output_tokens"] = money.usd_per_million_output_tokens
        return found

    def energy(self, phases: Phases, output_tokens: Number) -> Energy | None:
        """Return the energy of a request, or None for a device of unknown power."""
        if self.energy_facts is None:
            return None
        return request_energy(phases, self.prefill, self.decode, self.energy_facts, self.devices, output_tokens)

    def money(self, phases: Phases, energy: Energy | None, input_tokens: Number, output_tokens: Number) -> Money | None:
        """Return what a request costs, or None if no price is known."""
        if self.rates is None:
            return None
        q, joules = self.question, None if energy is None else energy.joules_per_request
        pools = None
        if q.prefill_pool and q.decode_pool:
            pools = q.prefill_pool.devices, q.decode_pool.devices
        return request_money(phases, self.rates, self.devices, joules, (input_tokens, output_tokens), pools)

    @property
    def together(self) -> bool:
        """Say whether all requests start together and keep step."""
        return self.question.static or self.question.phase != "serve"

    def fits(self, batch: Number, most: Number) -> Number:
        """Return whether memory suffices: for all requests that start together, else for one."""
        return maximum(batch / self.replicas, 1.0) <= most if self.together else most >= 1.0

    def memory_of(self, batch: Number, input_tokens: Number, output_tokens: Number) -> tuple[MemoryUse, Number]:
        """Return (memory of the fullest device, most requests that a replica or decode worker can hold)."""
        q = self.question
        most = self.most_running(input_tokens, output_tokens, together=self.together)
        workers = q.decode_pool.workers if q.decode_pool else self.replicas
        held = maximum(batch / workers, 1.0)
        if not self.together:
            held = minimum(held, maximum(most, 1.0))
        in_group = maximum(held / self.memory.plan.attention_dp, 1.0)
        length = input_tokens + output_tokens * (1.0 if self.together else 0.5)
        return self.memory.use(in_group, length, minimum(input_tokens, STEP_TOKENS)), most

    def most_running(self, input_tokens: Number, output_tokens: Number, *, together: bool) -> Number:
        """Return how many requests a replica (a decode worker) can hold.

        Started together they all reach their full length; in a steady state they are of all ages, so that each holds
        half of its output on average. One request must fit at full length, and its prompt on a prefill worker.
        """
        step_tokens = minimum(input_tokens, STEP_TOKENS)
        full = self.memory.largest_batch(input_tokens + output_tokens, step_tokens)
        if self.question.prefill_pool:
            pool = replace(self.memory, plan=self.prefill.plan, precisions=self.prefill.precisions)
            full = where(pool.largest_batch(input_tokens, step_tokens) >= 1.0, full, 0.0)
        if together:
            return full
        return where(full >= 1.0, self.memory.largest_batch(input_tokens + output_tokens * 0.5, step_tokens), 0.0)

    def bounds(
        self, batch: Number, input_tokens: Number, output_tokens: Number
    ) -> tuple[Number | None, Number | None, Number | None]:
        """Return the bounds of TTFT, TPOT and E2E alone, as :meth:`answer` has them (None: not asked for)."""
        q = self.question
        sequences = maximum(batch / self.replicas, 1.0) if self.together else 1.0
        steps = maximum(output_tokens - 1.0, 0.0)
        ttft = tpot = None
        if q.phase != "decode":
            ttft = prefill_bound(self.prefill, sequences, input_tokens)
        if q.phase != "prefill":
            tpot = decode_steps_bound(self.decode, sequences, input_tokens, output_tokens)
        if ttft is None or tpot is None:
            return ttft, tpot, ttft if tpot is None else tpot * steps
        return ttft, tpot, ttft + tpot * steps


def _times(one: Phases, replicas: Number) -> Phases:
    return replace(
        one,
        requests_per_s=one.requests_per_s * replicas,
        output_tokens_per_s=one.output_tokens_per_s * replicas,
        running=one.running * replicas,
        waiting=one.waiting * replicas,
    )


def prepare(model: LanguageModel, device: Device, question: Question) -> Setup:
    """Check a question and return its setup, the same object when asked again.

    Errors: :class:`InputError` for a word that is not known, :class:`PlanError` for a plan that cannot be.
    """
    key = (id(model), id(device), question)  # hashing a model and a device takes longer than answering
    found = _SETUPS.get(key)
    if found is None:
        if len(_SETUPS) >= _MOST_SETUPS:
            _SETUPS.clear()
        found = _SETUPS[key] = _Kept(model, device, _prepare(model, device, question))
    return found.setup


class _Kept(NamedTuple):
    """A setup with what its key stands for, kept alive so that no id is used twice."""

    model: LanguageModel
    device: Device
    setup: Setup


_SETUPS: dict[tuple[int, int, Question], _Kept] = {}
_MOST_SETUPS = 4096


def _prepare(model: LanguageModel, device: Device, question: Question) -> Setup:
    _check_words(question)
    if not model.generates and question.phase != "prefill":
        what = f"{model.name} is an encoder and generates nothing, so that there is no phase {question.phase}"
        raise PlanError(f"{what}; ask --phase prefill")
    if question.mode == "disagg":
        return _prepare_pools(model, device, question)
    deployment = _deployment(model, device, question, question.plan)
    loop = question.phase == "serve" and not question.static
    framework = load_framework(question.engine, "agg", loop=loop, dtype=deployment.precisions.linear.calibrated_as)
    memory = _memory_model(deployment, device)
    replicas = int(question.plan.dp)
    return Setup(
        question, deployment, deployment, framework, memory, replicas, int(question.plan.devices),
        _energy_facts(device, question), _rates(device, question),
    )  # fmt: skip


def _prepare_pools(model: LanguageModel, device: Device, q: Question) -> Setup:
    if q.prefill_pool is None or q.decode_pool is None:
        raise PlanError("mode disagg needs both pools: prefill_* and decode_* workers, tp, attention_dp, moe_tp, ep")
    if q.phase != "serve" or q.static:
        raise PlanError("mode disagg serves in a closed loop; use phase serve without static")
    prefill, decode = (_deployment(model, device, q, pool.plan) for pool in (q.prefill_pool, q.decode_pool))
    devices = q.prefill_pool.devices + q.decode_pool.devices
    framework = load_framework(q.engine, "disagg", loop=True, dtype=decode.precisions.linear.calibrated_as)
    memory = _memory_model(decode, device)
    facts, rates = _energy_facts(device, q), _rates(device, q)
    return Setup(q, decode, prefill, framework, memory, 1, devices, facts, rates)


def _energy_facts(device: Device, q: Question) -> EnergyFacts | None:
    facts = energy_facts(device)
    if q.power_limit_w is None:
        return facts
    if facts is None:
        raise InputError(f"{device.name} states no power limit, so that its energy is not known; leave the limit out")
    if not facts.static_w < q.power_limit_w <= 2 * facts.limit_w:
        raise InputError(
            f"power limit {q.power_limit_w:g} W must lie above the {facts.static_w:g} W that an idle {device.name} "
            f"draws and at most at twice the board's {facts.limit_w:g} W"
        )
    return replace(facts, limit_w=q.power_limit_w, board_w=facts.limit_w)


def _rates(device: Device, q: Question) -> Rates | None:
    return rates_for(device, q.price_kind, q.usd_per_device_hour, q.usd_per_kwh)


def _deployment(model: LanguageModel, device: Device, q: Question, plan: Plan) -> Deployment:
    validate_plan(model, plan)
    machine = machine_for(device, int(plan.devices_per_replica), q.engine)
    peaks = frozenset(machine.chip.peaks)
    precisions = choose_precisions(model, peaks, q.precision, q.moe_precision, q.kv_precision, served=bool(q.engine))
    return Deployment(model, machine, plan, precisions, _routing(q.routing))


def _memory_model(deployment: Deployment, device: Device) -> MemoryModel:
    # chips whose main memory is on the chip, or in a design of its own, hold no runtime: their host does
    runtime = 0.0 if device.kind in ("wafer", "dataflow", "fpga", "pim") else RUNTIME_BYTES
    return MemoryModel(
        deployment.model, deployment.plan, deployment.precisions, device.main_memory.capacity_bytes, runtime
    )


@lru_cache(maxsize=16)
def _routing(text: str) -> Routing:
    return parse_routing(text)


def _check_words(q: Question) -> None:
    for what, value, known in (("phase", q.phase, PHASES), ("engine", q.engine, ENGINES), ("mode", q.mode, MODES)):
        if value not in known:
            names = ", ".join(k or '""' for k in known)
            extra = "; training is not modelled yet" if value in ("train", "training") else ""
            raise InputError(f"unknown {what} '{value}'{did_you_mean(value, known)} (one of {names}){extra}")


__all__ = ["ENGINES", "MODES", "PHASES", "Answer", "Pool", "Question", "Setup", "prepare"]
