"""The kernels of a network's answer with their own times and joules, which add up to the answer's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from perfmodel.cost.energy import clock_loss, dynamic_energy, overload
from perfmodel.counts import Counts
from perfmodel.numeric import total
from perfmodel.ops import Operator
from perfmodel.plan.network import Kernel
from perfmodel.serving.decode_bound import sum_bounds
from perfmodel.serving.network import (
    NetworkAnswer,
    NetworkSetup,
    StageTime,
    engine_start_s,
    spilled,
)
from perfmodel.serving.spread import CROSS_CLASS_CORRELATION, combined_spread
from perfmodel.serving.timed import Time, TimedOperator
from perfmodel.workloads.network import Network


@dataclass(frozen=True)
class TimedKernel:
    """A kernel of a batch: ``expected_s`` is its part of the answer's latency, all ``repeat`` runs together.

    ``counts`` are those of one run.
    ``joules`` are those of all runs of the batch, static power included; None for a device of unknown power.
    """

    network: Network
    kernel: Kernel
    row: TimedOperator
    counts: Counts
    repeat: float
    expected_s: float
    joules: float | None

    @property
    def operator(self) -> Operator:
        """Return the operator of the whole batch."""
        return self.row.step.operator


@dataclass(frozen=True)
class TimedNetwork:
    """All kernels of an answer; what the engine needs to start is in none of them."""

    kernels: tuple[TimedKernel, ...]
    start_s: float
    start_joules: float | None
    latency: Time
    joules: float | None


def holding(setup: NetworkSetup, weights_bytes: float) -> NetworkSetup:
    """Return a setup on a device that holds these weights in all: the chip keeps what it can between passes."""
    chip = setup.machine.chip
    cold = max(0.0, 1.0 - float(chip.on_chip_bytes) / max(weights_bytes, 1.0))
    return replace(setup, machine=replace(setup.machine, cold_weights=cold))


def timed_network(setup: NetworkSetup, batch: float) -> TimedNetwork:
    """Return the kernels of an answer with their parts of its expected latency and energy.

    Where the device decides, a kernel's part is its own time; where the host that issues the kernels does
    (:func:`perfmodel.serving.network.assembled`), each takes the time to issue one. Energy: each kernel's own work, and
    static power for its part of the time. All of it sums to the answer's latency and energy.
    """
    answer = setup.answer(float(batch))
    slow, start = _slow_down(answer), float(engine_start_s(setup.machine))
    start_s = start * slow * sum(stage.repeat for stage in answer.stages)
    times = [slow * stage.repeat * t for stage in answer.stages for t in _parts(stage, start)]
    found = [
        (stage, kernel, row)
        for stage, schedule in zip(answer.stages, setup.schedules, strict=True)
        for kernel, row in zip(schedule, stage.step.operators, strict=True)
    ]
    joules = _joules(setup, answer, [(row, stage.repeat) for stage, _, row in found], [*times, start_s], batch)
    counts = _counts([row for _, _, row in found])
    rows = tuple(
        TimedKernel(
            stage.network,
            kernel,
            row,
            counts[id(row.step.operator)],
            stage.repeat,
            times[i],
            None if joules is None else joules[i],
        )
        for i, (stage, kernel, row) in enumerate(found)
    )
    return TimedNetwork(
        rows, start_s, None if joules is None else joules[-1], answer.latency,
        None if joules is None else sum(joules),
    )  # fmt: skip


def _counts(rows: Sequence[TimedOperator]) -> dict[int, Counts]:
    """Return the counts of each operator by its identity: kernels that are alike have the same."""
    distinct = {id(row.step.operator): row.step.operator for row in rows}
    return {key: op.counts() for key, op in distinct.items()}


def _parts(stage: StageTime, start_s: float) -> list[float]:
    """Return each kernel's part of one pass but for the start: its own time, or an equal one where the host decides."""
    rest = float(stage.step.time.expected) - start_s
    own = [float(row.expected_s) for row in stage.step.operators]
    busy = sum(own)
    weights = own if busy >= rest * (1 - 1e-9) else [1.0] * len(own)
    return [weight * rest / sum(weights) for weight in weights]


