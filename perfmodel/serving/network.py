"""A network on a machine: the time of a batch, images a second, memory and energy; one question, many batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from perfmodel import ops
from perfmodel.calibration import Coefficients
from perfmodel.cost.energy import EnergyFacts, Joules, clock_loss, dynamic_energy, energy_facts, limit_factor, overload
from perfmodel.cost.machine import Machine, machine_for
from perfmodel.cost.operator_cost import OperatorCost, operator_cost
from perfmodel.cost.price import Rates, rates_for, usd_per_request
from perfmodel.counts import Counts, read
from perfmodel.devices import Device
from perfmodel.errors import InputError, did_you_mean
from perfmodel.numeric import Number, floor, maximum, minimum, total
from perfmodel.ops.conv import Convolution
from perfmodel.plan.liveness import Liveness, liveness
from perfmodel.plan.network import Kernel, NetworkPlan, kernels
from perfmodel.plan.step_shape import StepOperator
from perfmodel.serving.decode_bound import sum_bounds
from perfmodel.serving.spread import combined_spread
from perfmodel.serving.timed import StepTime, Time, TimedOperator
from perfmodel.workloads.network import AnyNetwork, Network, NetworkPipeline, as_pipeline

ENGINES: Mapping[str, tuple[str, bool]] = {
    "": ("epilogue", True),
    "torch": ("none", False),
    "torch-channels-last": ("none", False),
    "torch-compile": ("pointwise", False),
    "tensorrt": ("epilogue", True),
    "onnxruntime": ("epilogue", True),
}
"""What runs a network: how it fuses unless it is told, and whether it folds batch norms into the layers before."""

GPU_RUNTIME_BYTES = 0.6e9
"""CUDA context and libraries of one process on a GPU (idle PyTorch and TensorRT processes show 0.4 to 0.8 GB)."""


@dataclass(frozen=True)
class NetworkQuestion:
    """All of a question about a network but its batch. Precision "": 16 bits, or the widest that the device has.

    ``layers`` are (pattern, precision) of layers that differ; ``fusion`` "" is the engine's own. ``dp`` devices each
    run their share of a batch. Money and power: as of language models.
    """

    precision: str = ""
    layers: tuple[tuple[str, str], ...] = ()
    fusion: str = ""
    sparsity: str = "dense"
    engine: str = ""
    dp: int = 1
    power_limit_w: float | None = None
    price_kind: str = "cloud_hour"
    usd_per_device_hour: float | None = None
    usd_per_kwh: float | None = None


@dataclass(frozen=True)
class StageTime:
    """One network of a pipeline: the time of one pass over its samples, and how often it runs for a batch."""

    network: Network
    step: StepTime
    repeat: float


@dataclass(frozen=True)
class NetworkMemory:
    """Bytes of one device: all weights, the most activations that are live at once, the runtime."""

    capacity_bytes: Number
    weights_bytes: Number
    activation_bytes: Number
    overhead_bytes: Number

    @property
    def used_bytes(self) -> Number:
        """Return the sum of all parts."""
        return self.weights_bytes + self.activation_bytes + self.overhead_bytes

    @property
    def free_bytes(self) -> Number:
        """Return what is left (negative: what is missing)."""
        return self.capacity_bytes - self.used_bytes


@dataclass(frozen=True)
class NetworkAnswer:
    """``latency`` of a batch through all stages on one device; rates are of all ``dp`` devices together."""

    latency: Time
    samples_per_s: Number
    stages: tuple[StageTime, ...]
    memory: NetworkMemory
    largest_batch: Number
    joules_per_sample: Number | None
    power_w: Number | None
    usd_per_million_samples: Number | None

    @property
    def fits(self) -> Number:
        """Return whether the batch fits the memory."""
        return self.memory.free_bytes >= 0


@dataclass(frozen=True)
class NetworkSetup:
    """A checked question: a pipeline of networks on a machine under a plan, with the kernels of each network.

    ``alike`` says for each kernel which is the first of its network that is the same (:func:`distinct`).
    """

    pipeline: NetworkPipeline
    device: Device
    question: NetworkQuestion
    machine: Machine
    plan: NetworkPlan
    schedules: tuple[tuple[Kernel, ...], ...]
    alike: tuple[tuple[int, ...], ...]
    live: tuple[Liveness, ...]
    energy_facts: EnergyFacts | None
    rates: Rates | None

    def answer(self, batch: Number) -> NetworkAnswer:
        """Return the answer for ``batch`` samples (over all devices)."""
        each = maximum(batch / self.question.dp, 1.0) if self.question.dp > 1 else batch
        stages = self._stages(each)
        latency = _sum_of(stages)
        energy = self._energy(stages, latency, each)
        if energy is not None and self.question.power_limit_w is not None:
            latency = _stretched(latency, energy.slow_down)
        if energy is not None:
            energy = self._energy(stages, latency, each)
        rate = minimum(batch, each * self.question.dp) / latency.expected
        usd = None
        if self.rates is not None:
            joules = None if energy is None else energy.joules_per_sample
            usd = usd_per_request(self.rates, self.question.dp, rate, joules) * 1e6
        memory = self.memory_of(each)
        return NetworkAnswer(
            latency, rate, stages, memory, self.largest_batch(), None if energy is None else energy.joules_per_sample,
            None if energy is None else energy.power_w, usd,
        )  # fmt: skip

    def _stages(self, batch: Number) -> tuple[StageTime, ...]:
        return tuple(
            StageTime(stage.network, self._step(schedule, alike, batch * stage.copies), stage.repeat)
            for stage, schedule, alike in zip(self.pipeline.stages, self.schedules, self.alike, strict=True)
        )

    def _step(self, schedule: tuple[Kernel, ...], alike: tuple[int, ...], samples: Number) -> StepTime:
        known: dict[int, tuple[ops.Operator, OperatorCost, Number]] = {}  # many kernels of a network are the same one
        rows: list[TimedOperator] = []
        layered = has_layer_norms(kernel.operator for kernel in schedule)
        c = _engine(self.machine)
        for kernel, like in zip(schedule, alike, strict=True):
            if like not in known:
                op = kernel.operator.batched(samples)
                cost = operator_cost(op, self.machine)
                stretched = cost.expected_s * c.get(f"{kernel_class(op, layered)}_stretch", 1.0)
                known[like] = op, cost, maximum(stretched, cost.bound_s)
            op, cost, expected = known[like]
            step = StepOperator(kernel.name, kernel.block, op, 1.0)
            rows.append(TimedOperator(step, cost.bound, expected, cost.spread_low, cost.spread_high))
        return assembled(rows, self.machine)

    def memory_of(self, batch: Number) -> NetworkMemory:
        """Return the memory of one device that has ``batch`` samples at once."""
        weights, activations = self._sizes()
        overhead = GPU_RUNTIME_BYTES if self.device.kind == "gpu" else 0.0
        return NetworkMemory(self.machine.chip.memory_bytes, weights, activations * batch, overhead)

    def _sizes(self) -> tuple[Number, Number]:
        """Return bytes of the weights of all networks, and of the most live activations of one sample."""
        names = {s.network.name: live.weights_bytes for s, live in zip(self.pipeline.stages, self.live, strict=True)}
        most: Number = 0.0
        for stage, live in zip(self.pipeline.stages, self.live, strict=True):
            most = maximum(most, live.peak_bytes * stage.copies)
        return total(names.values()), most

    def largest_batch(self) -> Number:
        """Return the most samples that fit one device's memory at once."""
        empty = self.memory_of(0.0)
        return maximum(floor(empty.free_bytes / maximum(self._sizes()[1], 1.0)), 0.0) * self.question.dp

    def _energy(self, stages: tuple[StageTime, ...], latency: Time, batch: Number) -> NetworkEnergy | None:
        if self.energy_facts is None:
            return None
        chip = self.machine.chip
        joules = Joules(0.0, 0.0, 0.0)
        for stage in stages:
            times: dict[int, float] = {}
            kinds = {id(row.step.operator): row.step.operator for row in stage.step.operators}
            for row in stage.step.operators:
                times[id(row.step.operator)] = times.get(id(row.step.operator), 0.0) + stage.repeat
            for key, op in kinds.items():
                counts = spilled(op.counts(), chip.on_chip_bytes)
                joules = joules + dynamic_energy(counts, self.energy_facts) * times[key]
        return sample_energy(joules, latency.expected, batch, self.energy_facts, self.question.power_limit_w)


