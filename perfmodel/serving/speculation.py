"""Drafted tokens in closed form: how many a step yields, what drafting gains, requests of unlike acceptance."""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.errors import InputError
from perfmodel.numeric import Number, maximum, where


def tokens_of_step(drafts: Number, acceptance: Number) -> Number:
    """Return the tokens that a checked step yields on average: ``(1 - a^(n+1))/(1 - a)``, n + 1 where a is 1.

    Source: Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding", equation 1.
    """
    left = 1.0 - acceptance
    return where(left > 1e-9, (1.0 - acceptance ** (drafts + 1)) / maximum(left, 1e-9), drafts + 1.0)


def beta_shape(mean: float, spread: float) -> tuple[float, float]:
    """Return (alpha, beta) of the beta distribution of a mean and a standard deviation.

    ``alpha = mean*v``, ``beta = (1 - mean)*v``, ``v = mean*(1 - mean)/spread^2 - 1``. Errors: :class:`InputError`.
    """
    most = (mean * (1.0 - mean)) ** 0.5
    if not 0.0 < spread < most:
        raise InputError(f"shares with a mean of {mean:g} have a spread above 0 and below {most:.3g}, not {spread:g}")
    v = mean * (1.0 - mean) / spread**2 - 1.0
    return mean * v, (1.0 - mean) * v


def tokens_of_unlike(drafts: int, acceptance: float, spread: float) -> float:
    """Return the tokens of a step on average over requests whose acceptance has a beta distribution.

    ``sum_{i=0..n} E[a^i]``, with the moments ``E[a^i] = prod_{k<i} (alpha + k)/(alpha + beta + k)``: exact. More than
    :func:`tokens_of_step` of the mean acceptance. A request of many tokens takes ``E[1/tokens]`` steps each, more than
    one over this. Without a spread the same as :func:`tokens_of_step`.
    """
    if not spread:
        return float(tokens_of_step(drafts, acceptance))
    alpha, beta = beta_shape(acceptance, spread)
    found = moment = 1.0
    for k in range(drafts):
        moment *= (alpha + k) / (alpha + beta + k)
        found += moment
    return found


def steps_of_unlike(drafts: int, acceptance: float, spread: float) -> float:
    """Return the steps a token on average over requests of unlike acceptance: ``E[1/tokens(a)]``; else ``1/tokens``."""
    if not spread:
        return 1.0 / float(tokens_of_step(drafts, acceptance))
    points = _beta_points(*beta_shape(acceptance, spread))
    return sum(w / float(tokens_of_step(drafts, x)) for x, w in points) / sum(w for _, w in points)


def _beta_points(alpha: float, beta: float, count: int = 500) -> list[tuple[float, float]]:
    """Return points of a beta distribution with their weights, by the midpoint rule.

    Each half is taken in ``y = x^alpha`` (of the upper one ``(1 - x)^beta``), in which a density without bound at its
    end is finite: ``x^(alpha-1) (1-x)^(beta-1) dx = (1-x)^(beta-1) dy/alpha``.
    """
    found: list[tuple[float, float]] = []
    for i in range(count):
        middle = (i + 0.5) / count
        low = 0.5 * middle ** (1.0 / alpha)
        high = 0.5 * middle ** (1.0 / beta)
        found.append((low, 0.5**alpha / alpha * (1.0 - low) ** (beta - 1.0)))
        found.append((1.0 - high, 0.5**beta / beta * (1.0 - high) ** (alpha - 1.0)))
    return found


def speculation_gain(drafts: Number, acceptance: Number, draft_cost: Number, check_cost: Number = 1.0) -> Number:
    """Return how many times faster drafted decoding is: ``tokens/(check + drafts*draft)``.

    Costs are in steps of the large model that yield one token: ``draft_cost`` that of a draft, ``check_cost`` that of a
    step which checks all of them, 1 as long as reading the weights is what takes time, more in large batches.
    Source: Leviathan et al. 2023, theorem 3.8, with the cost of checking apart.
    """
    return tokens_of_step(drafts, acceptance) / (check_cost + drafts * draft_cost)


def best_drafts(acceptance: float, draft_cost: float, check_cost: Callable[[int], float], most: int = 16) -> int:
    """Return how many drafts a step gain most, of 0 to ``most``; ``check_cost`` tells the cost of checking n drafts."""
    return max(range(most + 1), key=lambda n: speculation_gain(n, acceptance, draft_cost, check_cost(n)) if n else 1.0)
