"""Requests in a closed loop: a constant number in flight, each finished one replaced at once."""

from __future__ import annotations

from perfmodel.calibration import Band, Coefficients
from perfmodel.numeric import Number, maximum, minimum
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.framework import Framework, banded
from perfmodel.serving.phases import Phases, added
from perfmodel.serving.pipeline import decode_steps, decode_steps_bound, prefill_bound, prompt_step
from perfmodel.serving.step import Deployment
from perfmodel.serving.timed import StepTime, Time


def alone(deployment: Deployment, input_tokens: Number, output_tokens: Number) -> tuple[Number, Number]:
    """Return the bounds of TTFT and TPOT: one request prefilled and decoded alone on an idle replica."""
    return (
        prefill_bound(deployment, 1, input_tokens),
        decode_steps_bound(deployment, 1, input_tokens, output_tokens),
    )


def aggregated(
    deployment: Deployment,
    framework: Framework,
    in_flight: Number,
    most_running: Number,
    input_tokens: Number,
    output_tokens: Number,
) -> Phases:
    """Return the steady state of one replica that mixes prefill and decode in its steps.

    With n requests running in g attention groups, every group prefills one prompt in a mixed step: ``mix =
    prefill(g) + unshared(n)``, the decodes' attention and arithmetic; only the reading of weights is shared. A
    prompt adds ``extra = mix - decode(n)`` to a decode step, or its share of a step full of prompts where that is
    less. While a request lives each other one of its group is prefilled once: a share q while it waits for its own
    first token, as they arrive in bursts, and the rest while it decodes O tokens. So ``TPOT = decode(n) + (1 -
    q)*extra*(n/g - 1)/O`` and ``TTFT = host + a*mix + q*extra*(n/g - 1)``. Requests that find no room in memory
    wait for one to finish: ``(N - n)/throughput``. In a pipeline the prompt delays the others only by what it adds
    to the slowest stage.

    Source: Little's law; host, a and q are fitted on measured serving runs. Omits prompts cut into chunks.
    """
    running = minimum(in_flight, maximum(most_running, 1.0))
    prefill = prompt_step(deployment, input_tokens)
    decode = decode_steps(deployment, running, input_tokens, output_tokens, exact_bound=False)
    bounds = alone(deployment, input_tokens, output_tokens)
    return steady_state(deployment.plan, framework, prefill, decode, bounds, in_flight, running, output_tokens)


def steady_state(
    plan: Plan, framework: Framework, prefill: StepTime, decode: StepTime, bounds: tuple[Number, Number],
    in_flight: Number, running: Number, output_tokens: Number,
) -> Phases:  # fmt: skip
    """Return the steady state of :func:`aggregated` from its steps and the bounds of TTFT and TPOT."""
    plain, busy = framework.decode(decode.time, plan.tokens_per_step), framework.prefill(prefill.time)
    ttft, tpot = mixed_times(
        framework.coefficients,
        plain.expected,
        busy.expected,
        decode.unshared_s,
        running,
        plan.attention_dp,
        in_flight,
        output_tokens,
        stage_share(prefill),
        framework.crowded(prefill),
    )
    steps = maximum(output_tokens - 1.0, 0.0)
    ttft_time = _time(bounds[0], ttft, busy, framework.ttft_band)
    tpot_time = _time(bounds[1], tpot, plain, framework.tpot_band)
    rate = in_flight / (ttft + steps * tpot)
    return Phases(
        ttft_time, tpot_time, added(ttft_time, tpot_time, steps), rate, rate * output_tokens, running,
        in_flight - running, prefill, decode,
    )  # fmt: skip


def mixed_times(
    c: Coefficients,
    decode_s: Number,
    prefill_s: Number,
    unshared_s: Number,
    running: Number,
    groups: Number,
    in_flight: Number,
    output_tokens: Number,
    stage_share: Number = 1.0,
    crowded_s: Number | None = None,
) -> tuple[Number, Number]:
    """Return (TTFT, TPOT) of :func:`aggregated` from the times of its steps; the fit of coefficients reads it too.

    ``crowded_s`` is what a prompt takes of a step full of prompts (None: as much as alone).
    """
    others = maximum(running / groups - 1.0, 0.0)
    mix = prefill_s + unshared_s * minimum(others, 1.0)
    extra = maximum(mix - decode_s, 0.0) * stage_share
    extra = extra if crowded_s is None else minimum(extra, crowded_s)
    tpot = decode_s + (1.0 - c["queue_share"]) * extra * others / output_tokens
    first = c["first_host_us"] * 1e-6 + c["mix_share"] * mix + c["queue_share"] * others * extra
    cycle = first + maximum(output_tokens - 1.0, 0.0) * tpot
    return first + (in_flight - running) * cycle / running, tpot