def distinct(schedule: tuple[Kernel, ...]) -> tuple[int, ...]:
    """Return for each kernel the index of the first that is the same operator."""
    first: dict[ops.Operator, int] = {}
    return tuple(first.setdefault(kernel.operator, index) for index, kernel in enumerate(schedule))


@dataclass(frozen=True)
class NetworkEnergy:
    """Energy of one sample on its device, the device's mean power, and the slow-down at its power limit."""

    joules_per_sample: Number
    power_w: Number
    slow_down: Number


def sample_energy(
    dynamic: Joules, seconds: Number, samples: Number, facts: EnergyFacts, limit_w: float | None
) -> NetworkEnergy:
    """Return ``(dynamic + static*time)/samples``; above the limit clock and voltage fall (:func:`clock_loss`)."""
    limit = facts.limit_w if limit_w is None else limit_w
    over = overload(dynamic.total_j / seconds, facts, limit)
    slower = clock_loss(over)
    work, time = dynamic.total_j * slower / over, seconds * slower
    if limit_w is not None:
        slower = limit_factor(dynamic.total_j / seconds, replace(facts, limit_w=limit))
    return NetworkEnergy((work + facts.static_w * time) / samples, facts.static_w + work / time, slower)


def spilled(counts: Counts, llc_bytes: Number) -> Counts:
    """Return an operator's counts with those activations that the last-level cache cannot hold as memory traffic.

    An operator of more bytes than the cache finds the share ``1 - cache/bytes`` of them in main memory.
    """
    moved = counts.total_bytes()
    share = maximum(1.0 - llc_bytes / maximum(moved, 1.0), 0.0)
    activations = total(v for k, v in counts.bytes.items() if k.role not in ("weight", "kv", "state"))
    return counts + Counts({}, {read("state"): activations * share})


