"""The cheapest fleet as one call, and its answer as one JSON-ready object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import positive, whole
from perfmodel.csv_input import read_rows
from perfmodel.devices import load_device
from perfmodel.errors import InputError, PlanError
from perfmodel.search.fleet import Bucket, Fleet, Kind, all_kinds, buckets_of, cheapest, offers, over_a_day
from perfmodel.search.goals import Goals
from perfmodel.serving.scenario import Question
from perfmodel.workloads.library import load_model
from perfmodel.workloads.usecases import Lengths

HOURS = 24
USUAL_DAY = tuple(0.5 + 0.5 * (0.5 - 0.5 * math.cos(2 * math.pi * (hour - 4) / HOURS)) for hour in range(HOURS))
"""Load of each hour over that of the busiest: half at four in the morning, all at four in the afternoon."""


def fleet_report(
    model: str,
    devices: Sequence[str],
    *,
    rate: Any,
    inputs: Lengths,
    outputs: Lengths,
    cuts: Any = 4,
    largest_replica: Any = 8,
    ttft_s: float = math.inf,
    tpot_s: float = math.inf,
    sure: str = "expected",
    engine: str = "",
    precision: str = "",
    price_kind: str = "cloud_hour",
    spare: Any = 0,
    day: str = "",
    only: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, Any]:
    """Return the cheapest mix of replicas for ``rate`` requests a second (schema ``perfmodel/fleet/1``).

    ``devices`` are names, or ``NAME=COUNT`` where there are only so many. ``day`` is a CSV with the columns hour and
    rate, or ``usual``: the fleet is then found for every hour, and one that stays all day is compared with it.

    Errors: :class:`PerfmodelError` for an unknown name, a device without a price, or a load that cannot be served.
    """
    names, available = _offered(devices)
    asked = positive("rate", rate)
    if not asked:
        raise InputError("rate must be above 0: a fleet that serves nothing costs nothing")
    question = Question(engine=engine, precision=precision or None, price_kind=price_kind)
    goals = Goals(whole("largest replica", largest_replica), ttft_s=ttft_s, tpot_s=tpot_s, sure=sure)
    buckets = buckets_of(inputs, outputs, whole("cuts", cuts))
    workload, offered = (
        load_model(model),
        offers([load_device(name) for name in names], question, available, price_kind),
    )
    kinds, problems = all_kinds(workload, offered, buckets, goals, {"cp": (1,), **(only or {})})
    limits = {load_device(name).name: count for name, count in available.items()}
    extra = whole("spare", spare, least=0)
    best = cheapest(kinds, buckets, asked, limits, extra)
    return {
        "schema": "perfmodel/fleet/1",
        "version": __version__,
        "model": workload.name,
        "inputs": {"rate": asked, "devices": list(devices), "engine": engine, "spare": extra, "price_kind": price_kind,
                   "largest_replica": goals.devices, "sure": sure,
                   **{n: v for n, v in (("ttft_s", ttft_s), ("tpot_s", tpot_s)) if math.isfinite(v)}},
        "fleet": _rows(best, kinds, buckets, asked),
        "usd_per_hour": best.usd_per_hour,
        "usd_per_million_requests": best.usd_per_hour / (asked * 3600.0) * 1e6,
        "alone": _alone(kinds, buckets, asked, limits, extra),
        "buckets": [_bucket(i, bucket, best, kinds) for i, bucket in enumerate(buckets)],
        "day": _day(day, kinds, buckets, asked, limits, extra),
        "problems": problems,
    }  # fmt: skip


def _offered(devices: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    names: list[str] = []
    available: dict[str, int] = {}
    for text in devices:
        name, equals, count = (part.strip() for part in text.partition("="))
        names.append(name)
        if equals:
            available[load_device(name).name] = whole(f"--on {name}", count, least=0)
    return names, available


def _rows(fleet: Fleet, kinds: Sequence[Kind], buckets: Sequence[Bucket], rate: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for k, (kind, count) in enumerate(zip(kinds, fleet.replicas, strict=True)):
        if not count:
            continue
        load = [bucket.share * rate * fleet.shares[b][k] for b, bucket in enumerate(buckets)]
        busy = sum(part / own for part, own in zip(load, kind.rates, strict=True) if own > 0)
        found.append({"replica": kind.name, "precision": kind.row["precision"], "replicas": count,
                      "devices": count * kind.devices, "usd_per_hour": count * kind.usd_per_hour,
                      "requests_per_s": sum(load), "busy_share": busy / count})  # fmt: skip
    return sorted(found, key=lambda row: -row["usd_per_hour"])


def _alone(
    kinds: Sequence[Kind], buckets: Sequence[Bucket], rate: float, limits: Mapping[str, int], spare: int
) -> list[dict[str, Any]]:
    """Return what the load costs on each kind of device alone, or why it cannot be."""
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(kind.device for kind in kinds):
        mine = [kind for kind in kinds if kind.device == name]
        try:
            found.append(
                {"device": name, "usd_per_hour": cheapest(mine, buckets, rate, limits, spare).usd_per_hour, "why": ""}
            )
        except PlanError as error:
            found.append({"device": name, "usd_per_hour": None, "why": str(error)})
    return found


def _bucket(i: int, bucket: Bucket, fleet: Fleet, kinds: Sequence[Kind]) -> dict[str, Any]:
    served = {kind.name: fleet.shares[i][k] for k, kind in enumerate(kinds) if fleet.shares[i][k] > 1e-6}
    return {"input_tokens": bucket.input_tokens, "output_tokens": bucket.output_tokens, "share": bucket.share,
            "served_by": served}  # fmt: skip


def _day(
    day: str, kinds: Sequence[Kind], buckets: Sequence[Bucket], rate: float, limits: Mapping[str, int], spare: int
) -> dict[str, Any] | None:
    if not day:
        return None
    rates = [rate * part for part in USUAL_DAY] if day == "usual" else _read_day(day)
    fleets = over_a_day(kinds, buckets, rates, limits, spare)
    steady = cheapest(kinds, buckets, max(rates), limits, spare).usd_per_hour * len(rates)
    scaled = sum(fleet.usd_per_hour for fleet in fleets)
    return {
        "usd_steady": steady, "usd_scaled": scaled, "saved_share": 1.0 - scaled / steady,
        "hours": [{"hour": hour, "rate": one, "usd_per_hour": fleet.usd_per_hour,
                   "replicas": {kind.name: count for kind, count in zip(kinds, fleet.replicas, strict=True) if count}}
                  for hour, (one, fleet) in enumerate(zip(rates, fleets, strict=True))],
    }  # fmt: skip


def _read_day(path: str) -> list[float]:
    rows = read_rows(path, ("rate",))
    if not rows:
        raise InputError(f"{path}: a day's load has the columns hour and rate, a row an hour")
    found = [positive(f"{path}:{line}: rate", row["rate"]) for line, row in enumerate(rows, 2)]
    if not max(found) > 0:
        raise InputError(f"{path}: no hour has a rate above 0")
    return [max(one, 1e-9) for one in found]
