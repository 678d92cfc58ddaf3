"""A language model whose weights or cache exceed the device's memory: they lie in tiers beyond and are streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perfmodel.cost.offload import Fetches, Part, Placement, Tier, fetches, hit_rate, place, step_s, transfer_s, zipf
from perfmodel.errors import InputError, PlanError
from perfmodel.ops import Experts
from perfmodel.plan.memory import USABLE_FRACTION
from perfmodel.serving.scenario import Setup
from perfmodel.serving.timed import StepTime, Time

KEPT_FIRST = ("weights", "kv")
LINK_BAND = (1.2, 0.75)
"""Link efficiency of the p10 and the p90, over the expected one: assumed, from 0.6 to all but all of the raw rate."""


@dataclass(frozen=True)
class Caching:
    """How experts beyond the device are cached: a given ``hits`` share, or ``cache`` with a Zipf ``exponent``.

    ``predicted`` is the share of misses that is fetched before it is needed.
    """

    hits: float | None = None
    cache: str = "popular"
    exponent: float = 0.0
    predicted: float = 0.0


@dataclass(frozen=True)
class OffloadedStep:
    """A step with its transfers: the device's own time, what streams ahead, what is found missing, and all together."""

    time: Time
    device_s: float
    ahead_s: float
    missed_s: float
    hit_rate: float | None
    fetched: Fetches

    @property
    def bottleneck(self) -> str:
        """What a step waits for: the device, the link, or the experts that it finds missing."""
        if self.ahead_s + self.missed_s > self.device_s + self.missed_s:
            return "link"
        return "misses" if self.missed_s > self.device_s else "device"


@dataclass(frozen=True)
class Offloaded:
    """The answer: where everything lies, a decode step and a prefill, and rates of one replica."""

    placement: Placement
    decode: OffloadedStep
    prefill: OffloadedStep
    resident_step_s: float
    tokens_per_s: float
    e2e_s: float


def offload(
    setup: Setup, batch: float, input_tokens: float, output_tokens: float, beyond: Sequence[Tier],
    link_bytes_per_s: float, *, kept_first: str = "weights", caching: Caching | None = None,
    link_efficiency: float = 0.8,
) -> Offloaded:  # fmt: skip
    """Return the time of static batches whose weights and cache fill the device first and then the tiers ``beyond``.

    Order: weights that every step reads, the cache (or it first: ``kept_first``), experts, and what no step reads.
    ``link_bytes_per_s`` is the rate at which a device receives, from all tiers together; the bound takes it and the
    tiers' rates whole, the expected time the share ``link_efficiency`` of them (assumed: pinned copies over PCIe
    reach about 0.8 of its raw rate). Capacities are those of one device.
    Errors: :class:`PlanError` where all tiers are too small, or where activations alone exceed the device.
    Not checked against measured offloading.
    """
    if kept_first not in KEPT_FIRST:
        raise InputError(f"what is kept first must be {' or '.join(KEPT_FIRST)}, not '{kept_first}'")
    if setup.decode.plan.pp > 1:
        raise InputError("offloading is modelled without pipeline stages; use pp=1")
    answer = setup.answer(batch, input_tokens, output_tokens)
    decode, prefill = answer.phases.decode, answer.phases.prefill
    if decode is None or prefill is None:
        raise InputError("offloading is asked of phase serve: both a prefill and a decode")
    memory = answer.memory
    room = memory.capacity_bytes * USABLE_FRACTION - memory.activation_bytes - memory.overhead_bytes
    if room <= 0:
        raise PlanError("activations and overhead alone exceed the device's memory; a smaller batch or input may fit")
    own = Tier("device", room, setup.decode.machine.chip.memory_bandwidth_bytes_per_s)
    weights, kv = float(memory.weights_bytes), float(memory.kv_bytes)
    placement = place(_ordered(decode, weights, kv, kept_first), (own, *beyond))
    caching = caching or Caching()
    steps = [
        _step(step, replace(placement, parts=tuple(_ordered(step, weights, kv, kept_first, fresh=fresh))),
              link_bytes_per_s, caching, link_efficiency)
        for step, fresh in ((decode, False), (prefill, True))
    ]  # fmt: skip
    per_token, first = steps[0].time.expected, steps[1].time.expected
    e2e = first + (output_tokens - 1.0) * per_token
    return Offloaded(
        placement, steps[0], steps[1], float(decode.time.expected), batch * output_tokens / e2e, e2e
    )  # fmt: skip


