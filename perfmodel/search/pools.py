"""Separate pools of prefill and decode workers: every pair of worker plans and every ratio, after what is dominated."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

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

    def rows(self, chosen: Any) -> Workers:
        """Return the workers of an index or a mask."""
        names = ("plan", "devices", "time_s", "crowded_s", "slots")
        return Workers(self.plans, *(getattr(self, name)[chosen] for name in names))


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
    framework = load_framework(steps.question.engine, "disagg", loop=True, dtype=dtype)
    prefill, decode = (_undominated(workers) for workers in _workers(steps, framework))
    decode = decode.rows((1.0 + goals.margin) * decode.time_s <= goals.tpot_s)
    found: list[_Choice] = []
    for p in range(len(prefill.plan) if len(decode.plan) else 0):
        found += _choices(prefill, p, decode, framework.coefficients, goals, steps.output_tokens)
    best: dict[tuple[Plan, Plan], Pools] = {}
    for one in sorted(found, key=lambda choice: (round(choice.score, 12), choice.ttft_s)):
        pools = _pools(one, prefill, decode)
        best.setdefault((pools.prefill.plan, pools.decode.plan), pools)
        if len(best) == count:
            break
    return list(best.values())


def _pools(one: _Choice, prefill: Workers, decode: Workers) -> Pools:
    first = Pool(one.prefill_workers, prefill.plans[int(prefill.plan[one.prefill])])
    later = Pool(one.decode_workers, decode.plans[int(decode.plan[one.decode])])
    load = float(decode.slots[one.decode]) * one.decode_workers
    return Pools(first, later, load, one.ttft_s, float(decode.time_s[one.decode]), one.requests_per_s, one.score)


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
    sizes, size = np.unique(workers.devices, return_inverse=True)
    best = [0.0] * len(sizes)  # the highest rate among the faster ones of at most so many devices
    keep: list[int] = []
    for index, place, own in zip(order.tolist(), size[order].tolist(), rate[order].tolist(), strict=True):
        if own > best[place]:
            best[place:] = [max(own, other) for other in best[place:]]
            keep.append(index)
    return workers.rows(np.array(keep))


class _Choice(NamedTuple):
    """The best counts of a pair of workers: rows of both, how many of each, and what they reach."""

    prefill: int
    decode: int
    prefill_workers: int
    decode_workers: int
    ttft_s: float
    requests_per_s: float
    score: float


def _choices(
    prefill: Workers, p: int, decode: Workers, c: Coefficients, goals: Goals, output_tokens: float
) -> list[_Choice]:
    """Return the best deployment of each decode worker with prefill workers ``p``, of those that keep the goals."""
    import numpy as np

    devices_p, time_p, crowded_p, slots_p = (
        float(getattr(prefill, name)[p]) for name in ("devices", "time_s", "crowded_s", "slots")
    )
    steps = max(output_tokens - 1.0, 0.0)
    row, d = _counts(decode, goals, goals.devices - devices_p, steps)
    if not len(row):
        return []
    load, tpot, devices_d = (getattr(decode, name)[row][:, None] for name in ("slots", "time_s", "devices"))
    in_flight = load * d[:, None]
    least = np.maximum(np.ceil(in_flight * crowded_p / slots_p / np.maximum(steps * tpot, 1e-9)), 1.0)
    count = np.ceil(least * 1.25 ** np.arange(0.0, 8.0))
    ttft = pooled_ttft(c, tpot, time_p, in_flight, count * slots_p, in_flight, output_tokens, crowded_p)
    cycle = ttft + steps * tpot
    rate = in_flight / cycle
    used = count * devices_p + d[:, None] * devices_d
    longer = 1.0 + goals.margin
    kept = (used <= goals.devices) & (longer * cycle <= goals.e2e_s) & (longer * ttft <= goals.ttft_s)
    if goals.rate:
        kept &= rate >= goals.rate * (1.0 - 1e-9)
    score = used * (goals.usd_per_device_hour or 1.0) / ((goals.rate or rate) * output_tokens)
    score = np.where(kept, cycle if goals.objective == "latency" else score, np.inf)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    found: list[_Choice] = []
    for start, end in itertools.pairwise([*starts.tolist(), len(row)]):
        i, j = divmod(int(score[start:end].argmin()), score.shape[1])
        at = start + i, j
        if math.isfinite(score[at]):
            workers = int(count[at]), int(d[start + i])
            found.append(_Choice(p, int(row[start]), *workers, float(ttft[at]), float(rate[at]), float(score[at])))
    return found


def _counts(decode: Workers, goals: Goals, devices: float, steps: float) -> tuple[Any, Any]:
    """Return columns of (row, count): the decode workers of each row that ``devices`` have room for.

    Those that could not serve the rate if their requests waited for nothing are left out.
    """
    import numpy as np

    most = np.minimum(devices // decode.devices, MOST_WORKERS)
    least = np.floor(goals.rate * steps * decode.time_s / decode.slots * (1.0 - 1e-6)) if goals.rate else 0.0 * most
    many = np.maximum(most - least, 0.0).astype(int)
    row = np.repeat(np.arange(len(many)), many)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many)
    return row, nth + 1.0 + np.repeat(least, many)
