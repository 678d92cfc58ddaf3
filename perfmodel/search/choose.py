"""The plan that an objective prefers, the front of those that nothing beats, and why the others lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.search.goals import Goals
from perfmodel.search.points import Points

Row = dict[str, Any]
_IN_WORDS = {
    "cost": "cost",
    "throughput": "devices for the same tokens",
    "latency": "end-to-end time",
    "energy": "energy",
}


def ranked(points: Points, goals: Goals, count: int = 0) -> list[Row]:
    """Return the best load of each of the best ``count`` plans (0: of all) that keep the goals, the best plan first.

    Ties go to the shorter request.
    """
    import numpy as np

    replicas = goals.replicas(points)
    possible = goals.kept(points) & (replicas > 0)
    if goals.objective == "energy":
        possible &= np.isfinite(points.joules_per_token)
    rows = np.flatnonzero(possible)
    score = goals.score(points, replicas)
    # a score within a tenth of a percent is the same: the forms are not that sharp
    order = rows[np.lexsort((points.e2e_s[rows], np.round(np.log(score[rows]) * 1e3)))]
    seen: set[int] = set()
    found: list[Row] = []
    for index in order:
        plan = int(points.plan[index])
        if plan not in seen:
            seen.add(plan)
            found.append(points.row(int(index)) | {"replicas": int(replicas[index]), "score": float(score[index])})
            if len(found) == count:
                break
    return found


def front(points: Points, goals: Goals) -> list[Row]:
    """Return the rows that no other beats in both tokens/s a user and tokens/s a device, by falling speed for the user.

    All keep the limit on TTFT; that on TPOT is what the front shows the price of.
    """
    import numpy as np

    first, _, _ = goals.times(points)
    allowed = np.flatnonzero((first <= goals.ttft_s) & (goals.devices >= points.devices))
    rate = points.tokens_per_s / points.devices
    order = allowed[np.lexsort((-rate[allowed], points.tpot_s[allowed]))]
    found: list[Row] = []
    best = 0.0
    for index in order:
        if rate[index] > best * 1.005:
            best = float(rate[index])
            row = points.row(int(index))
            found.append(row | {"tokens_per_s_per_user": 1.0 / row["tpot_s"], "tokens_per_s_per_device": best})
    return found


def why_not(row: Row, best: Row, goals: Goals) -> str:
    """Return in what a plan that keeps the goals falls behind the best one."""
    worse = row["score"] / best["score"] - 1.0
    if worse < 0.001:
        longer = row["e2e_s"] / best["e2e_s"] - 1.0
        return f"as good, but requests take {100 * longer:.0f} % longer" if longer > 0.005 else "as good"
    return f"{100 * worse:.1f} % more {_IN_WORDS[goals.objective]}"


def nearest_misses(points: Points, goals: Goals, count: int = 5) -> list[Row]:
    """Return the plans that come closest to the goals, each with what it misses and by how much."""
    import numpy as np

    ttft, tpot, e2e = goals.times(points)
    deployable = np.floor(goals.devices / points.devices)
    short = goals.rate / np.maximum(points.requests_per_s * deployable, 1e-30) if goals.rate else np.zeros(len(points))
    over = np.stack([ttft / goals.ttft_s, tpot / goals.tpot_s, e2e / goals.e2e_s, short])
    miss = np.prod(np.maximum(over, 1.0), axis=0)
    miss = np.where(deployable > 0, miss, np.inf)
    seen: set[int] = set()
    found: list[Row] = []
    for index in np.argsort(miss, kind="stable"):
        plan = int(points.plan[index])
        if plan in seen or not np.isfinite(miss[index]):
            continue
        seen.add(plan)
        row = points.row(int(index)) | {"replicas": int(deployable[index])}
        values = (ttft[index], tpot[index], e2e[index], short[index])
        found.append(row | {"misses": _misses([float(value) for value in values], over[:, index].tolist(), goals)})
        if len(found) == count:
            break
    return found


def _misses(values: Sequence[float], over: Sequence[float], goals: Goals) -> list[str]:
    found: list[str] = []
    limits = (("TTFT", goals.ttft_s), ("TPOT", goals.tpot_s), ("end-to-end time", goals.e2e_s))
    for (name, limit), value, factor in zip(limits, values[:3], over[:3], strict=True):
        if factor > 1.0:
            found.append(f"{name} {1e3 * value:.4g} ms is {factor:.2f} times the limit of {1e3 * limit:.4g} ms")
    if over[3] > 1.0:
        found.append(
            f"all {goals.devices} devices serve {goals.rate / over[3]:.3g} of {goals.rate:g} requests a second"
        )
    return found
