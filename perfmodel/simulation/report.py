"""A simulation of a deployment as one call, and its answer as one JSON-ready object."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import positive, share, whole
from perfmodel.errors import InputError
from perfmodel.serving.scenario import Setup
from perfmodel.simulation.above import Above, above_figures
from perfmodel.simulation.equipment import Equipment
from perfmodel.simulation.figures import figures_of, stated
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.requests import Asked, Request, ask, drawn_requests, read_trace
from perfmodel.simulation.run import Simulated, replicas_of, simulate, simulate_closed, simulate_pools
from perfmodel.simulation.steady import closed_form_of
from perfmodel.simulation.summary import Slo, summary, too_short
from perfmodel.workloads.usecases import Lengths

MOST_REQUESTS = 1_000_000


def simulate_report(
    setup: Setup,
    *,
    rate: Any = "",
    in_flight: Any = "",
    requests: Any = 1000,
    trace: str = "",
    inputs: Lengths | None = None,
    outputs: Lengths | None = None,
    arrival: str = "poisson",
    variation: Any = 2.0,
    shared_prefix: Any = 0.0,
    policy: str = "chunked",
    chunk: Any = 8192,
    most_running: Any = 1_000_000,
    preempt: str = "recompute",
    prefill_share: Any = 0.5,
    asked: Asked | None = None,
    equipment: Equipment | None = None,
    above: Above | None = None,
    slo: Slo | None = None,
    seed: Any = 0,
) -> dict[str, Any]:
    """Return what becomes of requests on a deployment (schema ``perfmodel/simulate/1``).

    Either ``rate`` requests a second arrive, or a ``trace`` tells when, or ``in_flight`` are there at any time. Lengths
    are lognormal distributions. ``asked`` are documents and adapters of requests, ``equipment`` what replicas have for
    them, ``above`` how requests are dealt, moved and told apart. ``points`` has a row a request.

    Errors: :class:`PerfmodelError` for an unknown word, a number that cannot be, or a model that does not fit.
    """
    part = share("prefill_share", prefill_share)
    how = Policy(policy, whole("chunk", chunk), whole("most_running", most_running), preempt, part)
    has, wanted, lot = equipment or Equipment(), asked or Asked(), whole("seed", seed, least=0)
    drawn, problems, closed = _drawn(
        rate, in_flight, requests, trace, inputs, outputs, arrival, variation, shared_prefix, seed
    )
    ask(drawn, wanted, lot)
    has = replace(has, seed=lot)
    result, over = _run(setup, drawn, how, closed, has, above)
    found = summary(result, slo, open_loop=not closed)
    if not closed and not found["saturated"] and (said := too_short(result.requests, found["e2e_s"]["mean"])):
        problems = [*problems, said]
    return {
        "schema": "perfmodel/simulate/1",
        "version": __version__,
        "model": setup.decode.model.name,
        "device": setup.decode.machine.chip.name,
        "devices": setup.devices,
        "inputs": {"rate": rate or None, "in_flight": closed or None, "trace": trace or None, "arrival": arrival,
                   "policy": how.name, "chunk": how.token_budget, "engine": setup.question.engine,
                   "mode": setup.question.mode, "seed": lot, **stated(how, wanted, has), **_limits(slo)},
        **found,
        **figures_of(result, has),
        **over,
        "closed_form": closed_form_of(setup, how, has, wanted, found, drawn),
        "problems": problems,
        "points": [_point(request) for request in result.requests],
    }  # fmt: skip


def _drawn(
    rate: Any, in_flight: Any, requests: Any, trace: str, inputs: Lengths | None, outputs: Lengths | None, arrival: str,
    variation: Any, shared_prefix: Any, seed: Any,
) -> tuple[list[Request], list[str], int]:  # fmt: skip
    if sum(text not in ("", None) for text in (rate, in_flight, trace)) != 1:
        raise InputError("say how requests come: --rate R, --trace FILE, or --in-flight N (a closed loop)")
    if trace:
        found, problems = read_trace(trace)
        return found, problems, 0
    count = whole("requests", requests)
    if count > MOST_REQUESTS:
        raise InputError(f"requests must be at most {MOST_REQUESTS:,}, not {count:,}")
    closed = whole("in_flight", in_flight) if in_flight not in ("", None) else 0
    speed = positive("rate", rate) if not closed else 1.0
    drawn = drawn_requests(
        count, speed, inputs or Lengths(1024.0, 0.0), outputs or Lengths(256.0, 0.0), arrival=arrival,
        variation=positive("variation", variation), shared_prefix=share("shared_prefix", shared_prefix),
        seed=whole("seed", seed, least=0),
    )  # fmt: skip
    return drawn, [], closed


def _run(
    setup: Setup, drawn: list[Request], policy: Policy, closed: int, has: Equipment, above: Above | None
) -> tuple[Simulated, dict[str, Any]]:
    """Return what became of the requests, and what there is to say of all that stands above the replicas."""
    stands = above is not None and above != Above()
    if setup.question.prefill_pool is not None:
        if closed:
            raise InputError("pools are simulated with --rate or --trace, not in a closed loop")
        if stands:
            raise InputError("balance, migration and priorities are those of whole replicas, not of pools")
        link = setup.decode.machine.link
        alone = (above or Above()).network_bytes_per_s
        rate = float(link.outer_bandwidth_bytes_per_s) if link else alone
        return simulate_pools(drawn, setup, policy, rate, has), {}
    replicas = replicas_of(setup, policy, equipment=has)
    if closed and stands:
        raise InputError("requests of a closed loop stay where they are: balance and migration need --rate or --trace")
    if closed:
        return simulate_closed(drawn, replicas, closed), {}
    if above is None or not stands:
        return simulate(drawn, replicas), {}
    above.mark(drawn, has.seed)
    driver, rescheduler = above.over(replicas, has.seed)
    result = simulate(drawn, replicas, driver)
    return result, above_figures(above, drawn, rescheduler.moves if rescheduler else None)


def _limits(slo: Slo | None) -> dict[str, float]:
    every = {} if slo is None else {"ttft_slo_s": slo.ttft_s, "tpot_slo_s": slo.tpot_s, "tbt_slo_s": slo.tbt_s,
                                         "e2e_slo_s": slo.e2e_s}  # fmt: skip
    return {name: limit for name, limit in every.items() if math.isfinite(limit)}


def _point(request: Request) -> dict[str, Any]:
    return {
        "request": request.number, "arrival_s": request.arrival_s, "input_tokens": request.input_tokens,
        "output_tokens": request.output_tokens, "ttft_s": request.ttft_s, "tpot_s": request.tpot_s,
        "tbt_s": request.tbt_s, "e2e_s": request.e2e_s, "preemptions": request.preemptions,
        "found_tokens": request.found_tokens,
    }  # fmt: skip


def lengths_from(
    usecase: str, input_tokens: str, output_tokens: str, spread: str, longest: str = ""
) -> tuple[Lengths, Lengths]:
    """Return the distributions of lengths: of a use case, or around means with a spread (sigma of the logarithm).

    Both are cut at ``longest`` tokens, if any.
    """
    if longest:
        most = float(whole("longest", longest))
        first, second = lengths_from(usecase, input_tokens, output_tokens, spread)
        return replace(first, longest=most), replace(second, longest=most)
    sigma = positive("spread", spread) if spread else 0.0
    if usecase:
        from perfmodel.workloads.usecases import load_usecase

        case = load_usecase(usecase)
        found = case.input_tokens, case.output_tokens
        return found if not spread else (replace(found[0], sigma=sigma), replace(found[1], sigma=sigma))
    means = whole("input_tokens", input_tokens or 1024), whole("output_tokens", output_tokens or 256)
    first, second = (Lengths(mean * math.exp(-sigma * sigma / 2.0), sigma) for mean in means)
    return first, second
