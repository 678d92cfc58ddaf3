"""A workflow on deployments as one call, and its answer as one JSON-ready object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import positive, whole
from perfmodel.errors import InputError
from perfmodel.serving.scenario import Setup
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.requests import Request, drawn_requests
from perfmodel.simulation.run import replicas_of, result_of
from perfmodel.simulation.summary import WARM_UP, percentiles, summary
from perfmodel.simulation.workflow import Run, WorkflowSimulation
from perfmodel.simulation.workflow_expected import Expected, expected_run
from perfmodel.workloads.usecases import Lengths
from perfmodel.workloads.workflows import Workflow

MOST_RUNS = 100_000


def workflow_report(
    flow: Workflow,
    setups: Mapping[str, Setup],
    *,
    rate: Any = "",
    in_flight: Any = "",
    runs: Any = 200,
    arrival: str = "poisson",
    variation: Any = 2.0,
    balance: str = "",
    reuse: bool = True,
    chunk: Any = 8192,
    e2e_s: float = math.inf,
    answer_s: float = math.inf,
    seed: Any = 0,
) -> dict[str, Any]:
    """Return what becomes of runs of a workflow on the deployments of its roles (schema ``perfmodel/workflow/1``).

    Either ``rate`` runs a second begin, or ``in_flight`` are there at any time. ``e2e_s`` and ``answer_s`` are limits
    on a run's whole time and on the first token of its last call. Money is that of all devices, used or not, and of
    tools. ``points`` has a row a run.

    Errors: :class:`InputError` for an unknown word, a number that cannot be, or a role without a deployment.
    """
    count, lot = whole("runs", runs), whole("seed", seed, least=0)
    if count > MOST_RUNS:
        raise InputError(f"runs must be at most {MOST_RUNS:,}, not {count:,}")
    _check_roles(flow, setups)
    policy = Policy(token_budget=whole("chunk", chunk))
    replicas = {role: replicas_of(setups[role], policy) for role in flow.roles}
    chosen = balance or ("prefix" if reuse else "least_load")
    simulation = WorkflowSimulation(flow, replicas, balance=chosen, reuse=reuse, seed=lot)
    found, speed = _run(simulation, rate, in_flight, count, arrival, variation, lot)
    expected = expected_run(flow, setups, speed, reuse=reuse)
    roles = {role: _role(setups[role], simulation.requests[role], len(found), expected, role) for role in flow.roles}
    for role in flow.roles:
        roles[role] |= _load(simulation.requests[role], replicas[role], open_loop=rate not in ("", None))
    return {
        "schema": "perfmodel/workflow/1", "version": __version__, "workflow": flow.name,
        "description": flow.description,
        "inputs": {"rate": rate or None, "in_flight": in_flight or None, "arrival": arrival, "balance": chosen,
                   "reuse": reuse, "chunk": policy.token_budget, "seed": lot, **_limits(e2e_s, answer_s)},
        **_times(found, e2e_s, answer_s, speed),
        "runs_per_s": _rate(found),
        "saturated": any(role["saturated"] for role in roles.values()),
        **_money(found, roles, speed),
        "roles": roles,
        "closed_form": {"e2e_s": expected.e2e_s if math.isfinite(expected.e2e_s) else None,
                        "usd_of_tools_per_run": expected.usd},
        "points": [_point(run) for run in found],
    }  # fmt: skip


def _run(
    simulation: WorkflowSimulation, rate: Any, in_flight: Any, count: int, arrival: str, variation: Any, seed: int
) -> tuple[list[Run], float]:
    """Return what became of the runs, and how many begin a second."""
    if (rate in ("", None)) == (in_flight in ("", None)):
        raise InputError("say how runs come: --rate R, or --in-flight N (a closed loop)")
    if rate in ("", None):
        found = simulation.closed_loop(whole("in_flight", in_flight), count)
        return found, _rate(found)
    one, speed = Lengths(1.0, 0.0), positive("rate", rate)
    shape = positive("variation", variation)
    drawn = drawn_requests(count, speed, one, one, arrival=arrival, variation=shape, seed=seed)
    return simulation.open_loop([request.arrival_s for request in drawn]), speed


def _times(found: Sequence[Run], e2e_s: float, answer_s: float, rate: float) -> dict[str, Any]:
    """Return percentiles of the runs in the middle, and how many of them keep the limits."""
    edge = int(WARM_UP * len(found))
    middle = found[edge : len(found) - edge] or found
    pairs = [((run.finished_s or 0.0) - run.arrival_s, (run.answer_s or 0.0) - run.arrival_s) for run in middle]
    times: dict[str, Any] = {
        "runs": len(found), "counted": len(middle), "e2e_s": percentiles([whole_one for whole_one, _ in pairs]),
        "answer_s": percentiles([first for _, first in pairs]), "stages": _stages(middle),
    }  # fmt: skip
    if math.isfinite(min(e2e_s, answer_s)):
        kept = sum(whole_one <= e2e_s and first <= answer_s for whole_one, first in pairs) / len(pairs)
        times |= {"slo_share": kept, "goodput_per_s": kept * rate}
    return times


def _money(found: Sequence[Run], roles: Mapping[str, Mapping[str, Any]], rate: float) -> dict[str, float | None]:
    hourly = [role["usd_per_hour"] for role in roles.values()]
    tools = sum(run.usd for run in found) / len(found)
    hire = None if None in hourly else sum(hourly) / 3600.0 / rate
    return {"usd_per_run": None if hire is None else hire + tools, "usd_of_tools_per_run": tools}


def _check_roles(flow: Workflow, setups: Mapping[str, Setup]) -> None:
    missing = [role for role in flow.roles if role not in setups]
    if missing:
        raise InputError(
            f"{flow.name} calls {', '.join(flow.roles)}; say what serves {missing[0]}: "
            f"--deploy {missing[0]}=MODEL,on=DEVICE"
        )
    unknown = [role for role in setups if role not in flow.roles]
    if unknown:
        raise InputError(f"{flow.name} has no role '{unknown[0]}' (its roles: {', '.join(flow.roles)})")
    for role, setup in setups.items():
        if setup.question.prefill_pool is not None:
            raise InputError(f"workflows run on whole replicas; {role} has pools")


def _role(setup: Setup, requests: Sequence[Request], runs: int, expected: Expected, role: str) -> dict[str, Any]:
    """Return what serves a role, and what a run asks of it: as drawn, and in closed form."""
    load, prices = expected.loads[role], setup.rates
    return {
        "model": setup.decode.model.name, "device": setup.decode.machine.chip.name, "devices": setup.devices,
        "calls_per_run": len(requests) / runs,
        "prompt_tokens_per_run": sum(r.input_tokens for r in requests) / runs,
        "cached_tokens_per_run": sum(max(r.found_tokens, r.cached_tokens) for r in requests) / runs,
        "output_tokens_per_run": sum(r.output_tokens for r in requests) / runs,
        "usd_per_hour": None if prices is None else setup.devices * prices.usd_per_device_hour,
        "closed_form": {"in_flight": expected.in_flight[role], "calls_per_run": load.calls,
                        "prompt_tokens_per_run": load.prompt_tokens, "read_tokens_per_run": load.read_tokens,
                        "output_tokens_per_run": load.output_tokens},
    }  # fmt: skip


def _load(requests: Sequence[Request], replicas: Sequence[Replica], *, open_loop: bool) -> dict[str, Any]:
    """Return the times of a role's calls, and whether its replicas keep up."""
    if not requests:
        return {"saturated": False, "busy_share": 0.0, "ttft_s": None, "tpot_s": None, "preemptions": 0}
    ordered = sorted(requests, key=lambda request: request.arrival_s)
    found = summary(result_of(ordered, replicas), open_loop=open_loop)
    return {name: found[name] for name in ("saturated", "busy_share", "ttft_s", "tpot_s", "preemptions")}


