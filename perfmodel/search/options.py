"""What a search goes through, a device in a precision at a time, and what it finds for each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from perfmodel.cost.price import rates_for
from perfmodel.devices import Device
from perfmodel.errors import PerfmodelError
from perfmodel.search.choose import Row, front, nearest_misses, ranked
from perfmodel.search.goals import Goals
from perfmodel.search.points import Points, points
from perfmodel.search.pools import Pools, best_pools
from perfmodel.search.space import WAYS, Space
from perfmodel.search.steps import all_steps
from perfmodel.serving.scenario import Question
from perfmodel.workloads.spec import LanguageModel

SHOWN = 6
"""Plans that are shown beside the best one."""


@dataclass(frozen=True)
class Option:
    """One kind of device in one precision with its goals: what a search goes through for it."""

    device: Device
    question: Question
    goals: Goals


def option(device: Device, question: Question, goals: Goals) -> Option:
    """Return an option with the price of its device."""
    rates = rates_for(device, question.price_kind, question.usd_per_device_hour, question.usd_per_kwh)
    return Option(device, question, replace(goals, usd_per_device_hour=rates.usd_per_device_hour if rates else None))


@dataclass
class Found:
    """What the search through one option found."""

    rows: list[Row] = field(default_factory=list[Row])
    front: list[Row] = field(default_factory=list[Row])
    misses: list[Row] = field(default_factory=list[Row])
    problems: list[str] = field(default_factory=list[str])
    plans: int = 0
    evaluated: int = 0


@dataclass(frozen=True)
class Searching:
    """What a worker does with an option."""

    model: LanguageModel
    only: dict[str, tuple[int, ...]]
    modes: tuple[str, ...]
    lengths: tuple[int, int]

    def __call__(self, option: Option) -> Found:
        found = Found()
        try:
            self._search(option, found)
        except PerfmodelError as error:
            found.problems.append(f"{option.device.name}: {error}")
        return found

    def _search(self, option: Option, found: Found) -> None:
        goals = option.goals
        steps = all_steps(self.model, option.device, option.question, Space(goals.devices, self.only), *self.lengths)
        table = points(steps)
        found.plans, found.evaluated = table.plans_with_room, len(table)
        if "agg" in self.modes:
            kept = ranked(table, goals, SHOWN + 1)
            found.rows += [row | {"mode": "agg"} for row in kept]
            found.front = front(table, goals)
            if not kept:
                found.misses = nearest_misses(table, goals)
        if "disagg" in self.modes and goals.objective != "energy":
            found.rows += [_pool_row(one, table, self.lengths) for one in best_pools(steps, goals)]


def _pool_row(one: Pools, table: Points, lengths: tuple[int, int]) -> Row:
    ways = {way: int(getattr(one.decode.plan, way)) for way in WAYS}
    return {
        "device": table.device, "precision": table.precision, "mode": "disagg", **ways, "pools": one, "replicas": 1,
        "moe_tp": int(one.decode.plan.expert_tp), "devices": float(one.devices), "load": one.in_flight,
        "ttft_s": one.ttft_s, "tpot_s": one.tpot_s, "e2e_s": one.ttft_s + (lengths[1] - 1) * one.tpot_s,
        "requests_per_s": one.requests_per_s, "tokens_per_s": one.requests_per_s * lengths[1], "score": one.score,
    }  # fmt: skip
