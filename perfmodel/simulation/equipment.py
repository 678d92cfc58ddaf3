"""What replicas have beside their devices' memory, how they decode, and the replicas so made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Any

from perfmodel.errors import InputError, PlanError
from perfmodel.ops import LoraPair
from perfmodel.plan.layout import step_operators
from perfmodel.plan.memory import (
    USABLE_FRACTION,
    MemoryModel,
    activation_bytes,
    kv_bytes_per_sequence,
    weights_bytes_per_device,
)
from perfmodel.plan.step_shape import StepShape
from perfmodel.serving.scenario import STEP_TOKENS, Setup
from perfmodel.simulation.adapters import AdapterPool
from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.predictor import Predictor, StepPredictor, with_adapters
from perfmodel.simulation.prefixes import CacheTier, PrefixCache
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.sharing import SharedReplica
from perfmodel.simulation.speculation import Blocks, Drafted, Drafts, Speculation
from perfmodel.workloads.spec import Lora


@dataclass(frozen=True)
class Equipment:
    """What replicas have beside their devices' memory, and how they decode.

    ``link_bytes_per_s`` is what a device receives from its host (None: nothing comes from there), ``swap_bytes`` the
    host's room for swapped caches of a device, ``tiers`` keep prefixes behind the device's memory. ``lora`` are the
    adapters that requests may ask for. ``draft`` is the small model that drafts ``draft_tokens`` a step (None: the
    plan's own multi-token prediction, if any), ``acceptance_spread`` the standard deviation of the acceptance between
    requests, ``block`` the tokens and passes of block decoding.
    """

    link_bytes_per_s: float | None = None
    swap_bytes: float = inf
    tiers: tuple[CacheTier, ...] = ()
    lora: Lora | None = None
    draft: Setup | None = None
    draft_tokens: int = 0
    acceptance: float = 0.8
    acceptance_spread: float = 0.0
    block: tuple[int, int] | None = None
    seed: int = 0

    def speculation_of(self, setup: Setup, place: int) -> Speculation | None:
        """Return how many tokens the steps of the replica at a place yield (None: one)."""
        seed = (self.seed << 16) + place
        plan = setup.decode.plan
        if self.block:
            return Blocks(*self.block)
        if self.draft is not None:
            return Drafts(self.draft_tokens, self.acceptance, seed, self.acceptance_spread)
        if not plan.draft_tokens:
            return None
        return Drafts(plan.draft_tokens, plan.acceptance, seed, self.acceptance_spread)

    @property
    def decode_tokens(self) -> int:
        """Return the tokens that a decoding sequence brings to a step (0: what the plan says)."""
        if self.block:
            return self.block[0]
        return 0 if self.draft is None else self.draft_tokens + 1

    def predictor_of(self, setup: Setup, pool: str = "decode", cores: float = 1.0) -> StepPredictor | Drafted:
        """Return what tells the seconds of a step."""
        target = StepPredictor(setup, pool, decode_tokens=self.decode_tokens, lora=self.lora, cores=cores)
        if self.draft is None:
            return target
        return Drafted(target, StepPredictor(self.draft, pool), self.draft_tokens)


class Maker:
    """Makes the replicas of a setup, all alike: with one predictor, each with its own link, caches and chance."""

    def __init__(
        self, setup: Setup, policy: Policy, equipment: Equipment | None = None, pool: str = "decode",
        predictor: Predictor | None = None, memory: MemoryModel | None = None,
    ) -> None:  # fmt: skip
        self.setup, self.policy, self.equipment = setup, policy, equipment or Equipment()
        self.memory = memory or setup.memory
        self._check()
        self.predictor = predictor or self.equipment.predictor_of(setup, pool)
        step_tokens = min(float(policy.token_budget), STEP_TOKENS)
        self.room_bytes = room_bytes(self.memory, step_tokens, self._draft_weights())
        self.cache_bytes = _sum_of(
            cache_of(self.memory), self.equipment.draft and cache_of(self.equipment.draft.memory)
        )
        self._parts = self._shared_parts(pool) if policy.name == "shared" else None

    def replica(self, place: int, **kind: Any) -> Replica:
        """Return the idle replica at a place."""
        e, lanes = self.equipment, int(self.memory.plan.attention_dp)
        link = None
        if e.link_bytes_per_s is not None:
            link = HostLink(e.link_bytes_per_s, lanes, e.swap_bytes * lanes)
        tiers = [replace(tier, capacity_bytes=tier.capacity_bytes * lanes) for tier in e.tiers]
        kind |= {"host": link, "prefixes": PrefixCache(self.cache_bytes, tiers, link)}
        kind["speculation"] = e.speculation_of(self.setup, place)
        if e.lora is not None and link is not None:
            kind["adapters"] = AdapterPool(adapter_bytes(self.setup, e.lora) * lanes, link)
        if self._parts:
            return SharedReplica(
                self.predictor, self.policy, self.room_bytes, self.cache_bytes, parts=self._parts, **kind
            )
        return Replica(self.predictor, self.policy, self.room_bytes, self.cache_bytes, **kind)

    def _check(self) -> None:
        e, plan = self.equipment, self.setup.decode.plan
        if self.policy.preempt != "recompute" and e.link_bytes_per_s is None:
            raise InputError(
                f"preemption '{self.policy.preempt}' needs a host link; the device states none: give --link"
            )
        if e.lora is not None and e.link_bytes_per_s is None:
            raise InputError("adapters come from host memory, and the device states no link to it: give --link")
        if sum((e.draft is not None, e.block is not None, plan.draft_tokens > 0 and e.draft is None)) > 1:
            raise InputError("draft with a model, with multi-token prediction, or decode in blocks: one of them")
        if self.policy.name == "shared" and e.draft is not None:
            raise InputError("policy 'shared' runs one model; a model that drafts beside it is not modelled")

    def _draft_weights(self) -> float:
        draft = self.equipment.draft
        if draft is None:
            return 0.0
        d = draft.decode
        return float(weights_bytes_per_device(d.model, d.plan, d.precisions))

    def _shared_parts(self, pool: str) -> tuple[StepPredictor, StepPredictor]:
        share = self.policy.prefill_share
        found = tuple(self.equipment.predictor_of(self.setup, pool, cores) for cores in (share, 1.0 - share))
        reading, writing = found
        assert isinstance(reading, StepPredictor)
        assert isinstance(writing, StepPredictor)
        return reading, writing


def room_bytes(memory: MemoryModel, step_tokens: float, further_bytes: float = 0.0) -> float:
    """Return what all attention groups of a replica have for caches, of one device's share each."""
    live = float(activation_bytes(memory.model, memory.plan, step_tokens))
    room = float(memory.capacity_bytes) * USABLE_FRACTION - float(memory.fixed_bytes()) - live - further_bytes
    if room <= 0.0:
        raise PlanError(
            f"{memory.model.name} leaves no memory for caches on a device of "
            f"{float(memory.capacity_bytes) / 1e9:.0f} GB; split it over more devices"
        )
    return room * float(memory.plan.attention_dp)


def cache_of(memory: MemoryModel) -> Callable[[float], float]:
    """Return one device's bytes of a sequence's cache by its tokens."""
    element = memory.precisions.cache.bytes_per_element

    @lru_cache(maxsize=65536)
    def held(tokens: float) -> float:
        return float(kv_bytes_per_sequence(memory.model, memory.plan, element, float(tokens)))

    return held


def adapter_bytes(setup: Setup, lora: Lora) -> float:
    """Return one device's bytes of an adapter: ``rank*(inputs + outputs)`` of 2 bytes for each layer beside it."""
    d = setup.decode
    model = with_adapters(d.model, replace(lora, adapters=1))
    # a layer that tokens may skip has its adapters all the same
    model = replace(model, layers=tuple(replace(g, share=1.0, prompt_share=1.0) for g in model.layers))
    steps = step_operators(model, d.plan, d.precisions, StepShape(prefills=1, new_tokens=1, prefill_context=1))
    pairs = ((step.repeat, step.operator) for step in steps)
    return sum(n * 2.0 * float(p.rank * (p.inputs + p.outputs)) for n, p in pairs if isinstance(p, LoraPair))


def _sum_of(first: Callable[[float], float], second: Callable[[float], float] | None) -> Callable[[float], float]:
    if second is None:
        return first
    return lambda tokens: first(tokens) + second(tokens)
