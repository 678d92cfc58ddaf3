"""Metrics of designs in columns: thousands at once, by the formulas that answer one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.cost.energy import EnergyFacts
from perfmodel.cost.engines.registry import Changes, engines_of
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.link_facts import link_of_topology
from perfmodel.cost.machine import Machine
from perfmodel.cost.price import Rates
from perfmodel.devices import Device
from perfmodel.errors import InputError, PerfmodelError, PlanError
from perfmodel.numeric import Number, minimum, where
from perfmodel.plan.memory import USABLE_FRACTION
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.words import PLAN_FIELDS
from perfmodel.search.design.chip import Chip, base_values, check_design, designed
from perfmodel.search.design.engines import PREFIX, changes_of, engine_numbers
from perfmodel.search.design.space import CHIP, LOAD, PLAN, DesignSpace
from perfmodel.serving.scenario import STEP_TOKENS, Question, Setup, prepare
from perfmodel.serving.step import Deployment
from perfmodel.workloads.spec import LanguageModel

METRICS = {
    "ttft_s": ("TTFT", "seconds", -1), "tpot_s": ("TPOT", "seconds", -1), "e2e_s": ("E2E", "seconds", -1),
    "tokens_per_s": ("tokens/s", "", 1), "tokens_per_s_per_device": ("tokens/s a device", "", 1),
    "requests_per_s": ("requests/s", "", 1), "joules_per_token": ("J a token", "", -1),
    "usd_per_million_tokens": ("$ a million tokens", "", -1), "area_mm2": ("mm2", "", -1),
    "power_w": ("W, limit", "watts", -1), "chip_usd": ("$ to make", "", -1),
    "memory_share": ("memory used", "", -1),
}  # fmt: skip
"""Metrics with name, dimension, and whether more (1) or less (-1) is better; ``memory_share`` above 1 does not fit."""

_ANSWERS = ("ttft_s", "tpot_s", "tokens_per_s", "memory_share")

CHUNK = 2048
"""Designs at once: each kernel's choices are arrays of them, which should stay in the cache."""


