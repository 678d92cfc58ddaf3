"""A small model before a large one: what a request costs and how long it takes, and when that pays."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.numeric import Number


@dataclass(frozen=True)
class Mix:
    """Requests over two models.

    A router sends the share ``small_share`` to the small model; of its answers the share ``escalated`` does not do, and
    is asked of the large one again. Each request costs ``router`` beside.
    """

    small_share: Number
    escalated: Number

    @property
    def small_calls(self) -> Number:
        """Return the calls of the small model, of a request."""
        return self.small_share

    @property
    def large_calls(self) -> Number:
        """Return the calls of the large model, of a request: ``1 - x + x*e``."""
        return 1.0 - self.small_share * (1.0 - self.escalated)

    def mean(self, small: Number, large: Number, router: Number = 0.0) -> Number:
        """Return the mean of what adds up, dollars or seconds: ``r + x*s + (1 - x + x*e)*l``.

        Source: Chen, Zaharia and Zou 2023, FrugalGPT (cascades); Ong et al. 2024, RouteLLM (routing).
        """
        return router + self.small_calls * small + self.large_calls * large


def break_even_escalation(small: Number, large: Number, router: Number = 0.0, small_share: Number = 1.0) -> Number:
    """Return the escalation up to which a cascade takes no more than the large model alone.

    ``r + x*s + (1 - x + x*e)*l = l`` gives ``e = 1 - s/l - r/(x*l)``; below zero it never pays. Dollars or seconds.
    """
    return 1.0 - small / large - router / (small_share * large)


def break_even_share(small: Number, large: Number, escalated: Number, router: Number) -> Number:
    """Return the share of requests that must go to the small model for the router to pay: ``r/((1 - e)*l - s)``.

    Where ``(1 - e)*l <= s`` no share does, and the value is below zero or infinite.
    """
    return router / ((1.0 - escalated) * large - small)
