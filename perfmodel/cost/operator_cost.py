"""Time of one operator: the bound of physics, the expected time of a good implementation, and its error band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Z80, Engine, static_dtype
from perfmodel.cost.engines.registry import engine_class
from perfmodel.cost.machine import Machine
from perfmodel.cost.mixing import mixed_bound, mixed_s
from perfmodel.errors import PlanError
from perfmodel.numeric import Number, exp, maximum, minimum, where
from perfmodel.ops import Collective, Operator

__all__ = ["Z80", "OperatorCost", "bound_of", "engines_for", "expected_s", "operator_cost", "spreads", "static_dtype"]


@dataclass(frozen=True)
class OperatorCost:
    """Times of one execution of one operator; ``spread_low`` and ``spread_high`` are ln-scale sigmas of the band."""

    bound: Bound
    expected_s: Number
    spread_low: Number
    spread_high: Number

    @property
    def bound_s(self) -> Number:
        """Return the bound of this operator alone."""
        return self.bound.time_s

    @property
    def p10_s(self) -> Number:
        """Return the time that one in ten stays under: never below the bound."""
        return maximum(self.expected_s * exp(-Z80 * self.spread_low), self.bound_s)

    @property
    def p90_s(self) -> Number:
        """Return the time that nine in ten stay under."""
        return self.expected_s * exp(Z80 * self.spread_high)


def engines_for(op: Operator, machine: Machine) -> tuple[Engine, ...]:
    """Return the engines that may run an operator: those of the device that can, or the machine's form.

    Collectives take the measured libraries' forms, unless an engine ("links") takes them. Errors: :class:`PlanError`
    if no engine runs the operator.
    """
    if not machine.engines:
        return (_plain(machine.form),)
    found = tuple(engine for _, engine in machine.engines if engine.takes(op))
    if not found and isinstance(op, Collective):
        return (_plain("gpu"),)
    if not found:
        names = ", ".join(f"{name} ({engine.NAME})" for name, engine in machine.engines)
        raise PlanError(
            f"no engine of {machine.chip.name} runs '{op.KIND}' operators: it has {names}; "
            "list one more, such as {name: rest, form: roofline}"
        )
    return found


@lru_cache(maxsize=8)
def _plain(form: str) -> Engine:
    """Return the engine of a form that has no settings."""
    return engine_class(form)()


def expected_s(op: Operator, machine: Machine) -> Number:
    """Return the expected time of an operator, without holding it to the bound.

    Of several engines that of the one that the machine's mix picks (the fastest), or of all together.
    """
    engines = engines_for(op, machine)
    if len(engines) == 1:
        return engines[0].expected_s(op, machine.chip, machine)
    bounds = [engine.bound(op, machine.chip, machine) for engine in engines]
    times = [
        maximum(engine.expected_s(op, machine.chip, machine), bound.time_s)
        for engine, bound in zip(engines, bounds, strict=True)
    ]
    return mixed_s(op, machine.mix, times, [engine.start_s for engine in engines], _shared_s(engines, bounds))


def bound_of(op: Operator, machine: Machine) -> Bound:
    """Return the bound of an operator on a machine: of several engines that of the mix."""
    engines = engines_for(op, machine)
    bounds = [engine.bound(op, machine.chip, machine) for engine in engines]
    if len(bounds) == 1:
        return bounds[0]
    return mixed_bound(op, machine.mix, bounds, _shared_s(engines, bounds))


def _shared_s(engines: Sequence[Engine], bounds: Sequence[Bound]) -> Number:
    """Return what the main memory takes for an operator if at least two engines draw on it, whoever has which part."""
    drawn = [bound.memory_s for engine, bound in zip(engines, bounds, strict=True) if not engine.own_memory]
    return minimum(drawn[0], *drawn[1:]) if len(drawn) > 1 else 0.0


def spreads(op: Operator, machine: Machine) -> tuple[Number, Number]:
    """Return the ln-scale sigmas below and above the expected time: of the fastest engine; the widest of a mix."""
    engines = engines_for(op, machine)
    low, high = engines[0].spreads(op, machine.chip, machine)
    if len(engines) == 1:
        return low, high
    least = engines[0].expected_s(op, machine.chip, machine)
    for engine in engines[1:]:
        a, b = engine.spreads(op, machine.chip, machine)
        if machine.mix.policy != "time":
            low, high = maximum(low, a), maximum(high, b)
            continue
        time = engine.expected_s(op, machine.chip, machine)
        low, high = where(time < least, a, low), where(time < least, b, high)
        least = minimum(time, least)
    return low, high


def operator_cost(op: Operator, machine: Machine) -> OperatorCost:
    """Return bound, expected time and band of one operator: ``bound <= p10 <= expected <= p90``."""
    bound = bound_of(op, machine)
    low, high = spreads(op, machine)
    return OperatorCost(bound, maximum(expected_s(op, machine), bound.time_s), low, high)
