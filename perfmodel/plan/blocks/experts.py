"""A mixture of experts: router, shared experts, dispatch, routed experts, combine."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import minimum
from perfmodel.plan.blocks.dense import feed_forward
from perfmodel.plan.rank import Rank, is_one
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import MoeFfn


def experts_ffn(rank: Rank, f: MoeFfn, count: float) -> Iterator[StepOperator]:
    """Yield the operators after the norm; the experts run on all devices of the stage, whatever their group.

    ``redundant_experts`` copies of busy experts are further experts that share their load.
    """
    plan, width = rank.plan, _width(rank, f)
    router = ops.Linear(rank.tokens, f.experts + f.identities, rank.model.hidden, rank.precisions.router)
    yield StepOperator("router", "ffn", router, count)
    if f.shared_intermediate:
        yield from feed_forward(rank, "shared_", f.shared_intermediate / plan.tp, f.gated, count)
    if f.latent:
        yield rank.linear("latent_down_proj", "ffn", f.latent, rank.model.hidden, count)
    yield from _dispatch(rank, f, count)
    core = ops.Experts(
        rank.tokens * plan.expert_groups, width, f.intermediate, _chosen(f), f.experts + plan.redundant_experts,
        plan.expert_tp, plan.ep, rank.precisions.experts, rank.routing, f.gated,
        dispatched=not (is_one(plan.expert_groups) or is_one(plan.ep)),
    )  # fmt: skip
    yield StepOperator("experts", "ffn", core, count)
    yield from _combine(rank, f, count)
    if f.latent:
        yield rank.linear("latent_up_proj", "ffn", rank.model.hidden, f.latent, count)


def _width(rank: Rank, f: MoeFfn) -> int:
    """Return the width of what the experts are given."""
    return f.latent or rank.model.hidden


def _chosen(f: MoeFfn) -> float:
    """Return how many real experts a token goes to, of a router that may choose to leave it as it is."""
    return f.topk * f.experts / (f.experts + f.identities) if f.identities else f.topk


def _behind(rank: Rank) -> str:
    return "step" if rank.plan.overlap == "two_batch" else ""


def _dispatch(rank: Rank, f: MoeFfn, count: float) -> Iterator[StepOperator]:
    """Tokens go to the experts' devices; within one attention group every device already has them."""
    plan, element = rank.plan, rank.precisions.experts.activation.bytes_per_element
    if is_one(plan.expert_groups):
        return
    if is_one(plan.ep):
        gathered = rank.tokens * plan.expert_groups * _width(rank, f) * element
        op = ops.AllGather(plan.expert_groups, gathered, span=plan.tp)
        yield StepOperator("expert_all_gather", "ffn", op, count, _behind(rank))
        return
    yield StepOperator("expert_dispatch", "ffn", _exchange(rank, f, element), count, _behind(rank))


def _combine(rank: Rank, f: MoeFfn, count: float) -> Iterator[StepOperator]:
    plan, hidden = rank.plan, _width(rank, f)
    if is_one(plan.expert_groups):
        yield from rank.reduce("ffn_all_reduce", "ffn", rank.tokens * hidden * 2.0, count)
    elif is_one(plan.ep):
        scattered = rank.tokens * plan.expert_groups * hidden * 2.0
        op = ops.ReduceScatter(plan.expert_groups, scattered, span=plan.tp)
        yield StepOperator("expert_reduce_scatter", "ffn", op, count, _behind(rank))
    else:
        yield StepOperator("expert_combine", "ffn", _exchange(rank, f, 2.0), count, _behind(rank))


def _exchange(rank: Rank, f: MoeFfn, element_bytes: float) -> ops.ExpertExchange:
    """Return the exchange in which a device sends each of its tokens once to each rank with one of its experts."""
    plan = rank.plan
    copies = minimum(f.topk, plan.ep)
    sent = rank.tokens / plan.tp * copies * _width(rank, f) * element_bytes
    return ops.ExpertExchange(plan.ep, sent, copies=copies, span=plan.expert_tp)
