"""How tokens spread over experts: expected distinct experts touched and the load of the most loaded rank.

Closed forms over a constant number of quantiles of the routing distribution, without sampling. A rank's experts are
described by a :class:`RankLoad`: a short list of (touched experts, rows of each).

=============  =========================================================================================
routing        rows of an expert
=============  =========================================================================================
``balanced``   ``T*k/E``, the same for all
``uniform``    binomial with mean ``T*k/E``: every token draws k distinct experts
``power_law``  ``T*k*x/sum(x)`` with ``x ~ x^-alpha`` on ``[1, 0.8*T]`` (``[0.01, 2]`` while ``T*k <= E``), at most T
=============  =========================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perfmodel.errors import InputError
from perfmodel.numeric import Number, exp, log, maximum, minimum, sqrt, total, where

UNIFORM = "uniform"
BALANCED = "balanced"
POWER_LAW = "power_law"

_QUANTILES = 8


@dataclass(frozen=True)
class Routing:
    """How experts are chosen: ``uniform`` (independent top-k), ``balanced`` (as even as possible) or ``power_law``.

    ``alpha`` is the exponent of the power law from which the experts' loads are drawn.
    """

    kind: str = UNIFORM
    alpha: float = 0.0


@dataclass(frozen=True)
class RankLoad:
    """The most loaded rank: ``assignments`` rows in all, over ``touched`` of its ``local`` experts.

    ``groups`` lists (touched experts, rows of each) and sums to ``touched`` experts; rows below one say with what
    chance an expert of the group was touched (then by one row).
    """

    assignments: Number
    touched: Number
    local: Number
    groups: tuple[tuple[Number, Number], ...]


def parse_routing(text: str) -> Routing:
    """Return the routing named ``balanced``, ``uniform`` or ``power_law_<alpha>``."""
    name = text.strip().lower()
    if name in (UNIFORM, BALANCED):
        return Routing(name)
    found = re.fullmatch(r"power_law_(\d+(?:\.\d+)?)", name)
    if not found:
        raise InputError(
            f"unknown routing '{text}': use balanced, uniform or power_law_<alpha> (such as power_law_1.2)"
        )
    return Routing(POWER_LAW, float(found[1]))


def distinct_experts(tokens: Number, topk: Number, experts: Number) -> Number:
    """Return the expected number of distinct experts that uniformly routed tokens touch.

    ``E*(1 - (1 - k/E)^T)``: an expert is missed by one token with probability ``1 - k/E``. Two of Mixtral's eight for
    one token. Source: expectation of the occupancy problem with top-k draws without replacement.
    """
    return experts * (1.0 - (1.0 - topk / experts) ** tokens)


def most_loaded_rank(
    tokens: Number, topk: Number, experts: Number, ep: Number, routing: Routing
) -> tuple[Number, Number]:
    """Return (assignments, distinct experts touched) of the most loaded of ``ep`` ranks."""
    load = rank_load(tokens, topk, experts, ep, routing)
    return load.assignments, load.touched


def rank_load(tokens: Number, topk: Number, experts: Number, ep: Number, routing: Routing) -> RankLoad:
    """Return how the rows of the most loaded of ``ep`` ranks spread over its experts.

    ``assignments = T*k/ep * F`` with ``F >= 1`` the expected load of the most loaded rank over the mean one; ``F = 1``
    for one rank and for balanced routing. Shapes: ``tokens`` and ``experts`` are those of the whole EP group.
    Source: occupancy and extreme values of the distributions in the module's table, checked against Monte Carlo.
    """
    if routing.kind == POWER_LAW:
        return _power_law_load(tokens, topk, experts, ep, routing.alpha)
    return _even_load(tokens, topk, experts, ep, routing.kind == BALANCED)


_NONE = 1e-30
"""Stands for no tokens and no experts where a quotient of both is none."""


def _even_load(tokens: Number, topk: Number, experts: Number, ep: Number, balanced: bool) -> RankLoad:
    """Loads without a preference: exact shares, or binomial ones whose largest of ``ep`` is the busiest rank's.

    An even share is whole: the busiest rank has at least one row.
    """
    local = experts / ep
    mean = tokens * topk / ep
    if balanced:
        assignments = maximum(mean, minimum(1.0, tokens * topk))
        touched = minimum(assignments, local)
    else:
        deviation = sqrt(mean * (1.0 - 1.0 / ep) * (1.0 - topk / experts + 1e-9))
        assignments = maximum(mean + deviation * _largest_deviation(ep), minimum(1.0, tokens * topk))
        assignments = minimum(assignments, tokens * minimum(topk, local))
        chance = minimum(assignments / local / maximum(tokens, _NONE), 1.0)
        touched = local * (1.0 - (1.0 - chance) ** tokens)
    rows = assignments / local if balanced else assignments / maximum(touched, _NONE)
    return RankLoad(assignments, touched, local, ((touched, rows),))


def _largest_deviation(draws: Number) -> Number:
    """Return how many deviations the largest of so many Gaussian draws lies above the mean; none for one draw.

    ``1.48*sqrt(ln n) - 0.69`` is within 0.03 of the expected largest for 2 to 256 draws.
    """
    return maximum(1.48 * sqrt(log(maximum(draws, 1.0))) - 0.69, 0.0)


def _power_law_load(tokens: Number, topk: Number, experts: Number, ep: Number, alpha: float) -> RankLoad:
    """Loads in proportion to draws from a truncated power law; a token takes an expert at most once.

    Each expert's share is a quantile of the power law, normalised by the sum of the quantiles. The busiest rank is an
    average rank in which a part ``w`` of the experts is hot, so that its load is the expected largest of ``ep`` sums:
    ``F = w*hot + (1 - w)``. A rounded load below one is the chance of being touched.
    """
    rows = tokens * topk
    local = experts / ep
    mean = rows / experts
    crowded = rows > experts
    low = where(crowded, 1.0, 0.01)
    high = where(crowded, maximum(0.8 * tokens, 1.01), 2.0)
    draws = [_power_law_quantile((i + 0.5) / _QUANTILES, low, high, alpha) for i in range(_QUANTILES)]
    average = total(draws) / _QUANTILES
    coarse = total([x * x for x in draws]) / _QUANTILES / (average * average) - 1.0
    shares = _capped([mean * (x / average) for x in draws], tokens, mean)
    spread = total([(s - mean) * (s - mean) for s in shares]) / _QUANTILES / (mean * mean)
    spread = spread * _power_law_variance(low, high, alpha) / coarse  # what the few quantiles miss of the tail
    one = minimum(1.0, rows)  # rows are whole: the busiest rank and its hottest expert have at least one
    hot = maximum(minimum(mean * high / average, tokens), one)
    factor = _largest_sum(spread / local * (1.0 - 1.0 / ep), ep, hot / mean)
    factor = maximum(factor, one / (mean * local))
    part = (factor - 1.0) / maximum(hot / mean - 1.0, factor - 1.0 + 1e-9)
    plain = local * (1.0 - part) / _QUANTILES
    groups = [(plain * minimum(s, 1.0), s) for s in shares] + [(local * part * minimum(hot, 1.0), hot)]
    touched = total([count for count, _ in groups])
    return RankLoad(mean * local * factor, touched, local, tuple(groups))


def _power_law_quantile(u: float, low: Number, high: Number, alpha: float) -> Number:
    """Return the draw that a share ``u`` of draws from ``x^-alpha`` on [low, high] stays below."""
    power = 1.0 - alpha
    if abs(power) < 0.05:  # close to log-uniform: the general form loses digits
        return low * exp(u * log(high / low))
    start = low**power
    return (start + (high**power - start) * u) ** (1.0 / power)


def _power_law_variance(low: Number, high: Number, alpha: float) -> Number:
    """Return the variance of draws from ``x^-alpha`` on [low, high] over their squared mean."""
    power = 1.0 - alpha
    if abs(power) < 0.05:
        return 0.5 * log(high / low) * (high + low) / (high - low) - 1.0
    start, end = low**power, high**power
    mean = (high * end - low * start) / (power + 1.0)
    square = (high * high * end - low * low * start) / (power + 2.0)
    return square * (end - start) / (power * mean * mean) - 1.0


def _capped(shares: list[Number], cap: Number, mean: Number) -> list[Number]:
    """Cut shares at ``cap`` and hand the overflow to all in proportion to the room below it."""
    half = len(shares) // 2  # the lower half lies below the mean, which lies below the cap
    cut = [*shares[:half], *(minimum(s, cap) for s in shares[half:])]
    kept = total(cut) / len(cut)
    part = (mean - kept) / maximum(cap - kept, mean - kept + 1e-9 * cap)
    return [s + (cap - s) * part for s in cut]


def _largest_sum(variance: Number, draws: Number, largest: Number) -> Number:
    """Return the expected largest of so many gamma draws of mean 1, at most ``largest``.

    ``r^3 + r*v*w/3`` with ``r = 1 - v/9 + z*sqrt(v)/3``: the cube root of a gamma draw is nearly Gaussian (Wilson and
    Hilferty 1931); ``z`` and ``w`` are mean and variance of the largest Gaussian draw, ``w = 1/(1 + z/2 + z^2/2)``.
    """
    z = _largest_deviation(draws)
    root = 1.0 - variance / 9.0 + z * sqrt(variance) / 3.0
    return maximum(minimum(root * (root * root + variance / (3.0 + 1.5 * z * (1.0 + z))), largest), 1.0)
