"""What to deploy: the best plan of a model on the devices at hand for a load and its limits, and what it beats."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.cluster.mapping import Mapper, one_by_one
from perfmodel.errors import PlanError
from perfmodel.numeric import maximum, minimum
from perfmodel.plan.parallelism import Plan
from perfmodel.search.choose import Row, why_not
from perfmodel.search.flags import FRAMEWORKS, launch_flags
from perfmodel.search.options import SHOWN, Found, Option, Searching
from perfmodel.search.pools import Pools
from perfmodel.search.space import WAYS
from perfmodel.serving.closed_loop import pooled_state, steady_state
from perfmodel.serving.pipeline import decode_steps, prompt_step
from perfmodel.serving.scenario import Answer, Question, Setup, prepare
from perfmodel.workloads.spec import LanguageModel


@dataclass
class Decision:
    """The best deployment and what it was chosen from; ``best`` is None where nothing keeps the goals.

    ``best`` holds the plan's fields, its ``replicas`` (or pools), ``devices_used``, times, rates and costs at the load
    that was asked for; ``others`` are further plans, best first, each with ``why`` it lost; ``front`` the trade of
    speed for a user against tokens a device; ``misses`` what comes closest where nothing will do. ``problems`` are
    devices or precisions that cannot be.
    """

    model: str
    input_tokens: int
    output_tokens: int
    best: Row | None = None
    others: list[Row] = field(default_factory=list[Row])
    front: list[Row] = field(default_factory=list[Row])
    misses: list[Row] = field(default_factory=list[Row])
    problems: list[str] = field(default_factory=list[str])
    flags: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    plans: int = 0
    evaluated: int = 0
    seconds: float = 0.0


def decide(
    model: LanguageModel, options: Sequence[Option], only: dict[str, tuple[int, ...]], input_tokens: int,
    output_tokens: int, modes: Sequence[str] = ("agg", "disagg"), mapper: Mapper = one_by_one,
) -> Decision:  # fmt: skip
    """Return the deployment that the options' objective prefers.

    All plans of all options are evaluated at all loads of :data:`perfmodel.search.points.LOADS`, pools after dominated
    workers are left out. The best is then asked again, exactly, at the rate it has to serve. Ties within 0.1 % go to
    the shorter request. ``mapper`` may give the options to other processes (:func:`perfmodel.cluster.spread`).

    Errors: :class:`PlanError` if no option has room for the model.
    """
    began = time.perf_counter()
    found = Decision(model.name, input_tokens, output_tokens)
    rows: list[tuple[Row, Option]] = []
    answers = dict(mapper(Searching(model, only, tuple(modes), (input_tokens, output_tokens)), options))
    for place, option in enumerate(options):  # in their order, whichever was done first: ties are broken by it
        each: Found = answers[place]
        rows += [(row, option) for row in each.rows]
        found.front += each.front
        found.misses += each.misses
        found.problems += each.problems
        found.plans += each.plans
        found.evaluated += each.evaluated
    if not found.plans and not rows:
        raise PlanError("; ".join(found.problems) or f"no plan of {model.name} is possible")
    rows.sort(key=lambda pair: (round(math.log(pair[0]["score"]) * 1e3), pair[0]["e2e_s"]))
    found.front = _joined_front(found.front)
    if rows:
        found.misses = []
        best, option = rows[0]
        found.best = settled(model, best, option, input_tokens, output_tokens)
        found.flags = flags_of(model, found.best, option, input_tokens + output_tokens)
        for row, other in rows[1 : SHOWN + 1]:
            found.others.append(row | {"why": why_not(row, best, other.goals)})
    else:
        found.misses.sort(key=lambda row: len(row["misses"]))
    found.seconds = time.perf_counter() - began
    return found


def question_of(row: Row, option: Option) -> Question:
    """Return the exact question that a row stands for."""
    if row["mode"] == "disagg":
        pools: Pools = row["pools"]
        return replace(option.question, mode="disagg", prefill_pool=pools.prefill, decode_pool=pools.decode)
    ways = {way: row[way] for way in WAYS}
    return replace(option.question, plan=Plan(**ways, dp=row["replicas"]))


def settled(model: LanguageModel, row: Row, option: Option, input_tokens: int, output_tokens: int) -> Row:
    """Return the row with the exact answer at the load that serves the rate, or at the load it was found at."""
    setup = prepare(model, option.device, question_of(row, option))
    lengths = float(input_tokens), float(output_tokens)
    load = row["load"] * row["replicas"]
    if option.goals.rate:
        load = _load_for(setup, option.goals.rate, load, lengths)
    answer = setup.answer(load, *lengths)
    return {name: value for name, value in row.items() if name != "devices"} | _answer_row(setup, answer, load)


def _load_for(setup: Setup, rate: float, most: float, lengths: tuple[float, float]) -> float:
    """Return the requests in flight at which the rate is served: Little's law turned round, in three finer grids."""
    import numpy as np

    low, high, served = 0.0, most, _rates(setup, *lengths)
    for _ in range(3):
        loads = np.linspace(low, high, 33)[1:]
        rates = np.broadcast_to(served(loads), loads.shape)
        enough = np.flatnonzero(rates >= rate * (1.0 - 1e-9))
        place = int(enough[0]) if len(enough) else len(loads) - 1
        low, high = float(loads[place - 1]) if place else low, float(loads[place])
    return high


