"""The steps of every plan at every load, computed once for all ways of composing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from perfmodel.cost.bounds import Bound
from perfmodel.cost.machine import machine_for
from perfmodel.devices import Device
from perfmodel.errors import PlanError
from perfmodel.ops import Operator
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.step_shape import StepOperator
from perfmodel.search.space import PlanGroup, Space, grouped, plans_of
from perfmodel.serving.alike import alike_of
from perfmodel.serving.pipeline import decode_steps, prefill_step
from perfmodel.serving.scenario import STEP_TOKENS, Question, Setup, prepare
from perfmodel.serving.step import Deployment
from perfmodel.serving.timed import StepTime, Time, TimedOperator
from perfmodel.workloads.spec import LanguageModel

LOADS = tuple(float(n) for n in (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024,
                                 1448, 2048, 2896, 4096, 5793, 8192))  # fmt: skip
"""Requests in flight on one replica that are tried, about a factor of 1.4 apart; and what its memory holds."""


@dataclass(frozen=True)
class GroupSteps:
    """The steps of a group of plans: rows are plans, columns of ``decode`` are loads, ``prefill`` has one.

    ``setup`` holds columns of the plans' numbers; ``load`` the requests on a replica, and ``held`` where memory has
    room for them; ``prompts`` says whether a plan holds the prompts of one prefill step.
    """

    group: PlanGroup
    setup: Setup
    load: Any
    held: Any
    prompts: Any
    prefill: StepTime
    decode: StepTime

    @property
    def count(self) -> int:
        """Return how many plans the group has."""
        return len(self.group.members)


@dataclass(frozen=True)
class Steps:
    """The steps of all plans of a space, with the lengths that they are for."""

    model: LanguageModel
    device: Device
    question: Question
    groups: tuple[GroupSteps, ...]
    input_tokens: float
    output_tokens: float

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Return all plans, those of the groups one after the other."""
        return tuple(plan for part in self.groups for plan in part.group.members)


def all_steps(
    model: LanguageModel, device: Device, question: Question, space: Space, input_tokens: int, output_tokens: int
) -> Steps:
    """Return the steps of every plan of a space.

    Errors: :class:`PlanError` if no plan is possible, or none has room for the model and one request.
    """
    lengths = float(input_tokens), float(output_tokens)
    setups = list(_setups(model, device, question, plans_of(model, space)))
    if not setups:
        raise PlanError(f"{device.name} has no links that join the devices of any plan")
    groups = tuple(found for group, setup in setups if (found := _steps(group, setup, *lengths)) is not None)
    if not groups:
        raise PlanError(_no_room(model, device, [setup for _, setup in setups], lengths, space.devices))
    return Steps(model, device, question, groups, *lengths)


def _setups(
    model: LanguageModel, device: Device, question: Question, plans: Sequence[Plan]
) -> Iterator[tuple[PlanGroup, Setup]]:
    """Yield the groups of plans, each with a setup whose plan's numbers are columns of theirs."""
    for group in grouped(model, list(plans), device, question.engine):
        example = max(group.members, key=lambda plan: plan.devices_per_replica)
        setup = prepare(model, device, replace(question, plan=example))
        machine = machine_for(device, group.largest_replica, question.engine)
        alike = alike_of([(plan.tp, plan.pp, plan.cp, plan.attention_dp) for plan in group.members])
        deployment = replace(setup.decode, plan=group.plan, machine=machine, alike=alike)
        memory = replace(setup.memory, plan=group.plan)
        devices: Any = group.plan.devices_per_replica
        yield group, replace(setup, decode=deployment, prefill=deployment, memory=memory, replicas=1, devices=devices)


def _steps(group: PlanGroup, setup: Setup, input_tokens: float, output_tokens: float) -> GroupSteps | None:
    """Return the steps of a group, or None if none of its plans holds one request."""
    import numpy as np

    most = setup.most_running(input_tokens, output_tokens, together=False)
    most = np.broadcast_to(np.asarray(most, dtype=float), (len(group.members), 1))
    load = np.minimum(np.array([[*LOADS, np.inf]]), most)
    held = np.diff(load, prepend=0.0) > 0  # a replica that is full has no further loads
    if not held.any():
        return None
    load = np.where(held, load, 1.0)
    groups = group.plan.attention_dp
    prompts = setup.memory.largest_batch(input_tokens, min(input_tokens, STEP_TOKENS)) >= groups
    return GroupSteps(
        group, setup, load, held, np.broadcast_to(prompts, (len(group.members), 1)),
        _prompts(setup.prefill, input_tokens),
        decode_steps(setup.decode, load, input_tokens, output_tokens, exact_bound=False),
    )  # fmt: skip


def _prompts(deployment: Deployment, input_tokens: float) -> StepTime:
    """Return :func:`prompt_step`, the step full of prompts being a second column of one evaluation."""
    import numpy as np

    groups = deployment.plan.attention_dp
    rounds = max(STEP_TOKENS / input_tokens, 1.0)
    both = prefill_step(deployment, groups * np.array([[1.0, rounds]]), input_tokens)
    return replace(_first(both), crowded_s=both.time.expected[:, 1:], rounds=rounds)


def _first(value: Any) -> Any:
    """Return a step, or a part of one, with the first of two columns of all its numbers."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return value[..., :1] if value.shape[-1:] == (2,) else value
    if isinstance(value, tuple):
        return tuple(_first(one) for one in cast("tuple[Any, ...]", value))
    if not isinstance(value, _PARTS):
        return value
    parts = [(name, own) for name, own in vars(value).items() if isinstance(own, (np.ndarray, tuple, *_PARTS))]
    return replace(value, **{name: _first(own) for name, own in parts}) if parts else value


_PARTS = (StepTime, Time, Bound, TimedOperator, StepOperator, Operator)


def _no_room(
    model: LanguageModel, device: Device, setups: Sequence[Setup], lengths: tuple[float, float], devices: int
) -> str:
    import numpy as np

    step_tokens = min(lengths[0], STEP_TOKENS)
    needed = min(float(np.min(setup.memory.use(1.0, sum(lengths), step_tokens).used_bytes)) for setup in setups)
    return (
        f"{model.name} with one request of {sum(lengths):,.0f} tokens needs {needed / 1e9:,.0f} GB a device in the "
        f"plan that splits it most over {devices} {device.name}, which has "
        f"{device.main_memory.capacity_bytes / 1e9:,.0f} GB; give more devices, a smaller precision or shorter requests"
    )
