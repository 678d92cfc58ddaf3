"""A small and a large model together as one call, and its answer as one JSON-ready object."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import positive, share, whole
from perfmodel.errors import PlanError
from perfmodel.search.cascade import Mix, break_even_escalation, break_even_share
from perfmodel.serving.scenario import Setup

_LOADS = 60
_CURVE = 21


@dataclass(frozen=True)
class Service:
    """A model as served: one replica's load, times and requests a second, and dollars a request (None: no price)."""

    setup: Setup
    in_flight: float
    ttft_s: float
    tpot_s: float
    e2e_s: float
    requests_per_s: float
    usd_per_request: float | None

    def replicas(self, rate: float) -> int:
        """Return how many replicas serve a rate."""
        return math.ceil(rate / self.requests_per_s * (1.0 - 1e-9))


def cascade_report(
    small: Setup, large: Setup, *, input_tokens: Any = 1024, output_tokens: Any = 256, small_share: Any = 1.0,
    escalated: Any = 0.3, router_s: float = 0.0, router_usd: Any = 0.0, rate: Any = "", ttft_s: float = math.inf,
    tpot_s: float = math.inf,
) -> dict[str, Any]:  # fmt: skip
    """Return what a cascade costs and takes beside both models alone (schema ``perfmodel/cascade/1``).

    Each model is served at the load of a replica that makes a request cheapest within ``ttft_s`` and ``tpot_s``; the
    dollars are those of that load, and with ``rate`` also those of whole replicas. ``points`` has a row for each
    escalation from 0 to 1. Judging an answer takes ``router_s`` and ``router_usd``.

    Errors: :class:`PlanError` where no load keeps the limits, :class:`InputError` for a number that cannot be.
    """
    lengths = float(whole("input_tokens", input_tokens)), float(whole("output_tokens", output_tokens))
    mix = Mix(share("small_share", small_share), share("escalated", escalated))
    router = positive("router_usd", router_usd)
    pair = tuple(_service(setup, lengths, ttft_s, tpot_s) for setup in (small, large))
    first, second = pair
    speed = positive("rate", rate) if rate not in ("", None) else None
    times = {"router": router_s, "small": first.e2e_s, "large": second.e2e_s}
    dollars = None
    if first.usd_per_request is not None and second.usd_per_request is not None:
        dollars = {"router": router, "small": first.usd_per_request, "large": second.usd_per_request}
    usd = None if dollars is None else mix.mean(dollars["small"], dollars["large"], router)
    return {
        "schema": "perfmodel/cascade/1", "version": __version__,
        "inputs": {"input_tokens": lengths[0], "output_tokens": lengths[1], "small_share": mix.small_share,
                   "escalated": mix.escalated, "router_s": router_s, "router_usd": router, "rate": speed},
        "small": _alone(first, speed), "large": _alone(second, speed),
        "cascade": {"e2e_s": mix.mean(times["small"], times["large"], router_s),
                    "worst_e2e_s": router_s + times["small"] + times["large"],
                    "usd_per_request": usd, "small_calls": mix.small_calls, "large_calls": mix.large_calls,
                    **_deployed(mix, first, second, speed, router)},
        "break_even": {"time": _break_even(times, mix), "cost": None if dollars is None else _break_even(dollars, mix)},
        "points": [_point(Mix(mix.small_share, i / (_CURVE - 1)), times, dollars) for i in range(_CURVE)],
    }  # fmt: skip


def _service(setup: Setup, lengths: tuple[float, float], ttft_s: float, tpot_s: float) -> Service:
    """Return a model at the load that serves most requests within the limits."""
    import numpy as np

    most = float(setup.most_running(*lengths, together=False))
    name = setup.decode.model.name
    if most < 1.0:
        raise PlanError(f"{name} and one request do not fit into {setup.devices} {setup.decode.machine.chip.name}")
    loads = np.unique(np.round(np.geomspace(1.0, most, _LOADS))) * setup.replicas
    answer = setup.answer(loads, *lengths)
    phases = answer.phases
    assert phases.ttft is not None
    assert phases.tpot is not None
    parts = (phases.ttft.expected, phases.tpot.expected, answer.requests_per_s)
    ttft, tpot, rates = (np.broadcast_to(part, loads.shape) for part in parts)
    kept = np.flatnonzero((ttft <= ttft_s) & (tpot <= tpot_s))
    if not len(kept):
        raise PlanError(f"{name} keeps the limits at no load: one request alone has TTFT {1e3 * float(ttft[0]):.4g} ms "
                        f"and TPOT {1e3 * float(tpot[0]):.4g} ms")  # fmt: skip
    best = int(kept[np.argmax(rates[kept])])
    served = float(rates[best])
    usd = None if setup.rates is None else setup.devices * setup.rates.usd_per_device_hour / 3600.0 / served
    e2e = float(ttft[best] + (lengths[1] - 1.0) * tpot[best])
    return Service(setup, float(loads[best]), float(ttft[best]), float(tpot[best]), e2e, served, usd)


def _alone(one: Service, rate: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": one.setup.decode.model.name, "device": one.setup.decode.machine.chip.name,
        "devices": one.setup.devices, "in_flight": one.in_flight, "ttft_s": one.ttft_s, "tpot_s": one.tpot_s,
        "e2e_s": one.e2e_s, "requests_per_s": one.requests_per_s, "usd_per_request": one.usd_per_request,
    }  # fmt: skip
    if rate:
        found["replicas"] = one.replicas(rate)
        found["usd_per_hour"] = _hourly(one, found["replicas"])
    return found


def _deployed(mix: Mix, small: Service, large: Service, rate: float | None, router_usd: float) -> dict[str, Any]:
    """Return the whole replicas that serve a rate, and what an hour of them costs."""
    if not rate:
        return {}
    counts = small.replicas(rate * float(mix.small_calls)), large.replicas(rate * float(mix.large_calls))
    hourly = _hourly(small, counts[0]), _hourly(large, counts[1])
    total = None if None in hourly else sum(each or 0.0 for each in hourly) + router_usd * rate * 3600.0
    return {"small_replicas": counts[0], "large_replicas": counts[1], "usd_per_hour": total}


def _hourly(one: Service, replicas: int) -> float | None:
    rates = one.setup.rates
    return None if rates is None else replicas * one.setup.devices * rates.usd_per_device_hour


def _break_even(values: dict[str, float], mix: Mix) -> dict[str, float | None]:
    """Return the escalation up to which the cascade takes no more, and the share from which its router pays."""
    x, e = float(mix.small_share), float(mix.escalated)
    small, large, router = values["small"], values["large"], values["router"]
    found = break_even_escalation(small, large, router, x) if x else None
    saved = (1.0 - e) * large - small
    return {
        "escalated": found,
        "small_share": float(break_even_share(small, large, e, router)) if saved > 0.0 else None,
    }


def _point(mix: Mix, times: dict[str, float], dollars: dict[str, float] | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "escalated": mix.escalated,
        "e2e_s": mix.mean(times["small"], times["large"], times["router"]),
    }
    row["usd_per_request"] = (
        None if dollars is None else mix.mean(dollars["small"], dollars["large"], dollars["router"])
    )
    return row