def _slow_down(answer: NetworkAnswer) -> float:
    """Return how much a power limit stretches the answer."""
    plain = sum(float(stage.step.time.expected) * stage.repeat for stage in answer.stages)
    return float(answer.latency.expected) / plain if plain else 1.0


def _joules(
    setup: NetworkSetup, answer: NetworkAnswer, rows: Sequence[tuple[TimedOperator, float]], times: Sequence[float],
    batch: float,
) -> list[float] | None:  # fmt: skip
    """Return the joules of each kernel and, last, of the engine's start."""
    facts, each = setup.energy_facts, answer.joules_per_sample
    if facts is None or each is None:
        return None
    known: dict[int, float] = {}
    work = [work_joules(setup, row.step.operator, known) * repeat for row, repeat in rows]
    seconds, limit = sum(times), setup.question.power_limit_w
    over = float(overload(sum(work) / seconds, facts, facts.limit_w if limit is None else limit)) if seconds else 1.0
    slower = float(clock_loss(over))
    shares = [
        w * slower / over + facts.static_w * t * slower for w, t in zip([*work, 0.0], times, strict=True)
    ]  # fmt: skip
    scale = float(each) * batch / sum(shares) if sum(shares) else 0.0
    return [share * scale for share in shares]


def work_joules(setup: NetworkSetup, op: Operator, known: dict[int, float] | None = None) -> float:
    """Return the energy of an operator's flops and bytes, without static power; ``known`` are those by identity."""
    assert setup.energy_facts is not None
    if known is not None and id(op) in known:
        return known[id(op)]
    counts = spilled(op.counts(), setup.machine.chip.on_chip_bytes)
    found = float(dynamic_energy(counts, setup.energy_facts).total_j)
    if known is not None:
        known[id(op)] = found
    return found


def time_of(kernels: Iterable[TimedKernel]) -> Time:
    """Return the time of some kernels one after the other, with the bound and the band of these alone.

    Expected times add up; bounds do not (the whole's resources overlap), nor do bands (errors go together only partly).
    """
    rows = list(kernels)
    if not rows:
        return Time(0.0, 0.0, 0.0, 0.0)
    bound = float(sum_bounds((k.row.bound, k.row.step.repeat * k.repeat) for k in rows).time_s)
    expected = sum(k.expected_s for k in rows)
    low, high = combined_spread([k.row for k in rows])
    return Time(
        min(bound, expected), expected, max(expected * float(low), min(bound, expected)), expected * float(high)
    )


def pass_of(timed: TimedNetwork, kernels: Iterable[TimedKernel], waits_s: float = 0.0) -> Time:
    """Return the time of a pass of some kernels: the engine's start, the kernels, ``waits_s``; the whole's band."""
    time = time_of(kernels)
    expected = float(time.expected) + timed.start_s + waits_s
    low, high = (float(t / timed.latency.expected) for t in (timed.latency.p10, timed.latency.p90))
    return Time(time.bound, expected, max(expected * low, float(time.bound)), expected * high)


def times_in_turn(times: Sequence[Time]) -> Time:
    """Return the time of parts on different machines, one after the other.

    Bounds and expected times add up; of the deviations half of the variance is shared (as between classes of kernels).
    """
    expected, bound = sum(float(t.expected) for t in times), sum(float(t.bound) for t in times)
    low = together([float(t.expected - t.p10) for t in times])
    high = together([float(t.p90 - t.expected) for t in times])
    return Time(bound, expected, max(expected - low, bound), expected + high)


def together(deviations: Sequence[float]) -> float:
    """Return the deviation of a sum of parts with these, of which half of the variance is shared."""
    rho = CROSS_CLASS_CORRELATION
    return float((rho * total(deviations) ** 2 + (1.0 - rho) * total(d * d for d in deviations)) ** 0.5)


def certain(seconds: float) -> Time:
    """Return a duration that is known."""
    return Time(seconds, seconds, seconds, seconds)


def plain_time(time: Time) -> dict[str, float]:
    """Return a time as reports have it."""
    return {name: float(getattr(time, name)) for name in ("expected", "bound", "p10", "p90")}