def _ordered(step: StepTime, weights: float, kv: float, kept_first: str, *, fresh: bool = False) -> list[Part]:
    """Return the parts in the order in which they are kept near; a prefill (``fresh``) only writes the cache."""
    stored, touched, pieces = _experts(step)
    dense = sum(
        float(r.step.repeat * r.step.operator.counts().filter_bytes(role="weight").total_bytes())
        for r in step.operators if not isinstance(r.step.operator, Experts)
    )  # fmt: skip
    dense = min(dense, weights - stored)
    cache = Part("KV cache", kv, kv if fresh else min(_cache_bytes(step), kv))
    parts = [Part("weights", dense, dense), cache]
    if kept_first == "kv":
        parts.reverse()
    if stored:
        parts.append(Part("experts", stored, touched, on_demand=True, piece_bytes=touched / max(pieces, 1e-9)))
    return [*parts, Part("not read", max(weights - stored - dense, 0.0), 0.0)]


def _cache_bytes(step: StepTime) -> float:
    return sum(
        float(r.step.repeat * r.step.operator.counts().filter_bytes(role="kv", direction="read").total_bytes())
        for r in step.operators
    )


def _experts(step: StepTime) -> tuple[float, float, float]:
    """Return (bytes stored, bytes touched by a step, experts touched) of all layers."""
    stored = touched = pieces = 0.0
    for row in step.operators:
        op = row.step.operator
        if isinstance(op, Experts):
            each = op.matrices * op.hidden * op.intermediate / op.tp * op.format.weight.bytes_per_element
            stored += float(row.step.repeat * each * op.experts / op.ep)
            touched += float(row.step.repeat * op.counts().filter_bytes(role="weight").total_bytes())
            pieces += float(row.step.repeat * op.rank_share()[1])
    return stored, touched, pieces


def _step(step: StepTime, placement: Placement, link: float, caching: Caching, efficiency: float) -> OffloadedStep:
    hits = _hit_rate(step, placement, caching)
    fetched = fetches(placement, hits)
    least = sum(_transfers(fetched, placement, link, 1.0))
    ahead, missed = _transfers(fetched, placement, link, efficiency)
    own = step.time
    bound = max(float(own.bound), least)  # a perfect schedule hides one behind the other
    p10, expected, p90 = (
        max(float(step_s(t, *_transfers(fetched, placement, link, min(e * efficiency, 1.0)), caching.predicted)), bound)
        for t, e in ((own.p10, LINK_BAND[0]), (own.expected, 1.0), (own.p90, LINK_BAND[1]))
    )
    return OffloadedStep(Time(bound, expected, p10, p90), float(own.expected), ahead, missed, hits, fetched)


def _transfers(fetched: Fetches, placement: Placement, link: float, efficiency: float) -> tuple[float, float]:
    """Return the seconds of what is fetched ahead and of what is found missing."""
    tiers = [replace(t, bandwidth_bytes_per_s=efficiency * t.bandwidth_bytes_per_s) for t in placement.tiers[1:]]
    link = efficiency * link
    ahead = transfer_s(fetched.ahead_bytes, tiers, link)
    return float(ahead), float(transfer_s(fetched.missed_bytes, tiers, link, fetched.missed_pieces))


def _hit_rate(step: StepTime, placement: Placement, caching: Caching) -> float | None:
    """Return the share of a step's experts that the device has: as given, or from popularity; None without experts."""
    rows = [r.step.operator for r in step.operators if isinstance(r.step.operator, Experts)]
    index = next((i for i, part in enumerate(placement.parts) if part.on_demand), None)
    if index is None or not rows:
        return None
    share = float(placement.share(index, 0))
    if caching.hits is not None:
        return 1.0 if share >= 1.0 else caching.hits
    op = rows[0]
    here = max(round(float(op.experts / op.ep)), 1)
    draws = float(op.tokens * op.topk / op.ep)
    return float(hit_rate(zipf(here, caching.exponent), share * here, draws, caching.cache))
