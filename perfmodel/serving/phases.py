"""A static batch: all requests start together, one prefill of the whole batch, then decode."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.numeric import Number, maximum
from perfmodel.serving.framework import Framework
from perfmodel.serving.pipeline import decode_steps, prefill_step
from perfmodel.serving.step import Deployment
from perfmodel.serving.timed import StepTime, Time


@dataclass(frozen=True)
class Phases:
    """What a deployment does with its requests. ``ttft`` or ``tpot`` is None when the phase was not asked for.

    ``running`` are the requests that a replica works on at once, ``waiting`` those that queue for memory.
    ``prefill`` and ``decode`` are the steps behind the times, with their operators.
    """

    ttft: Time | None
    tpot: Time | None
    e2e: Time | None
    requests_per_s: Number
    output_tokens_per_s: Number
    running: Number
    waiting: Number
    prefill: StepTime | None
    decode: StepTime | None


def scaled(time: Time, factor: Number, extra_s: Number = 0.0) -> Time:
    """Return a time stretched and lengthened, its bound left alone."""
    return Time(
        time.bound,
        *(maximum(value * factor + extra_s, time.bound) for value in (time.expected, time.p10, time.p90)),
    )


def added(a: Time, b: Time, times: Number = 1.0) -> Time:
    """Return ``a + times*b``, their errors going together."""
    return Time(*(x + times * y for x, y in zip(_parts(a), _parts(b), strict=True)))


def _parts(time: Time) -> tuple[Number, ...]:
    return time.bound, time.expected, time.p10, time.p90


def static_batch(
    deployment: Deployment, framework: Framework, batch: Number, input_tokens: Number, output_tokens: Number, phase: str
) -> Phases:
    """Return the phases of one batch of a replica: ``TTFT = prefill(B, I)``, ``E2E = TTFT + (O-1)*TPOT``."""
    prefill = prefill_step(deployment, batch, input_tokens) if phase != "decode" else None
    decode = decode_steps(deployment, batch, input_tokens, output_tokens) if phase != "prefill" else None
    ttft = framework.prefill(prefill.time) if prefill else None
    tpot = framework.decode(decode.time, deployment.plan.tokens_per_step) if decode else None
    steps = maximum(output_tokens - 1, 0)
    if ttft and tpot:
        e2e = added(ttft, tpot, steps)
        rate = batch / e2e.expected
        return Phases(ttft, tpot, e2e, rate, rate * output_tokens, batch, batch * 0, prefill, decode)
    if ttft:
        rate = batch / ttft.expected
        return Phases(ttft, None, ttft, rate, rate, batch, batch * 0, prefill, None)
    assert tpot is not None
    rate = batch / (tpot.expected * maximum(steps, 1))
    e2e = Time(*(value * steps for value in _parts(tpot)))
    return Phases(None, tpot, e2e, rate, batch / tpot.expected, batch, batch * 0, None, decode)
