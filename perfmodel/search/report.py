"""The search for a deployment as one call, and its answer as one JSON-ready object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import positive, whole
from perfmodel.devices import load_device
from perfmodel.errors import InputError, did_you_mean
from perfmodel.plan.parallelism import Plan
from perfmodel.search.deployment import Decision
from perfmodel.search.deployment import decide as _decide
from perfmodel.search.goals import Goals
from perfmodel.search.kept import keeping
from perfmodel.search.options import Option, option
from perfmodel.search.space import WAYS
from perfmodel.serving.scenario import Pool, Question
from perfmodel.units import time_text
from perfmodel.workloads.library import load_model

MODES = {"both": ("agg", "disagg"), "agg": ("agg",), "disagg": ("disagg",)}
LONG_PROMPT = 32_768
"""Input tokens beyond which the parts of a sequence are searched too, unless told."""

_SHORT = {"tp": "tp", "pp": "pp", "cp": "cp", "attention_dp": "attention-dp", "ep": "ep"}


def plan_report(
    model: str,
    devices: Sequence[str],
    *,
    gpus: Any = 8,
    rate: Any = 0.0,
    input_tokens: Any = 1024,
    output_tokens: Any = 256,
    ttft_s: float = math.inf,
    tpot_s: float = math.inf,
    e2e_s: float = math.inf,
    objective: str = "cost",
    sure: str = "expected",
    margin: Any = 10,
    mode: str = "both",
    engine: str = "",
    precisions: Sequence[str] = ("",),
    kv_precision: str = "",
    only: Mapping[str, Any] | None = None,
    price_kind: str = "cloud_hour",
    usd_per_hour: Any = "",
    scheduler: str = "",
    out: str = "",
) -> dict[str, Any]:
    """Return the best deployment of a model on up to ``gpus`` devices of one kind, as :func:`decide` finds it.

    ``devices`` and ``precisions`` are those to choose from; ``only`` maps a way of splitting (tp, pp, cp, attention_dp,
    ep) to the values it may have; ``rate`` 0 asks for as many requests a second as possible. ``best`` is None where
    nothing keeps the limits; ``misses`` then says what is missing. ``scheduler`` (of dask, see
    :func:`perfmodel.cluster.spread`) gives devices and precisions to its workers; with ``out`` what they find is kept
    in ``out.parts`` until all is there.

    Errors: :class:`PerfmodelError` for an unknown name or value, or a model that fits no plan.
    """
    if mode not in MODES:
        raise InputError(f"unknown mode '{mode}'{did_you_mean(mode, MODES)} (one of {', '.join(MODES)})")
    workload = load_model(model)
    lengths = whole("input_tokens", input_tokens), whole("output_tokens", output_tokens)
    goals = Goals(
        whole("gpus", gpus), positive("rate", rate or 0.0), ttft_s, tpot_s, e2e_s, objective, sure,
        positive("margin", margin) / 100.0,
    )  # fmt: skip
    price = positive("usd_per_hour", usd_per_hour) if usd_per_hour not in ("", None) else None
    question = Question(
        kv_precision=kv_precision or None, engine=engine, price_kind=price_kind, usd_per_device_hour=price
    )
    options = [
        option(load_device(name.strip()), replace(question, precision=precision.strip() or None), goals)
        for name in devices
        for precision in precisions
    ]
    ways = _ways(only or {}, lengths[0])
    searched = [(one.device.spec_hash, asdict(one.question), asdict(one.goals)) for one in options]
    asked = {"model": (workload.name, workload.spec_hash), "lengths": lengths, "ways": ways, "mode": mode}
    with keeping(out, {**asked, "options": searched}, scheduler) as mapper:
        found = _decide(workload, options, ways, *lengths, modes=MODES[mode], mapper=mapper)
    found.problems += _unpriced(options, objective)
    return _report(found, goals, engine, mode)


def _unpriced(options: Sequence[Option], objective: str) -> list[str]:
    """Return a word on the devices without a price, where others are compared with them by money."""
    names = sorted({one.device.name for one in options if one.goals.usd_per_device_hour is None})
    several = len({one.device.name for one in options}) > 1
    if not (names and several and objective in ("cost", "throughput")):
        return []
    return [f"no price of {', '.join(names)} is known: there a device counts as one dollar an hour"]


def _ways(only: Mapping[str, Any], input_tokens: int) -> dict[str, tuple[int, ...]]:
    for way in only:
        if way not in WAYS:
            raise InputError(f"no way of splitting '{way}'{did_you_mean(way, WAYS)} (one of {', '.join(WAYS)})")
    found = {way: _numbers(way, values) for way, values in only.items()}
    return found if "cp" in found or input_tokens > LONG_PROMPT else {**found, "cp": (1,)}


def _numbers(way: str, values: Any) -> tuple[int, ...]:
    parts = values.split(",") if isinstance(values, str) else [values] if isinstance(values, int) else values
    return tuple(whole(way, value) for value in parts)


def _report(found: Decision, goals: Goals, engine: str, mode: str) -> dict[str, Any]:
    limits = {"ttft_s": goals.ttft_s, "tpot_s": goals.tpot_s, "e2e_s": goals.e2e_s}
    return {
        "schema": "perfmodel/plan/1",
        "version": __version__,
        "model": found.model,
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "inputs": {"gpus": goals.devices, "rate": goals.rate or None, "objective": goals.objective, "sure": goals.sure,
                   "margin_percent": 100.0 * goals.margin, "engine": engine, "mode": mode,
                   **{name: limit for name, limit in limits.items() if math.isfinite(limit)}},
        "asked": _asked(goals, limits),
        "best": None if found.best is None else named(found.best),
        "answers": [] if found.best is None else answers_of(found.best),
        "others": [named(row) for row in found.others],
        "front": [named(row) for row in found.front],
        "misses": [named(row) for row in found.misses],
        "flags": found.flags,
        "problems": found.problems,
        "plans": found.plans,
        "evaluated": found.evaluated,
        "seconds": found.seconds,
    }  # fmt: skip


def _asked(goals: Goals, limits: Mapping[str, float]) -> str:
    load = f"{goals.rate:g} requests a second" if goals.rate else "as many requests as possible"
    kept = [f"{name[:-2].upper()} within {1e3 * limit:g} ms" for name, limit in limits.items() if math.isfinite(limit)]
    return f"asked: {load} on up to {goals.devices} devices, {', '.join([*kept, f'least {goals.objective}'])}".replace(
        "least throughput", "most tokens a device"
    )


def named(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row in JSON's types, with its plan in words."""
    found: dict[str, Any] = {"plan": plan_words(row), **{name: value for name, value in row.items() if name != "pools"}}
    pools = row.get("pools")
    if pools is not None:
        found |= {"prefill_pool": _pool(pools.prefill), "decode_pool": _pool(pools.decode)}
    return found


