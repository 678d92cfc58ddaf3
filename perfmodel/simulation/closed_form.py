"""What the steady state comes to, in closed form, on the same step times that the simulation runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from perfmodel.calibration import Coefficients
from perfmodel.cost.offload import touched_shares, zipf
from perfmodel.numeric import Number, total
from perfmodel.serving.pipeline import STEP_TOKENS
from perfmodel.simulation.predictor import Composition, Predictor
from perfmodel.simulation.sharing import Demanding, slowdown


class Steady(NamedTuple):
    """Seconds to the first token, seconds a further token, and requests a second of a replica."""

    ttft_s: float
    tpot_s: float
    requests_per_s: float


def distinct_adapters(adapters: int, exponent: float, sequences: Number) -> Number:
    """Return how many different adapters so many sequences ask for on average: ``sum_i 1 - (1 - p_i)^n``.

    ``p_i`` goes with ``1/i^exponent`` (Zipf; 0: all alike). Exact for independent sequences.
    """
    return total(touched_shares(zipf(adapters, exponent), sequences))


def steady_state(
    predictor: Predictor, c: Coefficients, in_flight: float, input_tokens: float, output_tokens: float, *,
    cached_tokens: float = 0.0, most_running: float = 1e9, tokens_per_step: float = 1.0,
    adapters: Callable[[float], float] | None = None,
) -> Steady:  # fmt: skip
    """Return the steady state of a replica that mixes prompts and decodes, for any predictor of its steps.

    The form of :func:`perfmodel.serving.closed_loop.aggregated`, with whole steps for its parts: ``mix`` a step of one
    prompt beside ``n - 1`` decodes, ``extra = min(mix - decode, prompt of a full step)``, a step yielding
    ``tokens_per_step``:

        ``TPOT = decode/tokens + (1 - q)*extra*(n - 1)/O``,  ``TTFT = host + a*mix + q*(n - 1)*extra``

    ``cached_tokens`` of the input are found and not read; ``adapters`` tells how many different adapters so many
    sequences ask for. Omits what :func:`aggregated` does.
    """
    n = max(min(in_flight, most_running), 1.0)
    count = adapters or (lambda _: 0.0)
    cache = input_tokens + 0.5 * output_tokens
    new = max(input_tokens - cached_tokens, 1.0)
    rounds = max(STEP_TOKENS / new, 1.0)
    decode = predictor.step_s(Composition(decodes=n, decode_context=cache, adapters=count(n)))
    mix = predictor.step_s(_mixed(Composition(1.0, new, input_tokens, n - 1.0, cache, count(n))))
    full = predictor.step_s(Composition(rounds, new, input_tokens, adapters=count(rounds))) / rounds
    extra = min(max(mix - decode, 0.0), full)
    tpot = decode / tokens_per_step + (1.0 - c["queue_share"]) * extra * (n - 1.0) / output_tokens
    first = c["first_host_us"] * 1e-6 + c["mix_share"] * mix + c["queue_share"] * (n - 1.0) * extra
    life = first + max(output_tokens - 1.0, 0.0) * tpot
    ttft = first + (in_flight - n) * life / n
    return Steady(ttft, tpot, in_flight / (ttft + max(output_tokens - 1.0, 0.0) * tpot))


def shared_state(
    parts: tuple[Demanding, Demanding], in_flight: float, lengths: tuple[float, float, float],
    tokens_per_step: float = 1.0,
) -> Steady:  # fmt: skip
    """Return the steady state of a replica whose prompts and decodes share its cores and run at the same time.

    With p and d the steps of a prompt and of ``n`` decodes on their cores, s their :func:`slowdown`, and r requests a
    second: prompts are under way the share ``rho = r*p'`` of the time, ``p' = s*p``, and

        ``TPOT = d*(1 - rho + rho*s)/tokens``,  ``TTFT = p' + rho*p'/(2*(1 - rho))``,  ``r = n/(TTFT + (O-1)*TPOT)``

    which is solved for r by bisection. Source: Pollaczek and Khinchine for the wait of a prompt (M/D/1), Little's law.
    ``lengths`` are the tokens of an input, those of it that are found in a cache, and of an output. Omits: prompts that
    share a step, those that come in bursts.
    """
    input_tokens, cached_tokens, output_tokens = lengths
    n, steps = max(in_flight, 1.0), max(output_tokens - 1.0, 0.0)
    reading = parts[0].seconds_of(Composition(1, max(input_tokens - cached_tokens, 1.0), input_tokens))
    writing = parts[1].seconds_of(Composition(decodes=n, decode_context=input_tokens + 0.5 * output_tokens))
    slow = float(slowdown(*reading, *writing))
    prompt = reading[0] * slow

    def at(rate: float) -> Steady:
        rho = min(rate * prompt, 0.999999)
        tpot = writing[0] * (1.0 - rho + rho * slow) / tokens_per_step
        return Steady(prompt + rho * prompt / (2.0 * (1.0 - rho)), tpot, rate)

    low, high = 0.0, 1.0 / prompt
    for _ in range(60):
        rate = 0.5 * (low + high)
        found = at(rate)
        low, high = (rate, high) if rate * (found.ttft_s + steps * found.tpot_s) < n else (low, rate)
    return at(low)


def _mixed(step: Composition) -> Composition:
    """Return a step without decodes where there are none: their cache does not matter."""
    return step if step.decodes > 0.0 else replace(step, decodes=0.0, decode_context=0.0)
