"""How many tokens a decode step yields to each sequence, one by one: drafts that are kept or not, blocks of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from perfmodel.errors import InputError
from perfmodel.serving.speculation import beta_shape
from perfmodel.simulation.predictor import Composition, Predictor
from perfmodel.simulation.requests import Request


class Speculation(Protocol):
    """Whatever yields more than a token a step."""

    @property
    def decode_tokens(self) -> int:
        """Return the tokens of a sequence that a step takes through the model."""
        ...

    def tokens_of(self, request: Request) -> int:
        """Return how many tokens this step yields to a request."""
        ...


class Drafts:
    """``count`` drafted tokens a step, each kept with probability ``acceptance`` if those before it are.

    A step yields ``1 + k`` tokens, ``P(k) = a^k*(1 - a)`` for ``k < count`` and ``a^count`` for all: on average
    ``(1 - a^(count+1))/(1 - a)``. Source: Leviathan et al. 2023, equation 1. With a ``spread`` (a standard deviation)
    every request has an acceptance of its own, of a beta distribution.

    Errors: :class:`InputError` for a spread that shares from 0 to 1 of this mean cannot have.
    """

    def __init__(self, count: int, acceptance: float, seed: int = 0, spread: float = 0.0) -> None:
        self.count = count
        self.acceptance = acceptance
        self._random = Random(seed)  # noqa: S311 - a simulation, no secret
        self._shape = beta_shape(acceptance, spread) if spread else None
        self._each: dict[Request, float] = {}

    @property
    def decode_tokens(self) -> int:
        """Return the drafts with the token before them."""
        return self.count + 1

    def tokens_of(self, request: Request) -> int:
        """Return the drafts that are kept until the first that is not, and the token of the check."""
        kept, acceptance = 0, self._acceptance_of(request)
        while kept < self.count and self._random.random() < acceptance:
            kept += 1
        return kept + 1

    def _acceptance_of(self, request: Request) -> float:
        if self._shape is None:
            return self.acceptance
        found = self._each.get(request)
        if found is None:
            found = self._each[request] = self._random.betavariate(*self._shape)
        return found


class Blocks:
    """Blocks of ``size`` tokens, all of which ``passes`` steps refine before they are there (block diffusion).

    Source: Arriola et al. 2025 (Block Diffusion); each pass has all tokens of the block attend to the cache.
    """

    def __init__(self, size: int, passes: int) -> None:
        if size < 1 or not 1 <= passes <= size:
            raise InputError(f"a block of {size} tokens takes 1 to {size} passes, not {passes}")
        self.size = size
        self.passes = passes
        self._done: dict[Request, int] = {}

    @property
    def decode_tokens(self) -> int:
        """Return the tokens of a block."""
        return self.size

    def tokens_of(self, request: Request) -> int:
        """Return the block after its last pass, nothing before."""
        done = self._done.get(request, 0) + 1
        if done < self.passes:
            self._done[request] = done
            return 0
        self._done.pop(request, None)
        return self.size


@dataclass(frozen=True)
class Drafted:
    """Steps of a model that checks ``drafts`` tokens of a small model, which makes them one after the other.

    ``t = target(step) + drafts*draft(decodes) + draft(prompts)``: the small model reads prompts too. Source: Leviathan
    et al. 2023, theorem 3.8. Omits: overlap of both models, drafts as trees.
    """

    target: Predictor
    draft: Predictor
    drafts: int

    def step_s(self, step: Composition) -> float:
        """Return the expected seconds of a step with its drafts."""
        found = self.target.step_s(step)
        if step.decodes:
            found += self.drafts * self.draft.step_s(
                Composition(decodes=step.decodes, decode_context=step.decode_context)
            )
        if step.prompts:
            found += self.draft.step_s(Composition(step.prompts, step.new_tokens, step.prompt_context))
        return found
