"""An estimate as one JSON-ready object: what the command line prints and reports are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel import __version__
from perfmodel.devices.model import WHAT_IF
from perfmodel.plan.words import PLAN_FIELDS
from perfmodel.serving.rows import communication, utilisation
from perfmodel.serving.scenario import STEP_TOKENS
from perfmodel.serving.timed import Time
from perfmodel.workloads.caches import cache_rows

if TYPE_CHECKING:
    from perfmodel.api import Estimate
    from perfmodel.plan.memory import MemoryModel

SCHEMA = "perfmodel/estimate/1"


def estimate_report(estimate: Estimate) -> dict[str, Any]:
    """Return the JSON object of an estimate; what is not modelled yet is null, never zero."""
    phases = estimate.answer.phases
    return {
        "schema": SCHEMA,
        "version": __version__,
        "inputs": _inputs(estimate),
        "ttft_s": _time(phases.ttft),
        "tpot_s": _time(phases.tpot),
        "e2e_s": _time(phases.e2e),
        "step_s": _time(estimate.step_s),
        "tokens_per_s": estimate.tokens_per_s,
        "tokens_per_s_per_device": estimate.tokens_per_s_per_device,
        "requests_per_s": estimate.requests_per_s,
        "joules_per_token": estimate.joules_per_token,
        "usd_per_million_tokens": estimate.usd_per_million_tokens,
        "energy": _energy(estimate),
        "money": _money(estimate),
        "memory_bytes_per_device": float(estimate.memory.used_bytes),
        "memory": _memory(estimate),
        "fits": estimate.fits,
        "bottleneck": estimate.bottleneck,
        **_utilisation(estimate),
        "running": float(phases.running),
        "waiting": float(phases.waiting),
        "communication": _communication(estimate),
        "pipeline": _pipeline(estimate),
        "operators": estimate.operator_rows(),
        "device": _device(estimate),
        "notes": notes(estimate),
        "spec_hashes": {"model": estimate.model.spec_hash, "device": estimate.device.spec_hash},
    }


def _time(time: Time | None) -> dict[str, float] | None:
    if time is None:
        return None
    return {name: float(getattr(time, name)) for name in ("expected", "bound", "p10", "p90")}


def _inputs(e: Estimate) -> dict[str, Any]:
    q, p = e.setup.question, e.setup.decode.precisions
    plan = e.setup.decode.plan
    found: dict[str, Any] = {
        "model": e.model.name, "device": e.device.name, "batch": e.batch, "input_tokens": e.input_tokens,
        "output_tokens": e.output_tokens, "tp": plan.tp, "ep": plan.ep, "attention_dp": plan.attention_dp,
        "moe_tp": int(plan.expert_tp), "dp": plan.dp, "pp": plan.pp, "cp": plan.cp,
        "microbatches": plan.microbatches, "sequence_parallel": plan.sequence_parallel,
        "redundant_experts": plan.redundant_experts, "cp_mode": plan.cp_mode, "overlap": plan.overlap,
        "draft_tokens": plan.draft_tokens, "acceptance": plan.acceptance if plan.draft_tokens else None,
        "precision": p.linear.name, "moe_precision": p.experts.name,
        "kv_precision": p.cache.dtype, "phase": q.phase, "static": q.static, "engine": q.engine, "mode": q.mode,
        "routing": q.routing, "devices": e.setup.devices,
    }  # fmt: skip
    for name, pool in (("prefill", q.prefill_pool), ("decode", q.decode_pool)):
        if pool is not None:
            found |= {f"{name}_workers": pool.workers, f"{name}_moe_tp": int(pool.plan.expert_tp)}
            stated = (field for field in PLAN_FIELDS if field not in ("dp", "moe_tp"))
            found |= {f"{name}_{field}": getattr(pool.plan, field) for field in stated}
    return found


def _memory(e: Estimate) -> dict[str, Any]:
    m, sizes = e.memory, e.setup.memory
    step_tokens = min(e.input_tokens, STEP_TOKENS)
    groups = max(1.0, float(e.answer.phases.running) / float(sizes.plan.attention_dp) / e.setup.replicas)
    return {
        "capacity_bytes": float(m.capacity_bytes),
        "weights_bytes": float(m.weights_bytes),
        "kv_bytes": float(m.kv_bytes),
        "activation_bytes": float(m.activation_bytes),
        "overhead_bytes": float(m.overhead_bytes),
        "free_bytes": float(m.free_bytes),
        "largest_batch": float(e.answer.most_running) * e.setup.replicas,
        "longest_context_tokens": _longest_context(sizes, groups, step_tokens),
        "by_context": [_at_length(e, tokens) for tokens in _LENGTHS],
    }


def _longest_context(sizes: MemoryModel, groups: float, step_tokens: float) -> float | None:
    """Return the longest context, None of a model that has no limit: no cache grows, and none is stated."""
    found = float(sizes.longest_context(groups, step_tokens))
    grows = any(tuple(cache_rows(group)) for group in sizes.model.layers)
    return found if grows or found or sizes.model.maximum_tokens else None


_LENGTHS = (1024, 4096, 16384, 65536, 262144, 1048576)


def _at_length(e: Estimate, tokens: int) -> dict[str, float]:
    """Return how many requests of a length (input and output together) fit, and the cache of one on a device."""
    output = float(min(e.output_tokens, tokens - 1))
    _, most = e.setup.memory_of(float(e.batch), tokens - output, output)
    one = e.setup.memory.use(1.0, float(tokens), float(min(tokens, STEP_TOKENS)))
    largest = float(most) * e.setup.replicas
    return {"tokens": tokens, "largest_batch": largest, "sequence_bytes": float(one.kv_bytes)}


def _utilisation(e: Estimate) -> dict[str, float | None]:
    chip, precisions = e.setup.decode.machine.chip, e.setup.decode.precisions
    peak = float(chip.peak_flops_per_s(precisions.linear.compute))
    found: dict[str, float | None] = {"mfu": None, "mbu": None, "prefill_mfu": None}
    if step := e.answer.phases.prefill:
        found["mfu"], found["mbu"] = utilisation(step, peak)
        found["prefill_mfu"] = found["mfu"]
    if step := e.answer.phases.decode:
        found["mfu"], found["mbu"] = utilisation(step, peak)
    return found


def _energy(e: Estimate) -> dict[str, Any] | None:
    energy, facts = e.energy, e.setup.energy_facts
    if energy is None or facts is None:
        return None
    parts = {"prefill": energy.prefill, "decode": energy.decode}
    per_token = e.joules_per_token
    return {
        "joules_per_request": float(energy.joules_per_request),
        "joules_per_token_p10": None if per_token is None else per_token * facts.p10,
        "joules_per_token_p90": None if per_token is None else per_token * facts.p90,
        "tokens_per_joule": None if not per_token else 1.0 / per_token,
        "power_w_per_device": float(energy.power_w),
        "power_w": float(energy.power_w) * e.setup.devices,
        "power_limit_w": facts.limit_w,
        "static_w_per_device": facts.static_w,
        "slow_down": float(energy.slow_down),
        "measured": facts.measured,
        "static_j": float(energy.static_j),
        **{
            f"{phase}_{part}": float(getattr(joules, part))
            for phase, joules in parts.items()
            for part in ("compute_j", "memory_j", "link_j")
        },
    }


def _money(e: Estimate) -> dict[str, Any] | None:
    money, rates = e.money, e.setup.rates
    if money is None or rates is None:
        return None
    return {
        "usd_per_device_hour": rates.usd_per_device_hour,
        "usd_per_hour": rates.usd_per_device_hour * e.setup.devices,
        "price_kind": rates.kind,
        "price_origin": rates.origin,
        "usd_per_kwh": rates.usd_per_kwh,
        "usd_per_request": float(money.usd_per_request),
        "usd_per_million_input_tokens": float(money.usd_per_million_input_tokens),
        "usd_per_million_output_tokens": float(money.usd_per_million_output_tokens),
    }


def _communication(e: Estimate) -> dict[str, dict[str, float]]:
    steps = {"prefill": e.answer.phases.prefill, "decode": e.answer.phases.decode}
    return {phase: communication(step) for phase, step in steps.items() if step}


def _pipeline(e: Estimate) -> dict[str, Any] | None:
    """Return what a pipeline makes of each phase's step: a microbatch through all stages, and the slowest of them."""
    found: dict[str, Any] = {}
    phases = e.answer.phases
    for phase, step, deployment in (
        ("prefill", phases.prefill, e.setup.prefill),
        ("decode", phases.decode, e.setup.decode),
    ):
        if step and deployment.plan.pp > 1:
            whole = float(step.microbatch_s)
            found[phase] = {
                "stages": deployment.plan.pp,
                "microbatches": float(step.microbatches),
                "microbatch_s": whole,
                "slowest_stage_s": float(step.stage_s),
                "imbalance": float(step.stage_s) * deployment.plan.pp / whole,
                "busy": float(step.microbatches) * whole / deployment.plan.pp / float(step.time.expected),
            }
    return found or None