def _pool(pool: Pool) -> dict[str, Any]:
    fields = asdict(pool.plan)
    return {"workers": pool.workers, **{way: int(fields[way]) for way in WAYS}, "devices": pool.devices}


def plan_words(row: Mapping[str, Any]) -> str:
    """Return a plan in words: ``4 replicas of tp 8 on h100-sxm, fp8``."""
    where = f"on {row['device']}, {row['precision']}"
    pools = row.get("pools")
    if pools is not None:
        named = (("prefill", pools.prefill), ("decode", pools.decode))
        parts = (
            f"{pool.workers} {name} worker{'s' * (pool.workers > 1)} of {_splits(pool.plan)}" for name, pool in named
        )
        return f"{' and '.join(parts)} {where}"
    ways = _splits(Plan(**{way: row[way] for way in WAYS}))
    replicas = row.get("replicas", 1)
    return f"{replicas} replicas of {ways} {where}" if replicas != 1 else f"{ways} {where}"


def _splits(plan: Plan) -> str:
    ways = [f"{_SHORT[way]} {int(getattr(plan, way))}" for way in WAYS if getattr(plan, way) > 1]
    return " ".join(ways) or "one device"


def answers_of(best: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a settled row as a table in words."""
    rows: list[tuple[str, ...]] = [("", "expected", "bound", "p10", "p90")]
    for name in ("ttft", "tpot", "e2e"):
        values = (best[f"{name}_s"], *(best[f"{name}_{part}_s"] for part in ("bound", "p10", "p90")))
        rows.append((name.upper(), *map(time_text, values)))
    numbers = [
        ("requests a second", best["requests_per_s"], "{:.4g}"),
        ("requests at once", best["load"], "{:.0f}"),
        ("tokens/s", best["tokens_per_s"], "{:,.0f}"),
        ("tokens/s a device", best["tokens_per_s_per_device"], "{:,.0f}"),
        ("memory a device, GB", best["memory_bytes"] / 1e9, "{:.1f}"),
        ("J a token", best.get("joules_per_token"), "{:.3g}"),
        ("$ an hour", best.get("usd_per_hour"), "{:,.2f}"),
        ("$ a million tokens", best.get("usd_per_million_tokens"), "{:,.3g}"),
    ]
    return rows + [(name, form.format(value), "", "", "") for name, value, form in numbers if value is not None]


__all__ = ["MODES", "plan_report", "plan_words"]
