"""Predictors that tests can count by hand, and requests for them."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.simulation.predictor import Composition
from perfmodel.simulation.replica import Policy, Replica
from perfmodel.simulation.requests import Request, numbered


class Constant:
    """A step takes a second, whatever is in it; ``seen`` keeps the compositions."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.seen: list[Composition] = []

    def step_s(self, step: Composition) -> float:
        self.seen.append(step)
        return self.seconds


class ByTokens:
    """A millisecond a token of prompts, and a second a step of decodes."""

    def step_s(self, step: Composition) -> float:
        return step.prompts * step.new_tokens * 1e-3 + 1.0 * (step.decodes > 0)


def replica(predictor: object, room: float = 1e9, **options: object) -> Replica:
    """Return a replica whose caches have a byte a token; options of the policy and of the replica."""
    names = ("name", "token_budget", "most_running", "preempt", "prefill_share")
    policy = Policy(**{name: options.pop(name) for name in names if name in options})
    return Replica(predictor, policy, room, lambda tokens: tokens, **options)


def requests(arrivals: Sequence[float], inputs: int = 100, outputs: int = 1, **fields: object) -> list[Request]:
    """Return requests of the same lengths, numbered by arrival."""
    return numbered([Request(0, at, inputs, outputs, **fields) for at in arrivals])
