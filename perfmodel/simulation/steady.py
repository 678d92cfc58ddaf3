"""The closed form beside a simulation: mean lengths at the load that was seen, and what was found in caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.serving.scenario import Setup
from perfmodel.serving.speculation import steps_of_unlike
from perfmodel.simulation.closed_form import Steady, distinct_adapters, shared_state, steady_state
from perfmodel.simulation.equipment import Equipment
from perfmodel.simulation.predictor import StepPredictor
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.requests import Asked, Request


def closed_form_of(
    setup: Setup, policy: Policy, equipment: Equipment, asked: Asked, found: Mapping[str, Any], drawn: Sequence[Request]
) -> dict[str, float]:
    """Return what the closed form says of mean lengths at the load that was seen (Little's law)."""
    inputs = sum(r.input_tokens for r in drawn) / len(drawn)
    cached = sum(max(r.cached_tokens, r.found_tokens) for r in drawn) / len(drawn)
    outputs = sum(r.output_tokens for r in drawn) / len(drawn)
    load = max(found["requests_per_s"] * found["e2e_s"]["mean"], 1.0)
    if setup.question.prefill_pool is not None or (not cached and _as_estimated(policy, equipment)):
        phases = setup.answer(load, inputs - cached, outputs).phases
        assert phases.ttft is not None
        assert phases.tpot is not None
        numbers = phases.ttft.expected, phases.tpot.expected, phases.requests_per_s
    else:
        share = max(load / setup.replicas, 1.0)
        one = _of_a_replica(setup, policy, equipment, asked, share, (inputs, cached, outputs))
        numbers = *one[:2], one.requests_per_s * setup.replicas
    return {"in_flight": load, **dict(zip(("ttft_s", "tpot_s", "requests_per_s"), map(float, numbers), strict=True))}


def _as_estimated(policy: Policy, e: Equipment) -> bool:
    """Say whether an estimate knows all that is asked."""
    return (
        policy.name != "shared" and e.draft is None and e.block is None and e.lora is None and not e.acceptance_spread
    )


def _of_a_replica(
    setup: Setup, policy: Policy, e: Equipment, asked: Asked, load: float, lengths: tuple[float, float, float]
) -> Steady:
    tokens = _tokens_of_step(setup, e)
    inputs, cached, outputs = lengths
    if policy.name == "shared":
        parts = [e.predictor_of(setup, cores=cores) for cores in (policy.prefill_share, 1.0 - policy.prefill_share)]
        reading, writing = (part for part in parts if isinstance(part, StepPredictor))
        return shared_state((reading, writing), load, (inputs, cached, outputs), tokens)
    most = min(float(setup.most_running(inputs, outputs, together=False)), policy.most_running)
    return steady_state(
        e.predictor_of(setup), setup.framework.coefficients, load, inputs, outputs, cached_tokens=cached,
        most_running=most, tokens_per_step=tokens,
        adapters=(lambda n: float(distinct_adapters(asked.adapters, asked.exponent, n))) if asked.adapters else None,
    )  # fmt: skip


def _tokens_of_step(setup: Setup, e: Equipment) -> float:
    if e.block:
        return e.block[0] / e.block[1]
    plan = setup.decode.plan
    drafts, acceptance = (plan.draft_tokens, plan.acceptance) if e.draft is None else (e.draft_tokens, e.acceptance)
    return 1.0 / steps_of_unlike(drafts, acceptance, e.acceptance_spread if drafts else 0.0)