def _device(e: Estimate) -> dict[str, Any]:
    machine = e.setup.decode.machine
    return {
        "name": e.device.name,
        "peak_flops_per_s": {k: float(v) for k, v in machine.chip.peaks.items()},
        "memory_bandwidth_bytes_per_s": float(machine.chip.memory_bandwidth_bytes_per_s),
        "memory_bytes": float(machine.chip.memory_bytes),
        "caches": [
            {"name": tier.name, "bytes": tier.capacity_bytes, "bandwidth_bytes_per_s": tier.bandwidth_bytes_per_s}
            for tier in e.device.memory
            if tier.role == "last_level_cache"
        ],
        "link_bandwidth_bytes_per_s": float(machine.link.bandwidth_bytes_per_s) if machine.link else None,
    }


def notes(e: Estimate) -> list[str]:
    """Return what a reader should know: fallbacks, replication, memory that is short, requests that wait."""
    found = fixed_notes(e)
    q = e.setup.question
    if not e.fits:
        missing = -float(e.memory.free_bytes) / 1e9
        found.append(f"does not fit: {max(missing, 0.0):.1f} GB too much per device (at the sequences asked for)")
    if float(e.answer.phases.waiting) >= 1 and q.phase == "serve":
        found.append(
            f"memory holds {float(e.answer.phases.running):.0f} of {e.batch} requests at once; "
            "the others wait in a queue"
        )
    return found


