"""Joules of a deployment in its steady state: per request, per token, and the power that it draws."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perfmodel.cost.energy import (
    NO_JOULES,
    EnergyFacts,
    Joules,
    clock_loss,
    dynamic_energy,
    limit_factor,
    overload,
)
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import engines_for
from perfmodel.numeric import Number, maximum, minimum, where
from perfmodel.ops import Operator
from perfmodel.serving.phases import Phases, added, scaled
from perfmodel.serving.step import Deployment
from perfmodel.serving.timed import StepTime


@dataclass(frozen=True)
class Energy:
    """Energy of one request over all devices that serve it, without the host.

    ``prefill`` and ``decode`` are its dynamic shares, ``static_j`` its share of what idle devices draw; ``power_w`` is
    the mean of a device in a sustained run, and ``slow_down`` how much longer than expected that takes at its limit
    (1: not at it).
    """

    prefill: Joules
    decode: Joules
    static_j: Number
    power_w: Number
    slow_down: Number

    @property
    def joules_per_request(self) -> Number:
        """Return all of it."""
        return self.prefill.total_j + self.decode.total_j + self.static_j


def step_joules(step: StepTime, facts: EnergyFacts, machine: Machine) -> Joules:
    """Return the dynamic energy of a step's operators, one device a stage, all microbatches."""
    found = NO_JOULES
    for row in step.operators:
        found = found + operator_joules(row.step.operator, facts, machine) * row.step.repeat
    return found * step.microbatches


def operator_joules(op: Operator, facts: EnergyFacts, machine: Machine) -> Joules:
    """Return an operator's dynamic energy: the device's coefficients', or of the engine's own that is fastest."""
    plain = dynamic_energy(op.counts(), facts)
    if not machine.engines:
        return plain
    found, least = plain, None
    for engine in engines_for(op, machine):
        own, time = engine.energy(op, machine.chip, machine) or plain, engine.expected_s(op, machine.chip, machine)
        if least is None:
            found, least = own, time
            continue
        sooner = time < least
        found = Joules(*(where(sooner, a, b) for a, b in (
            (own.compute_j, found.compute_j), (own.memory_j, found.memory_j), (own.link_j, found.link_j)
        )))  # fmt: skip
        least = minimum(time, least)
    return found


def request_energy(
    phases: Phases, prefill: Deployment, decode: Deployment, facts: EnergyFacts, devices: int, output_tokens: Number
) -> Energy:
    """Return the energy of one request of a deployment.

    A request takes its share of a prefill, of ``O - 1`` decode steps, and ``static_w*devices/(requests a second)``.
    Where the devices' mean power would pass their limit, clock and voltage fall until it does not: the work takes
    ``over^(-2/3)`` of the energy and ``over^(1/3)`` times as long. Expected times do not have that in them, for they
    are of kernels in bursts and of what frameworks add. Every device is taken to work as hard as the busiest one.
    """
    first = _share(phases.prefill, prefill, facts) if phases.prefill else NO_JOULES
    alone = phases.prefill is None  # phase decode: requests a second are of O - 1 steps, as their energy is
    steps = maximum(output_tokens - 1.0, 1.0 if alone else 0.0)
    later = _share(phases.decode, decode, facts) * steps if phases.decode else NO_JOULES
    each_s = devices / phases.requests_per_s  # device seconds that a request takes up
    over = overload((first.total_j + later.total_j) / each_s, facts, facts.limit_w)
    slower = clock_loss(over)
    left = slower / over  # over^(-2/3): the voltage falls with the clock
    first, later, each_s = first * left, later * left, each_s * slower
    power = facts.static_w + (first.total_j + later.total_j) / each_s
    return Energy(first, later, facts.static_w * each_s, power, slower)


def _share(step: StepTime, deployment: Deployment, facts: EnergyFacts) -> Joules:
    return step_joules(step, facts, deployment.machine) * (deployment.plan.devices_per_stage / step.sequences)


def under_limit(
    phases: Phases, prefill: Deployment, decode: Deployment, facts: EnergyFacts, output_tokens: Number
) -> Phases:
    """Return the phases on devices whose power limit is not the board's own.

    Each phase takes :func:`perfmodel.cost.energy.limit_factor` times as long. A memory-bound step is slowed like any
    other, which is pessimistic.
    """
    factors = [
        1.0 if step is None else _limit_factor(step, deployment, facts)
        for step, deployment in ((phases.prefill, prefill), (phases.decode, decode))
    ]
    ttft = phases.ttft and scaled(phases.ttft, factors[0])
    tpot = phases.tpot and scaled(phases.tpot, factors[1])
    if ttft is None or tpot is None:
        slower = factors[1] if ttft is None else factors[0]
        e2e = phases.e2e and scaled(phases.e2e, slower)
    else:
        e2e = added(ttft, tpot, maximum(output_tokens - 1.0, 0.0))
        assert phases.e2e is not None
        slower = e2e.expected / phases.e2e.expected
    return replace(
        phases, ttft=ttft, tpot=tpot, e2e=e2e, requests_per_s=phases.requests_per_s / slower,
        output_tokens_per_s=phases.output_tokens_per_s / slower,
    )  # fmt: skip


def _limit_factor(step: StepTime, deployment: Deployment, facts: EnergyFacts) -> Number:
    watts = step_joules(step, facts, deployment.machine).total_j / (step.time.expected * deployment.plan.pp)
    return limit_factor(watts, facts)
