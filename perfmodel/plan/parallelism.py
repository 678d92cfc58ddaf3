"""Parallelism of one deployment and the reasons why a plan cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.errors import PlanError, did_you_mean
from perfmodel.numeric import Number
from perfmodel.workloads.spec import (
    GroupedQueryAttention,
    LanguageModel,
    LinearBlock,
    Mixer,
    MoeFfn,
    RecurrentMixer,
)

CP_MODES = ("ring", "all_gather")
OVERLAPS = ("none", "two_batch")


@dataclass(frozen=True)
class Plan:
    """How many ways each dimension is split.

    A stage of the pipeline (``pp`` of them) has ``tp*attention_dp*cp`` devices: attention runs in ``attention_dp``
    groups that hold different requests; in a group, ``cp`` ranks hold a part of each sequence, and ``tp`` a part of
    the weights. The experts run on the same devices as ``moe_tp*ep`` (``moe_tp`` None: what is left by ``ep``), with
    ``redundant_experts`` copies of busy ones. ``dp`` counts whole replicas.

    ``microbatches`` (0: as many as stages) pass the pipeline one behind the other. ``sequence_parallel`` runs norms on
    a tp-th of the tokens. ``cp_mode`` says how keys travel in a prefill (ring, all_gather), ``overlap`` two_batch that
    the exchange with experts hides behind the other half of the batch.

    The model's multi-token-prediction module drafts ``draft_tokens`` a decode step, each kept with probability
    ``acceptance`` if those before it are.
    """

    @property
    def tokens_per_step(self) -> float:
        """Return the tokens that a decode step yields on average: ``sum of acceptance^i for i = 0..draft_tokens``."""
        return sum(self.acceptance**i for i in range(self.draft_tokens + 1))

    tp: Number = 1
    attention_dp: Number = 1
    ep: Number = 1
    moe_tp: Number | None = None
    dp: Number = 1
    pp: Number = 1
    cp: Number = 1
    microbatches: int = 0
    sequence_parallel: bool = False
    redundant_experts: int = 0
    cp_mode: str = "ring"
    overlap: str = "none"
    draft_tokens: int = 0
    acceptance: float = 0.8

    @property
    def devices_per_stage(self) -> Number:
        """Return the devices that hold one layer."""
        return self.tp * self.attention_dp * self.cp

    @property
    def devices_per_replica(self) -> Number:
        """Return the devices that hold one copy of the model."""
        return self.devices_per_stage * self.pp

    @property
    def staged(self) -> bool:
        """Say whether the layers lie on several stages (a column of plans: on one or more)."""
        return not (isinstance(self.pp, (int, float)) and self.pp == 1)

    @property
    def devices(self) -> Number:
        """Return all devices of the deployment."""
        return self.devices_per_replica * self.dp

    @property
    def expert_groups(self) -> Number:
        """Return how many parts of the batch meet at the experts: every group's context-parallel ranks."""
        return self.attention_dp * self.cp

    @property
    def expert_tp(self) -> Number:
        """Return the ways in which each expert is split."""
        return self.devices_per_stage / self.ep if self.moe_tp is None else self.moe_tp


def validate_plan(model: LanguageModel, plan: Plan) -> None:
    """Raise :class:`PlanError` with the reason if a plan of whole numbers cannot be."""
    if problem := plan_problem(model, plan):
        raise PlanError(problem)


def plan_problem(model: LanguageModel, plan: Plan) -> str | None:
    """Return why a plan cannot be, or None: which dimension divides what.

    Any dimension may spread over several scale-up domains; its collectives then cross the network.
    """
    for what, value, known in (("cp_mode", plan.cp_mode, CP_MODES), ("overlap", plan.overlap, OVERLAPS)):
        if value not in known:
            return f"unknown {what} '{value}'{did_you_mean(value, known)} (one of {', '.join(known)})"
    if plan.pp > model.layer_count:
        return f"pp {plan.pp} is more than the {model.layer_count} layers of {model.name}"
    if plan.microbatches and plan.pp == 1:
        return f"microbatches {plan.microbatches} need a pipeline: give pp above 1"
    if plan.draft_tokens and model.mtp is None:
        return f"draft_tokens {plan.draft_tokens}: {model.name} has no multi-token-prediction module"
    if not 0 <= plan.acceptance <= 1:
        return f"acceptance {plan.acceptance:g} must be between 0 and 1"
    return _expert_split_problem(plan) or _sharing_problem(model, plan) or _layers_problem(model, plan)


