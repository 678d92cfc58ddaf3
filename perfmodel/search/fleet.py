"""The cheapest mix of devices for requests of many sizes: which replicas, how many, and who serves what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.cost.price import rates_for
from perfmodel.devices import Device
from perfmodel.errors import InputError, PerfmodelError, PlanError
from perfmodel.programs import Row, minimised
from perfmodel.search import choose
from perfmodel.search.goals import Goals
from perfmodel.search.points import points
from perfmodel.search.space import WAYS, Space
from perfmodel.search.steps import all_steps
from perfmodel.serving.scenario import Question
from perfmodel.workloads.spec import LanguageModel
from perfmodel.workloads.usecases import Lengths


@dataclass(frozen=True)
class Bucket:
    """Requests of about one size, and their share of all requests."""

    input_tokens: int
    output_tokens: int
    share: float


@dataclass(frozen=True)
class Kind:
    """One way to deploy a replica on one kind of device, and how many requests of each bucket it serves a second.

    A rate of zero: it cannot keep the limits for that bucket. ``row`` is the plan.
    """

    device: str
    row: choose.Row
    devices: int
    usd_per_hour: float
    rates: tuple[float, ...]

    @property
    def name(self) -> str:
        """Return the plan in short."""
        ways = " ".join(f"{way.replace('_', '-')} {self.row[way]}" for way in WAYS if self.row[way] > 1)
        return f"{self.device} {ways}".strip()


@dataclass(frozen=True)
class Offer:
    """A kind of device that may be hired: at which price a device an hour, and how many there are."""

    device: Device
    question: Question
    usd_per_device_hour: float
    available: int | None = None


@dataclass
class Fleet:
    """What to hire: replicas of each kind, the share of each bucket that they serve, and what all of it costs."""

    replicas: list[int]
    shares: list[list[float]]
    usd_per_hour: float
    spare: int = 0


def buckets_of(inputs: Lengths, outputs: Lengths, cuts: int = 4) -> list[Bucket]:
    """Return ``cuts x cuts`` buckets of equal probability, each with the mean lengths of its requests.

    Lognormal lengths, input and output independent; a length that does not vary is one bucket.
    """
    ins, outs = _slices(inputs, cuts), _slices(outputs, cuts)
    return [Bucket(i, o, 1.0 / (len(ins) * len(outs))) for i in ins for o in outs]


def _slices(lengths: Lengths, cuts: int) -> list[int]:
    """Return the mean of each of ``cuts`` equally likely slices of a lognormal distribution.

    ``E[x | a < z < b] = median*exp(s^2/2)*(Phi(b - s) - Phi(a - s))*cuts``, z standard normal.
    """
    if lengths.sigma == 0.0:
        return [max(round(lengths.median), 1)]
    from statistics import NormalDist

    normal, s = NormalDist(), lengths.sigma
    edges = [-math.inf, *(normal.inv_cdf(i / cuts) for i in range(1, cuts)), math.inf]

    def below(z: float) -> float:
        return normal.cdf(z - s) if math.isfinite(z) else float(z > 0)

    means = (lengths.mean * (below(b) - below(a)) * cuts for a, b in itertools.pairwise(edges))
    return [max(round(mean), 1) for mean in means]


def kinds_of(
    model: LanguageModel, offer: Offer, buckets: Sequence[Bucket], goals: Goals, only: Mapping[str, tuple[int, ...]]
) -> list[Kind]:
    """Return the kinds of replicas on one device that are the cheapest for at least one bucket.

    The rate of a bucket is what a replica serves of it alone within the limits.
    Errors: :class:`PlanError` if no plan holds the largest bucket.
    """
    import numpy as np

    space = Space(goals.devices, dict(only))
    tables: list[tuple[Any, Any, Any, Any]] = []
    for bucket in buckets:
        lengths = bucket.input_tokens, bucket.output_tokens
        table = points(all_steps(model, offer.device, offer.question, space, *lengths))
        kept = goals.kept(table)
        best = np.zeros(len(table.plans))
        np.maximum.at(best, table.plan[kept], table.requests_per_s[kept])
        tables.append((table.plans, best, table.precision, table))
    rates = {}
    for i, (plans, best, _, _) in enumerate(tables):
        for plan, rate in zip(plans, best.tolist(), strict=True):
            rates.setdefault(plan, [0.0] * len(buckets))[i] = rate
    chosen: dict[Any, None] = {}  # in this order: a set's is another in every process
    for i in range(len(buckets)):
        worth = {plan: found[i] / float(plan.devices_per_replica) for plan, found in rates.items() if found[i] > 0}
        if worth:
            chosen[max(worth, key=lambda plan: worth[plan])] = None
    precision = tables[0][2]
    return [_kind(plan, rates[plan], offer, precision) for plan in chosen]


def _kind(plan: Any, rates: Sequence[float], offer: Offer, precision: str) -> Kind:
    row: choose.Row = {way: int(getattr(plan, way)) for way in WAYS} | {
        "device": offer.device.name,
        "precision": precision,
    }
    devices = int(plan.devices_per_replica)
    return Kind(offer.device.name, row, devices, devices * offer.usd_per_device_hour, tuple(rates))


def cheapest(
    kinds: Sequence[Kind], buckets: Sequence[Bucket], rate: float, available: Mapping[str, int], spare: int = 0
) -> Fleet:
    """Return the cheapest replicas that serve ``rate`` requests a second of all buckets: an integer program (HiGHS).

    ``min sum cost_k*n_k`` over whole ``n_k`` and shares ``x_bk >= 0`` with ``sum_k x_bk = 1`` for each bucket,
    ``sum_b x_bk*share_b*rate/rate_bk <= n_k`` (a replica's time), and the devices of a kind within those available.
    Of equally cheap fleets requests go where they take the least worth of a replica's time (:data:`_TIE`). ``spare``
    replicas of each kind that is used are added for failures (N + k).
    Source: Griggs et al. 2024, Melange: cost-efficient LLM serving over heterogeneous GPUs, section 5.

    Errors: :class:`PlanError` with the bucket that nothing can serve, or the devices that are too few.
    """
    _check_served(kinds, buckets)
    k, b = len(kinds), len(buckets)
    hourly = [kind.usd_per_hour for kind in kinds]
    upper = [math.inf] * k + [float(kind.rates[i] > 0) for i in range(b) for kind in kinds]
    rows = [*_all_served(k, b), *_busy(kinds, buckets, rate), *_within(kinds, available)]
    times = [_TIE * kind.usd_per_hour * bucket.share * rate / kind.rates[i] if kind.rates[i] > 0 else 0.0
             for i, bucket in enumerate(buckets) for kind in kinds]  # fmt: skip
    found = minimised([*hourly, *times], rows, upper=upper, whole=k, gap=0.01 * _TIE)
    if found is None:
        raise PlanError(_too_few(kinds, available, rate))
    counts = [count + spare if (count := round(value)) else 0 for value in found[:k]]
    shares = [found[k + i * k : k + (i + 1) * k] for i in range(b)]
    return Fleet(counts, shares, sum(count * usd for count, usd in zip(counts, hourly, strict=True)), spare)


_TIE = 1e-6
"""Weight of the time that requests take beside what is paid for it: it decides only between fleets of one price."""


def _check_served(kinds: Sequence[Kind], buckets: Sequence[Bucket]) -> None:
    served = [any(kind.rates[b] > 0 for kind in kinds) for b in range(len(buckets))]
    if not all(served):
        lost = buckets[served.index(False)]
        raise PlanError(
            f"no replica keeps the limits for requests of {lost.input_tokens:,} input and {lost.output_tokens:,} "
            "output tokens; loosen a limit, or offer faster or more devices"
        )


def _all_served(k: int, b: int) -> list[Row]:
    """Return the rows that the shares of each of ``b`` buckets over ``k`` kinds are all of it."""
    return [Row(dict.fromkeys(range(k + i * k, k + (i + 1) * k), 1.0), 1.0, 1.0) for i in range(b)]


def _busy(kinds: Sequence[Kind], buckets: Sequence[Bucket], rate: float) -> list[Row]:
    """Return the rows that the replicas of a kind have time for what they serve."""
    k = len(kinds)
    return [
        Row({j: -1.0} | {k + i * k + j: bucket.share * rate / kind.rates[i]
                         for i, bucket in enumerate(buckets) if kind.rates[i] > 0}, -math.inf, 0.0)
        for j, kind in enumerate(kinds)
    ]  # fmt: skip


def _within(kinds: Sequence[Kind], available: Mapping[str, int]) -> list[Row]:
    """Return the rows that there are as many devices as are hired."""
    return [
        Row({j: float(kind.devices) for j, kind in enumerate(kinds) if kind.device == name}, 0.0, float(most))
        for name, most in available.items()
    ]


def _too_few(kinds: Sequence[Kind], available: Mapping[str, int], rate: float) -> str:
    offered = ", ".join(f"{count} {name}" for name, count in available.items())
    return (
        f"{rate:g} requests a second need more devices than there are ({offered}); offer more, or a kind without limit"
    )


def over_a_day(
    kinds: Sequence[Kind],
    buckets: Sequence[Bucket],
    rates: Sequence[float],
    available: Mapping[str, int],
    spare: int = 0,
) -> list[Fleet]:
    """Return the cheapest fleet of each hour of a day's load."""
    cached: dict[float, Fleet] = {}
    for rate in rates:
        if rate not in cached:
            cached[rate] = cheapest(kinds, buckets, rate, available, spare)
    return [cached[rate] for rate in rates]


def offers(
    devices: Sequence[Device], question: Question, available: Mapping[str, int], kind: str = "cloud_hour"
) -> list[Offer]:
    """Return the offers of devices at their prices. Errors: :class:`InputError` for one that states none."""
    found: list[Offer] = []
    for device in devices:
        rates = rates_for(device, kind, question.usd_per_device_hour)
        if rates is None:
            raise InputError(f"{device.name} states no {kind} price; give --usd-per-hour, or put a price into its file")
        found.append(Offer(device, replace(question), rates.usd_per_device_hour, available.get(device.name)))
    return found


def all_kinds(
    model: LanguageModel, offered: Sequence[Offer], buckets: Sequence[Bucket], goals: Goals,
    only: Mapping[str, tuple[int, ...]],
) -> tuple[list[Kind], list[str]]:  # fmt: skip
    """Return the kinds of replicas of all offers, and why some offers have none. Errors: :class:`PlanError` if none."""
    kinds: list[Kind] = []
    problems: list[str] = []
    for offer in offered:
        try:
            kinds += kinds_of(model, offer, buckets, goals, only)
        except PerfmodelError as error:
            problems.append(f"{offer.device.name}: {error}")
    if not kinds:
        raise PlanError("; ".join(problems) or "no replica of any offer keeps the limits")
    return kinds, problems