@dataclass(frozen=True)
class Designs:
    """Chips ``like`` a device, on which a question about a model is asked: :meth:`evaluate` gives metrics in columns.

    ``load`` are batch, input and output tokens where the space does not vary them. Every chip keeps its model's
    calibration: the shares of its peaks that its kernels reach, and which kernels these are.
    """

    model: LanguageModel
    like: Device
    space: DesignSpace
    question: Question = Question()
    load: tuple[float, float, float] = (1.0, 1024.0, 256.0)
    dtype: str = field(init=False)

    def __post_init__(self) -> None:
        check_design(self.like, self.space.names)
        setup = prepare(self.model, self.like, replace(self.question, plan=Plan()))
        object.__setattr__(self, "dtype", setup.decode.precisions.linear.compute)
        if self.question.phase != "serve" or self.question.mode != "agg":
            raise InputError("designs are compared for phase serve, aggregated")
        if self.like.engines:
            self._check_that_it_matters()

    def _check_that_it_matters(self) -> None:
        """Refuse numbers that no engine of the model chip works with: a thousandth of them would change nothing.

        Of a number of an engine, a thousandfold is tried too: with it the engine may be the one to be chosen.
        """
        known = base_values(self.like, self.dtype)
        if self.of_like()["memory_share"] > 1.0:
            return
        for name in self.space.names:
            if name in known and not self._matters(name, known[name]):
                own = [other for other in known if other.startswith(PREFIX) or self._matters(other, known[other])]
                raise InputError(
                    f"{name} changes nothing on {self.like.name}, whose engines do not work with it for this model and "
                    f"load; vary {', '.join(own)}"
                )

    def _matters(self, name: str, value: float) -> bool:
        of_engine, as_it_is = name.startswith(PREFIX), self.of_like()
        dimension = engine_numbers(self.like)[name].dimension if of_engine else CHIP[name][0]
        # the power that a number takes changes the energy even where nothing works with it
        asked = (*_ANSWERS, "joules_per_token") if of_engine else _ANSWERS
        for factor in (1e-3, 1e3) if of_engine else (1e-3,):
            try:
                other = self._metrics({}, {name: value * factor if dimension else max(round(value * factor), 1)}, 1)
            except (PerfmodelError, ArithmeticError):
                return True  # it cannot be just anything
            if any(float(other[metric][0]) != as_it_is[metric] for metric in asked if metric in as_it_is):
                return True
        return False

    @property
    def base(self) -> dict[str, Any]:
        """Return the values of the model chip and of the question on the axes of the space, within their ends."""
        known = {**base_values(self.like, self.dtype), **dict(zip(LOAD, self.load, strict=True))}
        plan = {name: getattr(self.question.plan, name, None) or getattr(self.question, name, None) for name in PLAN}
        found: dict[str, Any] = {}
        for axis in self.space.axes:
            value = {**known, **plan}[axis.name]
            found[axis.name] = value if not axis.choices or value in axis.choices else axis.choices[0]
        return found

    def of_like(self) -> dict[str, float]:
        """Return the metrics of the model chip itself, with the question's own plan and load."""
        return {name: float(column[0]) for name, column in self._metrics({}, {}, 1).items()}

    def evaluate(self, unit: Any) -> dict[str, Any]:
        """Return a column for each of :data:`METRICS` that is known, of designs ``unit``: (designs, axes) from 0 to 1.

        NaN where the plan cannot be, or where the model does not fit: ``memory_share`` is then above 1.
        """
        import numpy as np

        unit = np.atleast_2d(np.asarray(unit, dtype=float))
        if unit.ndim != 2 or unit.shape[1] != len(self.space.axes):
            raise InputError(f"designs are rows of {len(self.space.axes)} numbers, not of shape {unit.shape}")
        values = self.space.decode(unit)
        found: dict[str, Any] = {}
        for chosen, rows in self._groups(values, len(unit)):
            for first in range(0, len(rows), CHUNK):
                mine = rows[first : first + CHUNK]
                numbers = {name: column[mine] for name, column in values.items() if name not in PLAN}
                for name, column in self._metrics(chosen, numbers, len(mine)).items():
                    found.setdefault(name, np.full(len(unit), np.nan))[mine] = column
        return found

    def _groups(self, values: Mapping[str, Any], count: int) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the choices of a plan, and the designs that have them."""
        import numpy as np

        names = [axis for axis in self.space.axes if axis.name in PLAN]
        if not names:
            yield {}, np.arange(count)
            return
        keys = np.stack([values[axis.name] for axis in names], axis=1)
        different, inverse = np.unique(keys, axis=0, return_inverse=True)
        for place, key in enumerate(different):
            chosen = {axis.name: axis.value(number) for axis, number in zip(names, key, strict=True)}
            yield chosen, np.flatnonzero(inverse.ravel() == place)

    def _metrics(self, chosen: Mapping[str, Any], numbers: Mapping[str, Any], count: int) -> dict[str, Any]:
        import numpy as np

        mine = {name: value for name, value in numbers.items() if name in CHIP or name.startswith(PREFIX)}
        chip = designed(self.like, mine, self.dtype)
        found: dict[str, Any] = {"area_mm2": chip.area_mm2, "power_w": chip.power_w, "chip_usd": chip.usd}
        try:
            setup = self._setup(chosen, chip, changes_of(mine))
            load = [numbers.get(name, value) for name, value in zip(LOAD, self.load, strict=True)]
            found |= _answered(setup, load)
        except PlanError:
            found |= {name: np.nan for name in METRICS if name not in found}
        columns = {name: np.broadcast_to(np.asarray(value, dtype=float), (count,))
                   for name, value in found.items() if value is not None}  # fmt: skip
        return {name: columns[name] for name in METRICS if name in columns}

    def _setup(self, chosen: Mapping[str, Any], chip: Chip, changes: Changes) -> Setup:
        ways = {name: value for name, value in chosen.items() if name in PLAN_FIELDS}
        others = {name: value for name, value in chosen.items() if name not in PLAN_FIELDS}
        plan = self.question.plan
        setup = prepare(self.model, self.like, replace(self.question, plan=replace(plan, **ways), **others))
        decode = _on(setup.decode, self.like, chip.device, changes)
        memory = replace(setup.memory, capacity_bytes=chip.device.main_memory.capacity_bytes)
        rates = _scaled(setup.rates, chip, designed(self.like, {}, self.dtype))
        facts: EnergyFacts | None = chip.energy
        return replace(setup, decode=decode, prefill=decode, memory=memory, energy_facts=facts, rates=rates)


def _on(deployment: Deployment, like: Device, device: Device, changes: Changes) -> Deployment:
    old = deployment.machine
    link = old.link and link_of_topology(device, old.link.topology, int(old.link.domain_size))
    chip = chip_facts(device, old.chip.matrix_pace)
    engines = engines_of(device, chip, changes)
    machine = Machine(chip, link, old.backend, old.timing, old.warm, old.form, old.cold_weights, engines, old.mix)
    return replace(deployment, machine=machine)


def _scaled(rates: Rates | None, chip: Chip, base: Chip) -> Rates | None:
    """Return the price of an hour, as many times that of the model chip as making it costs more."""
    if rates is None or chip.usd is None or base.usd is None:
        return rates
    return replace(rates, usd_per_device_hour=rates.usd_per_device_hour * chip.usd / base.usd)


def _answered(setup: Setup, load: list[Any]) -> dict[str, Any]:
    answer = setup.answer(*load)
    phases = answer.phases
    found: dict[str, Any] = {
        f"{name}_s": time.expected for name in ("ttft", "tpot", "e2e") if (time := getattr(phases, name)) is not None
    }
    found |= {
        "tokens_per_s": answer.tokens_per_s, "tokens_per_s_per_device": answer.tokens_per_s / setup.devices,
        "requests_per_s": answer.requests_per_s,
    }  # fmt: skip
    found |= {name: answer.extras[name] for name in METRICS if name in answer.extras}
    share = one_request_share(setup, load[1], load[2])
    holds = share <= 1.0
    return {name: where(holds, value, math.nan) for name, value in found.items()} | {"memory_share": share}


def one_request_share(setup: Setup, input_tokens: Number, output_tokens: Number) -> Number:
    """Return what one request needs over the memory that a device may fill: above 1 nothing can run."""
    used = setup.memory.use(1.0, input_tokens + output_tokens, minimum(input_tokens, STEP_TOKENS))
    return used.used_bytes / (used.capacity_bytes * USABLE_FRACTION)