def _expert_split_problem(plan: Plan) -> str | None:
    devices = int(plan.devices_per_stage)
    factors = "tp x attention_dp" + (" x cp" if plan.cp > 1 else "")
    if plan.moe_tp is None and devices % int(plan.ep):
        return f"ep {int(plan.ep)} does not divide the {factors} = {devices} devices that hold the experts"
    if plan.expert_tp * plan.ep != devices:
        return (
            f"moe_tp {_whole(plan.expert_tp)} x ep {int(plan.ep)} must equal {factors} = {devices}: "
            "the experts run on the devices of the attention"
        )
    return None


def _sharing_problem(model: LanguageModel, plan: Plan) -> str | None:
    """Say whether an option asks for what the model or the plan does not have."""
    routed = any(isinstance(group.ffn, MoeFfn) for group in model.layers)
    if plan.redundant_experts and not routed:
        return f"redundant_experts {plan.redundant_experts}: {model.name} has no experts"
    if plan.overlap == "two_batch" and not (routed and plan.expert_groups > 1):
        return (
            "overlap two_batch hides the exchange between attention and experts; "
            "it needs a model with experts and attention_dp above 1"
        )
    if plan.sequence_parallel and plan.tp == 1:
        return "sequence_parallel splits norms over the tensor-parallel ranks: give tp above 1"
    return None


def _layers_problem(model: LanguageModel, plan: Plan) -> str | None:
    encoder = model.encoder.layers if model.encoder else ()
    for group in (*model.layers, *encoder):
        for mixer in group.mixers:
            if reason := _mixer_problem(mixer, plan):
                return reason
        if reason := _experts_problem(group.ffn, plan):
            return reason
    return None


def _mixer_problem(mixer: Mixer, plan: Plan) -> str | None:
    if isinstance(mixer, LinearBlock):
        return None
    tp, heads = int(plan.tp), mixer.heads
    recurrent = isinstance(mixer, RecurrentMixer)
    if heads % tp:
        what = "heads of the state" if recurrent else "attention heads"
        return f"tp {tp} does not divide the {heads} {what}; {_divisors(heads)} do"
    if isinstance(mixer, GroupedQueryAttention) or recurrent:
        kv = mixer.key_heads if recurrent else mixer.kv_heads
        if kv % tp and tp % kv:
            what = "key heads" if recurrent else "KV heads"
            return f"tp {tp} neither divides the {kv} {what} nor is a multiple of them (they would be replicated)"
    return None


def _experts_problem(ffn: object, plan: Plan) -> str | None:
    ep, moe_tp = int(plan.ep), plan.expert_tp
    if isinstance(ffn, MoeFfn):
        slots = ffn.experts + plan.redundant_experts
        if slots % ep:
            named = f"{ffn.experts} + {plan.redundant_experts} redundant" if plan.redundant_experts else f"{slots}"
            spare = f"; {-slots % ep} redundant_experts more would do" if ep > 1 else ""
            return f"ep {ep} does not divide the {named} experts; {_divisors(slots)} do{spare}"
        if ffn.intermediate % moe_tp:
            return f"moe_tp {_whole(moe_tp)} does not divide the experts' width {ffn.intermediate}"
    return None  # dense layers beside expert layers are replicated over the attention groups


def _divisors(n: int) -> str:
    return ", ".join(str(d) for d in range(1, min(n, 128) + 1) if n % d == 0)


def _whole(x: Number) -> str:
    return f"{x:g}"
