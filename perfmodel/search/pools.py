"""Separate pools of prefill and decode workers: every pair of worker plans and every ratio, after what is dominated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfmodel.calibration import Coefficients
from perfmodel.plan.parallelism import Plan
from perfmodel.search.goals import Goals
from perfmodel.search.steps import GroupSteps, Steps
from perfmodel.serving.closed_loop import pooled_ttft, stage_share
from perfmodel.serving.framework import Framework, load_framework
from perfmodel.serving.scenario import Pool

MOST_WORKERS = 256


@dataclass(frozen=True)
class Workers:
    """One way to build a worker of a pool, at one load: its plan and columns of what it does."""

    plans: tuple[Plan, ...]
    plan: Any
    devices: Any
    time_s: Any
    crowded_s: Any
    """Time of a prefill worker's prompts in a step that is full of prompts (a decode worker: as ``time_s``)."""
    slots: Any
    """Requests of a worker at once: prompts of a prefill step (less where a pipeline holds them up), or sequences."""


@dataclass(frozen=True)
class Pools:
    """A deployment of two pools at a load, with its times and rates."""

    prefill: Pool
    decode: Pool
    in_flight: float
    ttft_s: float
    tpot_s: float
    requests_per_s: float
    score: float

    @property
    def devices(self) -> int:
        """Return the devices of both pools."""
        return self.prefill.devices + self.decode.devices


def best_pools(steps: Steps, goals: Goals, count: int = 5) -> list[Pools]:
    """Return the best deployments of two pools that keep the goals, of as many pairs of plans; none if there are none.

    Goes through all pairs of a prefill worker (those that nothing beats in both time and prompts a second a device)
    and a decode worker at a load (in both step time and tokens a second a device), all counts of decode workers, and of
    prefill workers from those that just keep up to all that are left, a factor of 1.25 apart.
    """
    dtype = steps.groups[0].setup.decode.precisions.linear.calibrated_as
    c = load_framework(steps.question.engine, "disagg", loop=True, dtype=dtype)
    prefill, decode = (_undominated(workers) for workers in _workers(steps, c))
    found: list[Pools] = []
    for p in range(len(prefill.plan)):
        found += _pairs(prefill, p, decode, c.coefficients, goals, steps.output_tokens)
    best: dict[tuple[Plan, Plan], Pools] = {}
    for one in sorted(found, key=lambda pools: (round(pools.score, 12), pools.ttft_s)):
        best.setdefault((one.prefill.plan, one.decode.plan), one)
    return list(best.values())[:count]


def _workers(steps: Steps, framework: Framework) -> tuple[Workers, Workers]:
    """Return the workers of both pools, of all plans, the decode workers at all loads."""
    import numpy as np

    first = 0
    prefill: list[tuple[Any, ...]] = []
    decode: list[tuple[Any, ...]] = []
    for part in steps.groups:
        one, every = (part.count, 1), part.load.shape
        number = first + np.arange(part.count, dtype=float)[:, None]
        first += part.count
        devices = part.group.plan.devices_per_replica
        crowded: Any = framework.crowded(part.prefill)
        prefill_s = framework.prefill(part.prefill.time).expected
        columns = (number, devices, prefill_s, np.minimum(prefill_s, crowded), _slots(part))
        prefill.append(tuple(np.broadcast_to(column, one)[part.prompts] for column in columns))
        decode_s = framework.decode(part.decode.time).expected
        columns = (number, devices, decode_s, decode_s, part.load)
        decode.append(tuple(np.broadcast_to(column, every)[part.held] for column in columns))
    return _joined(steps.plans, prefill), _joined(steps.plans, decode)


def _slots(part: GroupSteps) -> Any:
    return part.group.plan.attention_dp / stage_share(part.prefill)


def _joined(plans: tuple[Plan, ...], parts: list[tuple[Any, ...]]) -> Workers:
    import numpy as np

    plan, *columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Workers(plans, plan.astype(int), *columns)


def _undominated(workers: Workers) -> Workers:
    """Return the workers that no other of as few devices beats in both time and work a second a device."""
    import numpy as np

    if not len(workers.plan):
        return workers
    rate = workers.slots / workers.crowded_s / workers.devices
    order = np.lexsort((-rate, workers.time_s))
    best: dict[float, float] = {}  # of each count of devices, the highest rate of the faster ones
    keep: list[int] = []
    for index, devices, own in zip(order.tolist(), workers.devices[order].tolist(), rate[order].tolist(), strict=True):
        if own > max((value for size, value in best.items() if size <= devices), default=0.0):
            best[devices] = own
            keep.append(index)
    rows = np.array(keep)
    columns = (getattr(workers, name)[rows] for name in ("plan", "devices", "time_s", "crowded_s", "slots"))
    return Workers(workers.plans, *columns)


def _pairs(
    prefill: Workers, p: int, decode: Workers, c: Coefficients, goals: Goals, output_tokens: float
) -> list[Pools]:
    """Return the best deployment of each decode worker with prefill workers ``p``, of those that keep the goals."""
    import numpy as np

    names = ("devices", "time_s", "crowded_s", "slots")
    devices_p, time_p, crowded_p, slots_p = (float(getattr(prefill, name)[p]) for name in names)
    largest = int(min((goals.devices - devices_p) // decode.devices.min(), MOST_WORKERS)) if len(decode.plan) else 0
    if largest < 1:
        return []
    d = np.arange(1.0, largest + 1)[None, :, None]
    load, tpot, devices_d = (getattr(decode, name)[:, None, None] for name in ("slots", "time_s", "devices"))
    steps = max(output_tokens - 1.0, 0.0)
    in_flight = load * d
    least = np.maximum(np.ceil(in_flight * crowded_p / slots_p / np.maximum(steps * tpot, 1e-9)), 1.0)
    count = np.ceil(least * 1.25 ** np.arange(0.0, 8.0)[None, None, :])
    ttft = pooled_ttft(c, tpot, time_p, in_flight, count * slots_p, in_flight, output_tokens, crowded_p)
    cycle = ttft + steps * tpot
    rate = in_flight / cycle
    used = count * devices_p + d * devices_d
    longer = 1.0 + goals.margin
    kept = (used <= goals.devices) & (longer * cycle <= goals.e2e_s)
    kept &= (longer * ttft <= goals.ttft_s) & (longer * tpot <= goals.tpot_s)
    if goals.rate:
        kept &= rate >= goals.rate * (1.0 - 1e-9)
    served = goals.rate or rate
    score = used * (goals.usd_per_device_hour or 1.0) / (served * output_tokens)
    score = np.where(kept, cycle + 0.0 * score if goals.objective == "latency" else score, np.inf)
    flat = score.reshape(len(score), -1)
    found: list[Pools] = []
    for row in np.flatnonzero(np.isfinite(flat.min(axis=1))):
        i, j = np.unravel_index(int(flat[row].argmin()), score.shape[1:])
        where_ = (row, i, j)
        chosen = Pool(int(count[where_]), prefill.plans[int(prefill.plan[p])])
        other = Pool(int(i) + 1, decode.plans[int(decode.plan[row])])
        found.append(Pools(chosen, other, float(in_flight[row, i, 0]), float(ttft[where_]), float(tpot[row, 0, 0]),
                           float(rate[where_]), float(score[where_])))  # fmt: skip
    return found
