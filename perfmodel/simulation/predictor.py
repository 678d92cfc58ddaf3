"""How long a step of any composition takes: the kernel that the simulation, and other simulators, call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from perfmodel.cost.machine import Machine
from perfmodel.errors import InputError
from perfmodel.numeric import Number
from perfmodel.plan.step_shape import StepShape
from perfmodel.readings.kernel import Kernel, compile_formula
from perfmodel.serving.framework import Framework, load_framework
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import Deployment, step_time
from perfmodel.workloads.spec import LanguageModel, Lora


@dataclass(frozen=True)
class Composition:
    """What one step of a replica works on.

    ``prompts`` sequences bring ``new_tokens`` each on average, at the end of ``prompt_context`` tokens (those that are
    cached already included); ``decodes`` sequences one token each over a mean cache of ``decode_context`` tokens.
    All together ask for ``adapters`` different low-rank adapters.
    """

    prompts: float = 0
    new_tokens: float = 0.0
    prompt_context: float = 0.0
    decodes: float = 0
    decode_context: float = 0.0
    adapters: float = 0

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
    its decode coefficients. Where drafts are checked, a decoding sequence brings ``decode_tokens`` tokens (by default
    those of the plan's multi-token prediction), and a step is a whole one, however many of them are kept. ``lora`` are
    the adapters of a step that has any. ``cores`` is the share of a GPU's cores that it runs on, all with the whole
    memory's bandwidth. Formulas are compiled when they are first needed (prompts, decodes, both); a call then takes a
    fraction of a millisecond. Omits: pipelines (each step passes all stages).

    >>> import perfmodel as pm
    >>> predictor = StepPredictor(pm.estimate("llama-3.1-8b", "h100-sxm").setup)
    >>> alone = predictor.step_s(Composition(decodes=32, decode_context=1000.0))
    >>> mixed = predictor.step_s(Composition(1, 512.0, 512.0, 32, 1000.0))
    >>> mixed > alone
    True
    """

    def __init__(
        self, setup: Setup, pool: str = "decode", framework: Framework | None = None, *, decode_tokens: int = 0,
        lora: Lora | None = None, cores: float = 1.0,
    ) -> None:  # fmt: skip
        asked = setup.prefill if pool == "prefill" else setup.decode
        self.decode_tokens = decode_tokens or 1 + asked.plan.draft_tokens
        if asked.plan.draft_tokens:
            # formulas of a plan are of a kept token; without any acceptance that is the whole step
            asked = replace(asked, plan=replace(asked.plan, acceptance=0.0))
        if cores != 1.0:
            asked = replace(asked, machine=part_of(asked.machine, cores))
        self.deployment: Deployment = asked
        self._adapted = replace(asked, model=with_adapters(asked.model, lora)) if lora else asked
        # closed loops are simulated, so that what a framework adds to the steps themselves is all that is wanted of it
        self.framework = framework or load_framework(setup.question.engine, setup.question.mode, loop=False)
        self._kernels: dict[tuple[bool, bool, bool], Kernel] = {}

    def step_s(self, step: Composition) -> float:
        """Return the expected seconds of a step; nothing to do takes no time."""
        return self.seconds_of(step)[0]

    def seconds_of(self, step: Composition) -> tuple[float, float]:
        """Return the expected seconds of a step, and how many of them its bytes take at the memory's full rate."""
        if not step.prompts and not step.decodes:
            return 0.0, 0.0
        key = bool(step.prompts), bool(step.decodes), bool(step.adapters)
        kernel = self._kernels.get(key)
        if kernel is None:
            kernel = self._kernels[key] = self._compiled(*key)
        numbers = (step.prompts, step.new_tokens, step.prompt_context) if step.prompts else ()
        numbers += (step.decodes, step.decode_context) if step.decodes else ()
        return kernel(*numbers, *((step.adapters,) if step.adapters else ()))

    def _compiled(self, prompts: bool, decodes: bool, adapters: bool) -> Kernel:
        names = [*(("prompts", "new", "context") if prompts else ()), *(("decodes", "cache") if decodes else ()),
                 *(("adapters",) if adapters else ())]  # fmt: skip
        deployment = self._adapted if adapters else self.deployment
        around = self.framework.prefill if prompts else self.framework.decode

        def seconds(*numbers: Number) -> tuple[Number, Number]:
            given = dict(zip(names, numbers, strict=True))
            shape = StepShape(
                given.get("prompts"), given.get("new", 0), given.get("context", 0), given.get("decodes"),
                given.get("cache", 0), decode_tokens=self.decode_tokens if decodes else 1,
                adapters=given.get("adapters"),
            )  # fmt: skip
            step = step_time(deployment, shape)
            return around(step.time).expected, step.bound_parts.memory_s

        return compile_formula(seconds, names, arrays=False)


def part_of(machine: Machine, share: float) -> Machine:
    """Return a GPU with a share of its cores, their peaks and watts, and all of its memory and bandwidth.

    Errors: :class:`InputError` for a device that is no GPU, whose cores are not dealt out so.
    """
    chip = machine.chip
    if machine.engines or chip.kind != "gpu":
        raise InputError(f"{chip.name} is no GPU whose cores prompts and decodes could share; take another --policy")
    peaks, sparse = (
        {dtype: rate * share for dtype, rate in rates.items()} for rates in (chip.peaks, chip.sparse_peaks)
    )
    part = replace(
        chip, core_count=chip.core_count * share, peaks=peaks, sparse_peaks=sparse,
        vector_flops_per_s=chip.vector_flops_per_s * share,
        power_w=None if chip.power_w is None else chip.power_w * share,
    )  # fmt: skip
    return replace(machine, chip=part)


def with_adapters(model: LanguageModel, lora: Lora) -> LanguageModel:
    """Return a model with low-rank adapters beside the linear layers of all its layers."""
    return replace(model, layers=tuple(replace(group, lora=lora) for group in model.layers))
