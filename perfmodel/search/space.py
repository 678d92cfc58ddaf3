"""The plans that a number of devices allows, and their arrangement into groups that are evaluated at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from perfmodel.cost.link_facts import LinkFacts
from perfmodel.cost.machine import machine_for
from perfmodel.devices import Device
from perfmodel.errors import PlanError
from perfmodel.plan.parallelism import Plan, plan_problem
from perfmodel.workloads.caches import cache_rows
from perfmodel.workloads.spec import LanguageModel, MoeFfn

WAYS = ("tp", "pp", "cp", "attention_dp", "ep")
"""The ways of splitting that a search goes through; ``dp`` follows from the number of devices."""

LARGEST_TP, LARGEST_PP = 64, 16
"""No runtime splits a layer over more devices, or a model into more stages, to any use."""


@dataclass(frozen=True)
class Space:
    """What a search may use: ``devices`` in all, and of each way of splitting the values in ``only`` (missing: all)."""

    devices: int
    only: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])

    def allows(self, way: str, value: int) -> bool:
        """Say whether a way of splitting may have a value."""
        return value in self.only.get(way, (value,))


@dataclass(frozen=True)
class PlanGroup:
    """Plans that differ in numbers alone: ``plan`` holds columns of them, ``members`` the plans one by one.

    All members use the same link; a way of splitting that is 1 for all of them is a plain 1, because an operator list
    leaves out what needs no splitting.
    """

    plan: Plan
    members: tuple[Plan, ...]
    link: LinkFacts | None
    largest_replica: int


def plans_of(model: LanguageModel, space: Space) -> list[Plan]:
    """Return every plan of one replica on at most ``space.devices`` devices that the model's shape allows.

    Replicas have a power of two of devices or a divisor of all of them; ``tp``, ``pp`` and ``cp`` are powers of two,
    attention groups (of models with experts only: others gain the same by whole replicas) make up the rest, and ``ep``
    divides the devices that hold the experts.
    """
    experts = any(isinstance(group.ffn, MoeFfn) for group in model.layers)
    possible: dict[tuple[int, ...], bool] = {}  # whatever the stages, of which there may be as many as layers
    found: list[Plan] = []
    for devices in _replica_sizes(space):
        for tp, pp, cp, groups in _splits(devices, space):
            if groups > 1 and not experts:
                continue
            for ep in _divisors(tp * cp * groups) if experts else (1,):
                ways = (tp, cp, groups, ep)
                if ways not in possible:
                    plan = Plan(tp=tp, cp=cp, attention_dp=groups, ep=ep)
                    possible[ways] = space.allows("ep", ep) and plan_problem(model, plan) is None
                if possible[ways] and pp <= model.layer_count:
                    found.append(Plan(tp=tp, pp=pp, cp=cp, attention_dp=groups, ep=ep))
    if not found:
        raise PlanError(_no_plan(model, space))
    return found


def grouped(model: LanguageModel, plans: list[Plan], device: Device, engine: str) -> list[PlanGroup]:
    """Return the plans in groups of one structure and link each; those that the device's links cannot join are left."""
    links: dict[int, LinkFacts | None] = {}
    members: dict[object, list[Plan]] = {}
    windows = any(row.window for group in model.layers for row in cache_rows(group))
    for plan in plans:
        devices = int(plan.devices_per_replica)
        if devices not in links:
            try:
                links[devices] = machine_for(device, devices, engine).link
            except PlanError:
                continue
        # tokens travel to the experts in one of three ways: not at all, to all of them, to those that were chosen
        travel = (plan.expert_groups > 1) + (plan.expert_groups > 1 and plan.ep > 1)
        # windows are cut into as many whole parts as ranks share a sequence
        ranks = plan.cp if windows else plan.cp > 1
        members.setdefault((links[devices], ranks, travel), []).append(plan)
    return [_group(alike, links[int(alike[0].devices_per_replica)]) for alike in members.values()]


def _group(alike: list[Plan], link: LinkFacts | None) -> PlanGroup:
    import numpy as np

    values = {way: [float(getattr(plan, way)) for plan in alike] for way in WAYS}
    values["moe_tp"] = [float(plan.expert_tp) for plan in alike]
    numbers: dict[str, Any] = {
        way: 1 if set(column) == {1.0} else np.array([column]).T for way, column in values.items()
    }
    if len(set(values["cp"])) == 1:
        numbers["cp"] = alike[0].cp
    largest = max(int(plan.devices_per_replica) for plan in alike)
    return PlanGroup(Plan(**numbers), tuple(alike), link, largest)


def _replica_sizes(space: Space) -> list[int]:
    powers = {2**i for i in range(space.devices.bit_length()) if 2**i <= space.devices}
    return sorted(powers | set(_divisors(space.devices)))


def _splits(devices: int, space: Space) -> Iterator[tuple[int, int, int, int]]:
    for tp in _powers(devices, LARGEST_TP):
        for pp in _powers(devices // tp, LARGEST_PP):
            for cp in _powers(devices // tp // pp, devices):
                groups, rest = divmod(devices, tp * pp * cp)
                chosen = {"tp": tp, "pp": pp, "cp": cp, "attention_dp": groups}
                if not rest and all(space.allows(way, value) for way, value in chosen.items()):
                    yield tp, pp, cp, groups


def _powers(limit: int, most: int) -> list[int]:
    return [2**i for i in range(max(limit, 1).bit_length()) if 2**i <= min(limit, most)]


@cache
def _divisors(n: int) -> tuple[int, ...]:
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def _no_plan(model: LanguageModel, space: Space) -> str:
    asked = ", ".join(f"{way} {'/'.join(map(str, values))}" for way, values in space.only.items())
    return f"no plan of {model.name} on up to {space.devices} devices" + (f" has {asked}" if asked else " is possible")
