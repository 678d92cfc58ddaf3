"""Parallelism of one deployment and the reasons why a plan cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.errors import PlanError
from perfmodel.numeric import Number
from perfmodel.workloads.spec import GroupedQueryAttention, LanguageModel, MoeFfn


@dataclass(frozen=True)
class Plan:
    """How many ways each dimension is split.

    Attention runs on ``tp*attention_dp`` devices (``attention_dp`` groups that hold different requests), the experts
    on the same devices as ``moe_tp*ep``; ``dp`` whole replicas. ``moe_tp`` None follows as ``tp*attention_dp/ep``.
    """

    tp: Number = 1
    attention_dp: Number = 1
    ep: Number = 1
    moe_tp: Number | None = None
    dp: Number = 1

    @property
    def devices_per_replica(self) -> Number:
        """Return the devices that hold one copy of the model."""
        return self.tp * self.attention_dp

    @property
    def devices(self) -> Number:
        """Return all devices of the deployment."""
        return self.devices_per_replica * self.dp

    @property
    def expert_tp(self) -> Number:
        """Return the ways in which each expert is split."""
        return self.devices_per_replica / self.ep if self.moe_tp is None else self.moe_tp


def validate_plan(model: LanguageModel, plan: Plan, domain_size: int) -> None:
    """Raise :class:`PlanError` with the reason if a plan of whole numbers cannot be."""
    if problem := plan_problem(model, plan, domain_size):
        raise PlanError(problem)


def plan_problem(model: LanguageModel, plan: Plan, domain_size: int) -> str | None:
    """Return why a plan cannot be, or None: which dimension divides what, and tp within the scale-up domain.

    Attention groups and experts may spread over several domains; their collectives then cross the network.
    """
    per_replica = int(plan.devices_per_replica)
    if plan.tp > domain_size:
        return (
            f"tp {int(plan.tp)} leaves the scale-up domain of {domain_size} devices; "
            "split further by attention_dp, ep or dp"
        )
    if plan.moe_tp is None and per_replica % int(plan.ep):
        return f"ep {int(plan.ep)} does not divide the tp x attention_dp = {per_replica} devices that hold the experts"
    moe_devices = plan.expert_tp * plan.ep
    if moe_devices != plan.devices_per_replica:
        return (
            f"moe_tp {_whole(plan.expert_tp)} x ep {int(plan.ep)} must equal tp x attention_dp = {per_replica}: "
            "the experts run on the devices of the attention"
        )
    for group in model.layers:
        reason = _group_problem(group.attention, group.ffn, int(plan.tp), int(plan.ep), plan.expert_tp)
        if reason:
            return reason
    return None


def _group_problem(attention: object, ffn: object, tp: int, ep: int, moe_tp: Number) -> str | None:
    heads = getattr(attention, "heads")  # noqa: B009 - every attention has heads
    if heads % tp:
        return f"tp {tp} does not divide the {heads} attention heads; {_divisors(heads)} do"
    if isinstance(attention, GroupedQueryAttention):
        kv = attention.kv_heads
        if kv % tp and tp % kv:
            return f"tp {tp} neither divides the {kv} KV heads nor is a multiple of them (they would be replicated)"
    if isinstance(ffn, MoeFfn):
        if ffn.experts % ep:
            return f"ep {ep} does not divide the {ffn.experts} experts; {_divisors(ffn.experts)} do"
        if ffn.intermediate % moe_tp:
            return f"moe_tp {_whole(moe_tp)} does not divide the experts' width {ffn.intermediate}"
    elif ep > 1 and not isinstance(ffn, MoeFfn):
        return None  # dense layers beside expert layers are replicated over the attention groups
    return None


def _divisors(n: int) -> str:
    return ", ".join(str(d) for d in range(1, min(n, 128) + 1) if n % d == 0)


def _whole(x: Number) -> str:
    return f"{x:g}"
