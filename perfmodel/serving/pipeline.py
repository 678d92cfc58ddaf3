"""Pipeline stages: what a step takes when its layers lie on several devices one behind the other.

With T the time of one microbatch through all stages, t that of the slowest stage and m microbatches, a batch is through
after ``T + (m - 1)*t`` (the bubble is ``T - t`` at each end), and a decode step, whose next token waits for the last
one, comes round every ``max(T, m*t)``. Source: GPipe (Huang et al. 2019), section 2.3, with unequal stages. A single
prompt is one microbatch: it is not cut into chunks that follow each other down the pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from perfmodel.numeric import Number, maximum, minimum
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.step_shape import StepShape
from perfmodel.serving.step import (
    Deployment,
    decode_bound,
    decode_time,
    stage_bound,
    stage_bound_at,
    step_bound,
    step_time,
)
from perfmodel.serving.timed import StepTime, Time

STEP_TOKENS = 8192.0
"""Most tokens that an engine puts into one step: the default token budget of vLLM, SGLang and TensorRT-LLM."""


def microbatches(plan: Plan, sequences: Number) -> Number:
    """Return how many microbatches pass the pipeline: those asked for, but none with less than a sequence a group."""
    return maximum(minimum(1.0 * (plan.microbatches or plan.pp), sequences / plan.attention_dp), 1.0)


def prefill_step(deployment: Deployment, sequences: Number, input_tokens: Number) -> StepTime:
    """Return the step that prefills ``sequences`` prompts of one replica together: ``T + (m - 1)*t``."""
    if not deployment.plan.staged:
        step = step_time(deployment, StepShape(sequences, input_tokens, input_tokens))
        return replace(step, sequences=sequences)
    count = microbatches(deployment.plan, sequences)
    step = step_time(deployment, StepShape(sequences / count, input_tokens, input_tokens))
    step = _passed(step, sequences, count, lambda whole, stage: whole + (count - 1.0) * stage)
    return replace(step, time=replace(step.time, bound=prefill_bound(deployment, sequences, input_tokens)))


def prompt_step(deployment: Deployment, input_tokens: Number) -> StepTime:
    """Return the step that prefills one prompt in each attention group, with the time of a step full of prompts.

    Prompts that queue share a step up to the token budget: ``rounds = max(STEP_TOKENS/input, 1)`` of them a group.
    """
    groups = deployment.plan.attention_dp
    rounds = maximum(STEP_TOKENS / input_tokens, 1.0)
    crowded = prefill_step(deployment, groups * rounds, input_tokens)
    return replace(prefill_step(deployment, groups, input_tokens), crowded_s=crowded.time.expected, rounds=rounds)


def prefill_bound(deployment: Deployment, sequences: Number, input_tokens: Number) -> Number:
    """Return the least time of a prefill: of a pipeline, what its slowest stage has to do for all prompts.

    Less than the bound of the microbatches in :func:`prefill_step`: a runtime may cut prompts into any chunks.
    """
    shape = StepShape(sequences, input_tokens, input_tokens)
    return step_bound(deployment, shape) if not deployment.plan.staged else stage_bound(deployment, shape)


def decode_steps(
    deployment: Deployment, sequences: Number, input_tokens: Number, output_tokens: Number, *, exact_bound: bool = True
) -> StepTime:
    """Return the mean of the ``output - 1`` decode steps after the first token: caches of I+1 to I+O-1 tokens.

    With one output token there is no decode step; the first one that would follow is returned. In a pipeline a step
    comes round every ``max(T, m*t)``.
    """
    first, last = decode_span(input_tokens, output_tokens)
    if not deployment.plan.staged:
        step = decode_time(deployment, sequences, first, last, exact_bound=exact_bound)
        return replace(step, sequences=sequences)
    count = microbatches(deployment.plan, sequences)
    step = decode_time(deployment, sequences / count, first, last, exact_bound=exact_bound)
    # at the shortest cache: with windows, the stage at the mean cache may take longer than it does on average
    step = replace(step, stage_bound_s=stage_bound_at(deployment, step.operators, first))
    return _passed(step, sequences, count, lambda whole, stage: maximum(whole, count * stage))


def decode_steps_bound(
    deployment: Deployment, sequences: Number, input_tokens: Number, output_tokens: Number
) -> Number:
    """Return the bound of :func:`decode_steps` alone."""
    first, last = decode_span(input_tokens, output_tokens)
    if not deployment.plan.staged:
        return decode_bound(deployment, sequences, first, last)
    count = microbatches(deployment.plan, sequences)
    whole = decode_bound(deployment, sequences / count, first, last)
    shortest = StepShape(decodes=sequences / count, decode_context=first)
    return maximum(whole, count * stage_bound(deployment, shortest))


def decode_span(input_tokens: Number, output_tokens: Number) -> tuple[Number, Number]:
    """Return the cache lengths of the first and last decode step."""
    return input_tokens + 1, maximum(input_tokens + output_tokens - 1, input_tokens + 1)


def _passed(step: StepTime, sequences: Number, count: Number, through: Callable[[Number, Number], Number]) -> StepTime:
    """Return the step with the time of all its microbatches, the relative band that of one."""
    bound = through(step.time.bound, step.stage_bound_s)
    expected = maximum(through(step.time.expected, step.stage_s), bound)
    low, high = step.time.p10 / step.time.expected, step.time.p90 / step.time.expected
    time = Time(bound, expected, maximum(expected * low, bound), expected * high)
    return replace(step, time=time, microbatches=count, sequences=sequences)
