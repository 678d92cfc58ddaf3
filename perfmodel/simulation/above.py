"""What stands above replicas: who gets a request, whose requests come first, and which move."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.arguments import positive, share, whole
from perfmodel.cost.link_facts import DEFAULT_NIC_BYTES_PER_S
from perfmodel.devices import Device
from perfmodel.errors import InputError, did_you_mean
from perfmodel.simulation.driver import Driver
from perfmodel.simulation.migration import Moves, Rescheduler, Rescheduling
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request
from perfmodel.simulation.routing import ROUTERS, router_named
from perfmodel.units import parse_quantity


@dataclass(frozen=True)
class Above:
    """How requests are dealt (``balance``, empty: least load, or with moves by steps), moved, and told apart.

    A share ``urgent`` of the requests has a priority: they are let in first, give up their caches last, and a replica
    that has one of them counts as full at ``headroom_tokens`` of load (0: as any other). ``move_bytes_per_s`` is what
    a device sends to another replica (None: nothing moves). ``network_bytes_per_s`` is that of a device alone, over
    which pools of single devices pass caches on.
    """

    balance: str = ""
    move_bytes_per_s: float | None = None
    urgent: float = 0.0
    headroom_tokens: int = 0
    network_bytes_per_s: float = field(default=DEFAULT_NIC_BYTES_PER_S, compare=False)

    def __post_init__(self) -> None:
        if self.balance and self.balance not in ROUTERS:
            router_named(self.balance)  # which says what is wrong

    @property
    def router_name(self) -> str:
        """Return the name of the router, the usual one where none is named."""
        return self.balance or ("steps" if self.move_bytes_per_s else "least_load")

    def mark(self, requests: Sequence[Request], seed: int) -> None:
        """Give a share of the requests a priority."""
        dice = random.Random(seed)  # noqa: S311
        for request in requests if self.urgent else ():
            request.priority = max(request.priority, int(dice.random() < self.urgent))

    def over(self, replicas: Sequence[Replica], seed: int) -> tuple[Driver, Rescheduler | None]:
        """Return what runs the replicas, and what moves requests between them."""
        target = replicas[0].cache_bytes(float(self.headroom_tokens)) if self.headroom_tokens else None
        driver = Driver(replicas, router_named(self.router_name, seed, target))
        if self.move_bytes_per_s is None:
            return driver, None
        rescheduler = Rescheduler(driver, Rescheduling(self.move_bytes_per_s, target_bytes=target))
        rescheduler.start()
        return driver, rescheduler


def above_from(
    device: Device, *, balance: str = "", migrate: bool = False, migrate_link: str = "", urgent: Any = 0,
    headroom: Any = 0,
) -> Above:  # fmt: skip
    """Return what stands above replicas of a device, from words; moves go over the device's network by default.

    Errors: :class:`InputError` for a word or number that cannot be.
    """
    if balance and balance not in ROUTERS:
        raise InputError(f"unknown balance '{balance}'{did_you_mean(balance, ROUTERS)} (one of {', '.join(ROUTERS)})")
    if migrate_link and not migrate:
        raise InputError("a link to migrate over is of no use without migrate")
    link = device.link("scale_out")
    network = float(link.bandwidth_bytes_per_s) if link else DEFAULT_NIC_BYTES_PER_S
    rate = parse_quantity(migrate_link, "bytes_per_s") if migrate_link else network
    room = whole("headroom", positive("headroom", headroom or 0), 0)
    return Above(balance, rate if migrate else None, share("urgent", urgent or 0), room, network)


def above_figures(above: Above, requests: Sequence[Request], moves: Moves | None) -> dict[str, Any]:
    """Return JSON-ready objects of what the balance, the moves and the priorities came to."""
    found: dict[str, Any] = {"balance": above.router_name}
    if moves is not None:
        found["migrations"] = {
            "moved": moves.done, "dropped": moves.dropped, "bytes_per_device": moves.moved_bytes,
            "mean_copy_s": _mean(moves.copy_s), "mean_downtime_s": _mean(moves.downtime_s),
            "longest_downtime_s": max(moves.downtime_s, default=0.0),
        }  # fmt: skip
    if any(request.priority for request in requests):
        classes = {"urgent": [r for r in requests if r.priority > 0], "others": [r for r in requests if not r.priority]}
        found["priorities"] = {name: _class(group) for name, group in classes.items() if group}
    return found


def _class(requests: Sequence[Request]) -> dict[str, Any]:
    from perfmodel.simulation.summary import percentiles

    times = {f"{name}_s": [t for r in requests if (t := getattr(r, f"{name}_s")) is not None]
             for name in ("ttft", "tpot", "e2e")}  # fmt: skip
    return {"requests": len(requests), "preemptions": sum(r.preemptions for r in requests),
            **{name: percentiles(values) for name, values in times.items()}}  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
