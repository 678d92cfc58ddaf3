"""Collectives without a measured library: rounds of a stated latency, and the bytes that every algorithm must move.

Source: the alpha-beta model (Hockney 1994) with direct algorithms of Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005:
reduce-scatter, then all-gather, a round each where every rank reaches every other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Engine, device_bound
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, where
from perfmodel.ops import AllReduce, Collective, Operator
from perfmodel.specs.schema import Block, Quantity, Real

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine


@register
@dataclass(frozen=True)
class Links(Engine):
    """The device's links, driven by hardware or a static schedule: ``latency_s`` a round, a share of the bandwidth."""

    latency_s: Number
    efficiency: Number = 0.8

    NAME = "links"
    RULE = Block({"latency": Quantity("seconds")}, {"efficiency": Real()})
    SAMPLES = ({"latency": "1 us"},)
    FASTER = ("efficiency",)

    @classmethod
    def from_spec(cls, values: Mapping[str, Any], chip: ChipFacts) -> Self:
        del chip
        return cls(values["latency"], values.get("efficiency", 0.8))

    def runs(self, op: Operator) -> bool:
        return isinstance(op, Collective)

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        """Return ``rounds*latency + least bytes/(efficiency*bandwidth)``, two rounds of an all-reduce, else one."""
        rounds = 2.0 if isinstance(op, AllReduce) else 1.0
        started = where(getattr(op, "ranks", 2.0) > 1.0, rounds * self.latency_s, 0.0)
        return started + self.bound(op, chip, machine).link_s / self.efficiency

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, chip, machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        """Return an error of a half or twice in four of five: the latency is a datasheet's, if that."""
        return 0.54, 0.54
