"""How long a step of any composition takes: the kernel that the simulation, and other simulators, call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from perfmodel.numeric import Number
from perfmodel.plan.step_shape import StepShape
from perfmodel.readings.kernel import Kernel, compile_formula
from perfmodel.serving.framework import Framework, load_framework
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import Deployment, step_time


@dataclass(frozen=True)
class Composition:
    """What one step of a replica works on.

    ``prompts`` sequences bring ``new_tokens`` each on average, at the end of ``prompt_context`` tokens (those that are
    cached already included); ``decodes`` sequences one token each over a mean cache of ``decode_context`` tokens.
    """

    prompts: int = 0
    new_tokens: float = 0.0
    prompt_context: float = 0.0
    decodes: int = 0
    decode_context: float = 0.0

    @property
    def tokens(self) -> float:
        """Return the tokens that pass the linear layers."""
        return self.prompts * self.new_tokens + self.decodes


class Predictor(Protocol):
    """Whatever tells the seconds of a step."""

    def step_s(self, step: Composition) -> float:
        """Return the expected seconds of a step of one replica."""
        ...


class StepPredictor:
    """The expected time of a step of any composition on one replica of a setup, with its framework around it.

    ``t = stretch*kernels + host``: prompts and decodes share the linear layers, whose products are of all tokens of the
    step, and have attention of their own. A step with prompts has the framework's prefill coefficients, one without
    its decode coefficients. Three formulas are compiled when they are first needed (prompts, decodes, both); a call
    then takes a fraction of a millisecond. Omits: pipelines (each step passes all stages).

    >>> import perfmodel as pm
    >>> predictor = StepPredictor(pm.estimate("llama-3.1-8b", "h100-sxm").setup)
    >>> alone = predictor.step_s(Composition(decodes=32, decode_context=1000.0))
    >>> mixed = predictor.step_s(Composition(1, 512.0, 512.0, 32, 1000.0))
    >>> mixed > alone
    True
    """

    def __init__(self, setup: Setup, pool: str = "decode", framework: Framework | None = None) -> None:
        self.deployment: Deployment = setup.prefill if pool == "prefill" else setup.decode
        # closed loops are simulated, so that what a framework adds to the steps themselves is all that is wanted of it
        self.framework = framework or load_framework(setup.question.engine, setup.question.mode, loop=False)
        self._kernels: dict[str, Kernel] = {}

    def step_s(self, step: Composition) -> float:
        """Return the expected seconds of a step; nothing to do takes no time."""
        if step.prompts and step.decodes:
            kernel = self._kernel("both", _both, 5)
            return kernel(step.prompts, step.new_tokens, step.prompt_context, step.decodes, step.decode_context)
        if step.prompts:
            return self._kernel("prompts", _prompts, 3)(step.prompts, step.new_tokens, step.prompt_context)
        if step.decodes:
            return self._kernel("decodes", _decodes, 2)(step.decodes, step.decode_context)
        return 0.0

    def _kernel(self, name: str, shape_of: Callable[..., StepShape], count: int) -> Kernel:
        found = self._kernels.get(name)
        if found is None:

            def seconds(*numbers: Number) -> Number:
                time = step_time(self.deployment, shape_of(*numbers)).time
                around = self.framework.decode if name == "decodes" else self.framework.prefill
                return around(time).expected

            names = [f"n{i}" for i in range(count)]
            found = self._kernels[name] = compile_formula(seconds, names, arrays=False)
        return found


def _both(prompts: Number, new: Number, context: Number, decodes: Number, cache: Number) -> StepShape:
    return StepShape(prompts, new, context, decodes, cache)


def _prompts(prompts: Number, new: Number, context: Number) -> StepShape:
    return StepShape(prompts, new, context)


def _decodes(decodes: Number, cache: Number) -> StepShape:
    return StepShape(decodes=decodes, decode_context=cache)