_NORMS = (ops.LayerNorm, ops.GroupNorm, ops.RmsNorm, ops.Softmax)


def has_layer_norms(operators: Iterable[ops.Operator]) -> bool:
    """Say whether a network norms over features: its residual stream is then 32 bits wide under automatic casting."""
    return any(isinstance(part, ops.LayerNorm) for op in operators for part in getattr(op, "parts", (op,)))


def kernel_class(op: ops.Operator, layered: bool) -> str:
    """Return which class of kernels an operator's stretch is of: conv, gemm, attention, norm, residual or pointwise.

    Sums are of class residual in networks with layer norms (:func:`has_layer_norms`).
    """
    parts = op.parts if isinstance(op, ops.Fused) else (op,)
    for name, kinds in (
        ("conv", (Convolution, ops.BatchedMatmul)), ("gemm", (ops.Linear,)), ("attention", (ops.AttentionPrefill,)),
        ("norm", _NORMS),
    ):  # fmt: skip
        if any(isinstance(part, kinds) for part in parts):
            return name
    return "residual" if layered and any(isinstance(part, ops.Add) for part in parts) else "pointwise"


def _calibration(machine: Machine) -> str:
    return "network" if machine.form == "gpu" else "accelerator"


def _engine(machine: Machine) -> Coefficients:
    """Return what an engine adds to the measured kernels; an accelerator's own form holds all but the start.

    Engines that the device's file lists say all of it themselves.
    """
    if machine.engines:
        return {"start_us": 0.0}
    return machine.coefficients(_calibration(machine), "network", "")


def engine_start_s(machine: Machine) -> Number:
    """Return the seconds that an engine takes once a pass, whatever the kernels."""
    return _engine(machine)["start_us"] * 1e-6


def assembled(rows: list[TimedOperator], machine: Machine) -> StepTime:
    """Return the time of kernels that run one after the other: their sum, and what the engine needs to issue them.

    ``max(sum t, kernels*host_issue_us) + start_us``: a host that is slower than the device decides. Each t is already
    that of the engine's class of kernels (:func:`kernel_class`): the time by the form of measured kernels, stretched.
    The band is that of whole networks. Source: fitted on networks' times, hardware_specs/calibration/network.yaml.
    """
    c = _engine(machine)
    parts = sum_bounds((row.bound, row.step.repeat) for row in rows)
    busy = total(row.expected_s for row in rows)
    expected = maximum(busy, len(rows) * c.get("host_issue_us", 0.0) * 1e-6) + c["start_us"] * 1e-6
    expected = maximum(expected, parts.time_s)
    low, high = _band(rows, machine)
    time = Time(parts.time_s, expected, maximum(expected * low, parts.time_s), expected * high)
    return StepTime(time, tuple(rows), 0.0, parts, expected, parts.time_s, expected)


