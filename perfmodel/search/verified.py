"""A search whose best plans are held to their limits at a percentile, by simulating the requests that arrive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.arguments import positive, whole
from perfmodel.devices import load_device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.plan.parallelism import Plan
from perfmodel.search.choose import why_not
from perfmodel.search.deployment import flags_of, settled
from perfmodel.search.goals import Goals
from perfmodel.search.options import Option, option
from perfmodel.search.report import answers_of, named, plan_report, plan_words
from perfmodel.search.space import WAYS
from perfmodel.serving.scenario import Pool, Question, Setup, prepare
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.summary import Slo
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel
from perfmodel.workloads.usecases import Lengths

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
CANDIDATES = 4
"""Plans of the search that are simulated, best first."""

_FEWEST, _MOST, _ROUNDS = 600, 6000, 10.0
"""Requests of a simulation: the first, more where many are there at once, each slot serving as many in turn."""


@dataclass(frozen=True)
class Promise:
    """What is asked of simulated requests: the share ``kept`` of them keeps all limits, arrivals being Poisson's.

    ``spread`` is the sigma of the lognormal lengths around their means.
    """

    percentile: str
    spread: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.percentile not in PERCENTILES:
            raise InputError(f"percentile must be one of {', '.join(PERCENTILES)}, not '{self.percentile}'")

    @property
    def kept(self) -> float:
        """Return the share of the requests that must keep all limits."""
        return PERCENTILES[self.percentile]


def verified_plan_report(model: str, devices: Sequence[str], promise: Promise, **asked: Any) -> dict[str, Any]:
    """Return the report of :func:`plan_report` with the first plan that keeps the limits for enough of its requests.

    The best plans in closed form are simulated in their order, each with as few replicas as will do and only where
    that could still be the best; ``simulated`` has a row for each that was tried. Where none does, ``best`` is None.
    What counts is the share of requests that keep TTFT, TPOT and E2E at once. Omits pipelines between stages: a step
    of a simulated replica passes all of them.

    Errors: :class:`InputError` without a rate or a limit, and those of the search.
    """
    rate = positive("rate", asked.get("rate") or 0.0)
    limits = {name: float(asked.get(name, math.inf)) for name in ("ttft_s", "tpot_s", "e2e_s")}
    if not rate or all(map(math.isinf, limits.values())):
        raise InputError(
            "a percentile is that of requests that arrive and have a limit: give rate, and ttft, tpot or e2e"
        )
    report = plan_report(model, devices, **asked)
    report["inputs"] |= {"percentile": promise.percentile, "spread": promise.spread}
    if report["best"] is None:
        return report | {"simulated": []}
    found = _Trial(load_model(model), devices, promise, rate, limits, asked).first(report)
    return report | found


class _Trial:
    """Simulates candidates; ``tried`` has a row for each."""

    def __init__(
        self, model: LanguageModel, devices: Sequence[str], promise: Promise, rate: float, limits: Mapping[str, float],
        asked: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.model, self.promise, self.rate = model, promise, rate
        self.limits = Slo(limits["ttft_s"], limits["tpot_s"], limits["e2e_s"])
        self.goals = Goals(
            whole("gpus", asked.get("gpus", 8)), rate, **limits, objective=asked.get("objective", "cost"),
            sure=asked.get("sure", "expected"), margin=positive("margin", asked.get("margin", 10)) / 100.0,
        )  # fmt: skip
        self.lengths = whole("input_tokens", asked["input_tokens"]), whole("output_tokens", asked["output_tokens"])
        price = asked.get("usd_per_hour")
        self.question = Question(
            kv_precision=asked.get("kv_precision") or None, engine=asked.get("engine", ""),
            price_kind=asked.get("price_kind", "cloud_hour"),
            usd_per_device_hour=positive("usd_per_hour", price) if price not in ("", None) else None,
        )  # fmt: skip
        self.choices = [(name, word) for name in devices for word in asked.get("precisions", ("",))]
        self.tried: list[dict[str, Any]] = []

    def first(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return what changes in a report: the plan that keeps the promise for least, and what was tried."""
        best: tuple[float, Mapping[str, Any], Option, int] | None = None
        for row in [report["best"], *report["others"]][:CANDIDATES]:
            where = self._option(row)
            count, pays = row["replicas"], row["score"] / row["replicas"]
            cost = _grows(self.goals.objective)
            room = int(self.goals.devices // _devices(row)) if row["mode"] == "agg" else count
            if best is not None and cost:
                room = min(room, math.ceil(best[0] / pays * (1.0 - 1e-9)) - 1)
            enough = self._fewest(row, where, count, room)
            if enough is not None:
                found = pays * enough if cost else row["score"]
                if best is None or found < best[0]:
                    best = found, row, where, enough
                if not cost:
                    break
        if best is None:
            return {"best": None, "answers": [], "simulated": self.tried, "misses": [], "flags": {}}
        _, row, where, enough = best
        chosen = self._settled(row, where, enough)
        flags = flags_of(self.model, chosen, where, sum(self.lengths))
        return {"best": named(chosen), "answers": answers_of(chosen), "flags": flags, "simulated": self.tried,
                "others": [other | {"why": self._why_not(other, chosen)} for other in report["others"]
                           if other["plan"] != row["plan"]]}  # fmt: skip

    def _why_not(self, other: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
        """Return in what a plan falls behind: in the share that keeps the limits, where it was simulated."""
        for row in self.tried:
            if row["plan"] == other["plan"] and not row["keeps"]:
                return row.get("error") or f"only {100.0 * row['slo_share']:.1f} % keep all limits"
        return why_not(dict(other), dict(chosen), self.goals)

    def _fewest(self, row: Mapping[str, Any], where: Option, low: int, high: int) -> int | None:
        """Return the fewest replicas from ``low`` to ``high`` that keep the promise, None if all of them do not."""
        if high < low:
            return None
        if self._keeps(row, where, low):
            return low
        step = 1
        while low < high:  # a few more are usually enough: steps that double, and then the middle of the last one
            tried = min(low + step, high)
            if self._keeps(row, where, tried):
                while tried - low > 1:
                    middle = (low + tried) // 2
                    low, tried = (low, middle) if self._keeps(row, where, middle) else (middle, tried)
                return tried
            low, step = tried, 2 * step
        return None

    def _keeps(self, row: Mapping[str, Any], where: Option, replicas: int) -> bool:
        setup = prepare(self.model, where.device, self._question(row, where, replicas))
        count = min(max(_FEWEST, int(_ROUNDS * self.rate * row["e2e_s"])), _MOST)
        sigma = self.promise.spread
        inputs, outputs = (Lengths(mean * math.exp(-sigma * sigma / 2.0), sigma) for mean in self.lengths)
        plan = plan_words(dict(row) | {"replicas": replicas} | _pools(row))
        try:
            found = simulate_report(setup, rate=self.rate, requests=count, inputs=inputs, outputs=outputs,
                                    slo=self.limits, seed=self.promise.seed)  # fmt: skip
        except PerfmodelError as error:
            self.tried.append({"plan": plan, "devices": setup.devices, "keeps": False, "error": str(error)})
            return False
        keeps = not found["saturated"] and found["slo_share"] >= self.promise.kept
        self.tried.append(_row(plan, setup, found, keeps, self.promise.percentile))
        return keeps

    def _option(self, row: Mapping[str, Any]) -> Option:
        """Return the device and precision that a row was found on."""
        for name, word in self.choices:
            device = load_device(name.strip())
            if device.name != row["device"]:
                continue
            question = replace(self.question, precision=word.strip() or None)
            setup = prepare(self.model, device, self._question(row, Option(device, question, self.goals), 1))
            if setup.decode.precisions.linear.name == row["precision"]:
                return option(device, question, self.goals)
        raise PerfmodelError(f"no device and precision of the question is that of {row['plan']}")

    def _question(self, row: Mapping[str, Any], where: Option, replicas: int) -> Question:
        if row["mode"] == "disagg":
            pools = _pools(row)["pools"]
            return replace(where.question, mode="disagg", prefill_pool=pools.prefill, decode_pool=pools.decode)
        return replace(where.question, plan=Plan(**{way: row[way] for way in WAYS}, dp=replicas))

    def _settled(self, row: Mapping[str, Any], where: Option, replicas: int) -> dict[str, Any]:
        changed = dict(row) | {"replicas": replicas, "score": row["score"] / row["replicas"] * replicas} | _pools(row)
        # the load is that of all replicas in a settled row, and of one in those that it is made from
        changed["load"] = row["load"] / row["replicas"] if "devices_used" in row else row["load"]
        for name in ("plan", "why", "prefill_pool", "decode_pool"):
            changed.pop(name, None)
        return settled(self.model, changed, where, *self.lengths)


@dataclass(frozen=True)
class _Both:
    """The pools of a row."""

    prefill: Pool
    decode: Pool


def _pools(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["mode"] != "disagg":
        return {}
    parts = (
        Pool(part["workers"], Plan(**{way: part[way] for way in WAYS}))
        for part in (row["prefill_pool"], row["decode_pool"])
    )
    return {"pools": _Both(*parts)}


def _devices(row: Mapping[str, Any]) -> float:
    """Return the devices of one replica."""
    return row["devices_used"] / row["replicas"] if "devices_used" in row else row["devices"]


def _grows(objective: str) -> bool:
    """Say whether an objective counts the devices that are deployed."""
    return objective in ("cost", "throughput")


def _row(plan: str, setup: Setup, found: Mapping[str, Any], keeps: bool, percentile: str) -> dict[str, Any]:
    times = {f"{name}_{percentile}_s": (found[f"{name}_s"] or {}).get(percentile) for name in ("ttft", "tpot", "e2e")}
    return {"plan": plan, "devices": setup.devices, "requests": found["requests"], **times,
            "slo_share": found["slo_share"], "goodput_per_s": found["goodput_per_s"],
            "busy_share": found["busy_share"], "saturated": found["saturated"], "keeps": keeps}  # fmt: skip