def _rates(setup: Setup, input_tokens: float, output_tokens: float) -> Callable[[Any], Any]:
    """Return the requests a second of :meth:`Setup.answer` as a function of the load, its prompts computed once."""
    prefill, nothing = prompt_step(setup.prefill, input_tokens), (0.0, 0.0)
    most = maximum(setup.most_running(input_tokens, output_tokens, together=False), 1.0)
    first, later = setup.question.prefill_pool, setup.question.decode_pool
    plans, framework = (setup.prefill.plan, setup.decode.plan), setup.framework

    def served(load: Any) -> Any:
        mine = maximum(load / (later.workers if later else setup.replicas), 1.0)
        running = minimum(mine, most)
        decode = decode_steps(setup.decode, running, input_tokens, output_tokens, exact_bound=False)
        steps = framework, prefill, decode, nothing
        if first and later:
            workers = first.workers, later.workers
            return pooled_state(plans, workers, *steps, load, running, output_tokens).requests_per_s
        state = steady_state(plans[1], *steps, mine, running, output_tokens)
        return state.requests_per_s * minimum(load, setup.replicas * 1.0)

    return served


def _answer_row(setup: Setup, answer: Answer, load: float) -> Row:
    phases = answer.phases
    found: dict[str, Any] = {"load": load, "devices_used": setup.devices}
    for name in ("ttft", "tpot", "e2e"):
        one = getattr(phases, name)
        found |= {
            f"{name}_s": one.expected,
            f"{name}_bound_s": one.bound,
            f"{name}_p10_s": one.p10,
            f"{name}_p90_s": one.p90,
        }
    found |= {
        "requests_per_s": answer.requests_per_s, "tokens_per_s": answer.tokens_per_s,
        "tokens_per_s_per_device": answer.tokens_per_s / setup.devices,
        "tokens_per_s_per_user": 1.0 / phases.tpot.expected if phases.tpot else None,
        "memory_bytes": answer.memory.used_bytes, "memory_capacity_bytes": answer.memory.capacity_bytes,
        "fits": bool(answer.fits), **answer.extras,
    }  # fmt: skip
    if setup.rates is not None:
        found["usd_per_hour"] = setup.devices * setup.rates.usd_per_device_hour
    return found


def flags_of(model: LanguageModel, best: Row, option: Option, tokens: int) -> dict[str, list[str]]:
    """Return the commands that launch a settled row, by framework."""
    question = question_of(best, option)
    setup = prepare(model, option.device, question)
    name = _checkpoint(model)
    cache = setup.decode.precisions.cache.dtype
    if question.prefill_pool and question.decode_pool:
        parts = [("prefill", question.prefill_pool), ("decode", question.decode_pool)]
        each = max(math.ceil(best["load"] / question.decode_pool.workers), 1)
        return {
            framework: [
                launch_flags(framework, name, pool.plan, requests=each, tokens=tokens, cache=cache, role=role)
                for role, pool in parts
            ]
            for framework in FRAMEWORKS
        }
    each = max(math.ceil(best["load"] / best["replicas"]), 1)
    plan = question.plan
    return {
        framework: [launch_flags(framework, name, plan, requests=each, tokens=tokens, cache=cache)]
        for framework in FRAMEWORKS
    }


def _checkpoint(model: LanguageModel) -> str:
    """Return the name that a hub knows the model by, if its source tells, else the library's own."""
    _, hub, rest = model.source.partition("huggingface.co/")
    parts = rest.split("/")
    return "/".join(parts[:2]) if hub and len(parts) >= 2 else model.name


def _joined_front(rows: list[Row]) -> list[Row]:
    """Return of the fronts of several options what nothing beats."""
    found: list[Row] = []
    best = 0.0
    for row in sorted(rows, key=lambda row: (-row["tokens_per_s_per_user"], -row["tokens_per_s_per_device"])):
        if row["tokens_per_s_per_device"] > best:
            best = row["tokens_per_s_per_device"]
            found.append(row)
    return found