def _stages(runs: Sequence[Run]) -> dict[str, Any]:
    """Return percentiles of the seconds that a run spends in each stage (all turns of a loop together)."""
    names = dict.fromkeys(name for run in runs for name in run.stage_s)
    return {name: percentiles([run.stage_s.get(name, 0.0) for run in runs]) for name in names}


def _rate(runs: Sequence[Run]) -> float:
    return len(runs) / max(max(run.finished_s or 0.0 for run in runs) - runs[0].arrival_s, 1e-12)


def _limits(e2e_s: float, answer_s: float) -> dict[str, float]:
    named = {"e2e_slo_s": e2e_s, "answer_slo_s": answer_s}
    return {name: limit for name, limit in named.items() if math.isfinite(limit)}


def _point(run: Run) -> dict[str, Any]:
    return {
        "run": run.number, "arrival_s": run.arrival_s, "answer_s": (run.answer_s or 0.0) - run.arrival_s,
        "e2e_s": (run.finished_s or 0.0) - run.arrival_s, "calls": len(run.calls),
        "input_tokens": sum(r.input_tokens for r in run.calls),
        "output_tokens": sum(r.output_tokens for r in run.calls),
        "cached_tokens": sum(max(r.found_tokens, r.cached_tokens) for r in run.calls), "usd_of_tools": run.usd,
    }  # fmt: skip