def _band(rows: list[TimedOperator], machine: Machine) -> tuple[Number, Number]:
    """Return the factors p10/expected and p90/expected of a network: measured, or that of its engines' operators."""
    if machine.engines:
        return combined_spread(rows)
    band = machine.band(_calibration(machine), "network", "")
    return band.p10, band.p90


def _sum_of(stages: tuple[StageTime, ...]) -> Time:
    return Time(*(
        total(getattr(s.step.time, name) * s.repeat for s in stages) for name in ("bound", "expected", "p10", "p90")
    ))  # fmt: skip


def _stretched(time: Time, factor: Number) -> Time:
    return Time(time.bound, *(maximum(v * factor, time.bound) for v in (time.expected, time.p10, time.p90)))


@lru_cache(maxsize=64)
def prepare_network(network: AnyNetwork, device: Device, question: NetworkQuestion) -> NetworkSetup:
    """Return the setup of a question about a network on a device.

    Errors: :class:`InputError` for an unknown engine, precision, fusion or price kind, for a power limit that cannot be
    and a network with nothing to run; :class:`PlanError` for sparsity that the device lacks.
    """
    if question.engine not in ENGINES:
        known = [name for name in ENGINES if name]
        raise InputError(
            f"unknown engine '{question.engine}' of networks{did_you_mean(question.engine, known)} "
            f"(one of {', '.join(known)}, or none)"
        )
    if question.dp < 1:
        raise InputError(f"dp must be at least 1, not {question.dp}")
    fusion, folds = ENGINES[question.engine]
    machine = replace(machine_for(device, 1, question.engine), form=_form(device))
    dtypes = frozenset((*machine.chip.peaks, *machine.chip.sparse_peaks))
    usual = next((engine.FUSION for _, engine in machine.engines if engine.FUSION), fusion)
    plan = NetworkPlan(
        question.precision or _usual(dtypes), question.layers, question.fusion or usual, folds, question.sparsity,
        question.dp,
    )  # fmt: skip
    pipeline = as_pipeline(network)
    schedules = tuple(kernels(stage.network, plan, dtypes) for stage in pipeline.stages)
    for stage, schedule in zip(pipeline.stages, schedules, strict=True):
        if not schedule:
            raise InputError(f"{stage.network.name} has nothing to run: no layer of it is counted")
    live = tuple(
        liveness(stage.network, schedule, plan, dtypes)
        for stage, schedule in zip(pipeline.stages, schedules, strict=True)
    )
    stored = float(
        sum({s.network.name: held.weights_bytes for s, held in zip(pipeline.stages, live, strict=True)}.values())
    )
    machine = replace(machine, cold_weights=max(0.0, 1.0 - float(machine.chip.on_chip_bytes) / max(stored, 1.0)))
    facts = energy_facts(device)
    _check_limit(device, facts, question.power_limit_w)
    rates = rates_for(device, question.price_kind, question.usd_per_device_hour, question.usd_per_kwh)
    alike = tuple(distinct(schedule) for schedule in schedules)
    return NetworkSetup(pipeline, device, question, machine, plan, schedules, alike, live, facts, rates)


def _check_limit(device: Device, facts: EnergyFacts | None, limit_w: float | None) -> None:
    if limit_w is None:
        return
    if facts is None:
        raise InputError(f"{device.name} states no power limit, so that its energy is not known; leave the limit out")
    if not facts.static_w < limit_w <= 2 * facts.limit_w:
        raise InputError(
            f"power limit {limit_w:g} W must lie above the {facts.static_w:g} W that an idle {device.name} draws "
            f"and at most at twice the board's {facts.limit_w:g} W"
        )


def _form(device: Device) -> str:
    """Return which forms give a device's times: Jetson boards are small GPUs, what is no GPU is an accelerator."""
    return "gpu" if device.kind in ("gpu", "apu") or device.vendor == "nvidia" else "accelerator"


def _usual(dtypes: frozenset[str]) -> str:
    for dtype, precision in (("float16", "float16"), ("bfloat16", "bfloat16"), ("int8", "int8")):
        if dtype in dtypes:
            return precision
    return "float32"