def fixed_notes(e: Estimate) -> list[str]:
    """Return the notes that do not depend on batch and lengths."""
    found = [note for note in e.device.notes if note.startswith(WHAT_IF)]
    p, q = e.setup.decode.precisions, e.setup.question
    asked = {"linear layers": (p.linear, q.precision), "experts": (p.experts, q.moe_precision or q.precision)}
    for what, (form, name) in asked.items():
        if name and form.weight.bits < form.activation.bits and "_wo" not in name and "a16" not in name:
            found.append(
                f"{e.device.name} has no {name} matrix unit: {what} keep {name} weights and compute in {form.compute}"
            )
    return found + _network_notes(e)


def _network_notes(e: Estimate) -> list[str]:
    """Return which splits leave the scale-up domain, where the network is slower."""
    found: list[str] = []
    for deployment in {id(d): d for d in (e.setup.prefill, e.setup.decode)}.values():
        plan, link = deployment.plan, deployment.machine.link
        if link is None:
            continue
        spans = {"tp": plan.tp, "cp": plan.tp * plan.cp, "ep": plan.ep if plan.expert_groups > 1 else 1}
        crossing = [name for name, span in spans.items() if getattr(plan, name) > 1 and span > link.domain_size]
        if crossing:
            found.append(
                f"{' and '.join(crossing)} leave the scale-up domain of {link.domain_size:g} devices: "
                f"{link.outer_bandwidth_bytes_per_s / 1e9:g} GB/s a device beyond it"
            )
    return found