def disaggregated(
    prefill_pool: Deployment,
    decode_pool: Deployment,
    workers: tuple[Number, Number],
    framework: Framework,
    in_flight: Number,
    most_running: Number,
    input_tokens: Number,
    output_tokens: Number,
) -> Phases:
    """Return the steady state of separate prefill and decode workers; all figures are of the whole deployment.

    Decode sees ``n = N/decode workers`` each: ``TPOT = decode(n)``. A prefill worker takes g prompts (one an attention
    group) in ``W``, and in a step full of prompts g in ``C <= W``; the pool cannot start more than ``workers*g/C`` a
    second, so ``TTFT = max(host + a*W + k*queue*C, N/rate - (O-1)*TPOT)`` with queue the requests a prefill slot would
    hold if all came at once. Omits the transfer of the cache (it overlaps with the prefill of later layers; a NIC of
    400 Gbit/s a device moves a prompt's cache in 2 to 10 % of its prefill).
    """
    running = minimum(maximum(in_flight / workers[1], 1.0), maximum(most_running, 1.0))
    prefill = prompt_step(prefill_pool, input_tokens)
    decode = decode_steps(decode_pool, running, input_tokens, output_tokens, exact_bound=False)
    bounds = (
        prefill_bound(prefill_pool, 1, input_tokens),
        decode_steps_bound(decode_pool, 1, input_tokens, output_tokens),
    )
    plans = prefill_pool.plan, decode_pool.plan
    return pooled_state(plans, workers, framework, prefill, decode, bounds, in_flight, running, output_tokens)


def pooled_state(
    plans: tuple[Plan, Plan], workers: tuple[Number, Number], framework: Framework, prefill: StepTime,
    decode: StepTime, bounds: tuple[Number, Number], in_flight: Number, running: Number, output_tokens: Number,
) -> Phases:  # fmt: skip
    """Return the steady state of :func:`disaggregated` from its steps and the bounds of TTFT and TPOT."""
    groups = plans[0].attention_dp
    busy, tpot = framework.prefill(prefill.time), framework.decode(decode.time, plans[1].tokens_per_step)
    decoding, slots = minimum(in_flight, running * workers[1]), workers[0] * groups / stage_share(prefill)
    ttft = pooled_ttft(
        framework.coefficients, tpot.expected, busy.expected, decoding, slots, in_flight, output_tokens,
        framework.crowded(prefill),
    )  # fmt: skip
    steps = maximum(output_tokens - 1.0, 0.0)
    ttft_time = _time(bounds[0], ttft, busy, framework.ttft_band)
    tpot_time = _time(bounds[1], tpot.expected, tpot, framework.tpot_band)
    rate = in_flight / (ttft + steps * tpot.expected)
    return Phases(
        ttft_time, tpot_time, added(ttft_time, tpot_time, steps), rate, rate * output_tokens, decoding,
        in_flight - decoding, prefill, decode,
    )  # fmt: skip


def pooled_ttft(
    c: Coefficients,
    decode_s: Number,
    prefill_s: Number,
    decoding: Number,
    slots: Number,
    in_flight: Number,
    output_tokens: Number,
    crowded_s: Number | None = None,
) -> Number:
    """Return the TTFT of :func:`disaggregated` from the times of its steps; the fit of coefficients reads it too."""
    crowded_s = prefill_s if crowded_s is None else minimum(prefill_s, crowded_s)
    steps = maximum(output_tokens - 1.0, 0.0)
    queue = maximum(decoding / slots - 1.0, 0.0)
    first = c["first_host_us"] * 1e-6 + c["mix_share"] * prefill_s + c["queue_share"] * queue * crowded_s
    first = maximum(first, decoding * crowded_s / slots - steps * decode_s)
    return first + (in_flight - decoding) * (first + steps * decode_s) / decoding


def stage_share(step: StepTime) -> Number:
    """Return how much of a prompt's way through the pipeline is spent in the slowest stage (1 without stages)."""
    return 1.0 if step.stage_s is step.microbatch_s else step.stage_s / step.microbatch_s


def _time(bound: Number, expected: Number, kernels: Time, band: Band | None) -> Time:
    """Return a time whose band is the framework's, or else the relative band of the kernels behind it."""
    if band is not None:
        return banded(bound, expected, band)
    expected = maximum(expected, bound)
    low, high = kernels.p10 / kernels.expected, kernels.p90 / kernels.expected
    return Time(bound, expected, maximum(expected * low, bound), expected * high)


def bottlenecks(step: StepTime, count: int) -> list[str]:
    """Return which resource bounds a step, for each of ``count`` rows."""
    import numpy as np

    parts = step.bound_parts
    rows = [
        np.broadcast_to(np.asarray(p, dtype=float), (count,)) for p in (parts.compute_s, parts.memory_s, parts.link_s)
    ]
    return [("compute", "memory", "link")[i] for i in np.stack(rows).argmax(axis=0)]


def bottleneck(step: StepTime) -> str:
    """Return which resource bounds a step: compute, memory or link (plain numbers only)."""
    parts = step.bound_parts
    named = {"compute": parts.compute_s, "memory": parts.memory_s, "link": parts.link_s}
    return max(named, key=lambda name: named[name])
