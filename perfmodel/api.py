"""The calls that a user needs: load, estimate, sweep, explain. ``import perfmodel as pm`` re-exports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from perfmodel.arguments import Count, whole
from perfmodel.devices import Device, load_device
from perfmodel.plan.memory import MemoryUse
from perfmodel.plan.words import plan_from
from perfmodel.serving.closed_loop import bottleneck
from perfmodel.serving.compiled import CompiledAnswers
from perfmodel.serving.energy import Energy
from perfmodel.serving.money import Money
from perfmodel.serving.rows import operator_rows
from perfmodel.serving.scenario import Answer, Pool, Question, Setup, prepare
from perfmodel.serving.timed import StepTime, Time
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel
from perfmodel.workloads.what_if import changed


@dataclass(frozen=True)
class Estimate:
    """The answer to one question: times with bound and band, rates of the whole deployment, memory of one device."""

    setup: Setup
    device: Device
    batch: int
    input_tokens: int
    output_tokens: int

    @cached_property
    def answer(self) -> Answer:
        """The answer with the steps and operators behind its times."""
        return self.setup.answer(*self._numbers)

    @cached_property
    def _quick(self) -> Answer:
        return _compiled(self.setup).answer(*self._numbers)

    @cached_property
    def bounds_s(self) -> tuple[float | None, float | None, float | None]:
        """Bounds of TTFT, TPOT and E2E alone, without the expected times."""
        return _compiled(self.setup).bounds(*self._numbers)

    @property
    def _numbers(self) -> tuple[float, float, float]:
        return float(self.batch), float(self.input_tokens), float(self.output_tokens)

    @property
    def model(self) -> LanguageModel:
        """The workload."""
        return self.setup.decode.model

    @property
    def ttft_s(self) -> Time | None:
        """Time to first token; None for phase decode."""
        return self._quick.phases.ttft

    @property
    def tpot_s(self) -> Time | None:
        """Mean time per output token after the first; None for phase prefill."""
        return self._quick.phases.tpot

    @property
    def e2e_s(self) -> Time | None:
        """Time from arrival to the last token."""
        return self._quick.phases.e2e

    @property
    def step_s(self) -> Time:
        """Time of the model step that the phase is made of, without framework: the mean decode step, or the prefill."""
        return self._step.time

    @property
    def tokens_per_s(self) -> float:
        """Output tokens a second of the whole deployment (phase prefill: input tokens)."""
        factor = self.input_tokens if self.setup.question.phase == "prefill" else 1.0
        return float(self._quick.tokens_per_s) * factor

    @property
    def tokens_per_s_per_device(self) -> float:
        """Tokens a second divided by the devices."""
        return self.tokens_per_s / self.setup.devices

    @property
    def requests_per_s(self) -> float:
        """Finished requests a second of the whole deployment."""
        return float(self._quick.requests_per_s)

    @property
    def memory(self) -> MemoryUse:
        """Memory of the fullest device."""
        return self._quick.memory

    @property
    def fits(self) -> bool:
        """Whether the weights and the requests (serve: at least one) fit."""
        return bool(self._quick.fits)

    @property
    def energy(self) -> Energy | None:
        """Energy of a request and power of a device; None for a device of unknown power."""
        return self.setup.energy(self.answer.phases, float(self.output_tokens))

    @property
    def energy_j(self) -> float | None:
        """Joules of one request over all devices."""
        return None if self.energy is None else float(self.energy.joules_per_request)

    @property
    def joules_per_token(self) -> float | None:
        """Joules of an output token (phase prefill: of an input token) over all devices, without the host."""
        return self._extra("joules_per_token")

    @property
    def usd_per_million_tokens(self) -> float | None:
        """US dollars of a million output tokens (phase prefill: input tokens); None if no price is known."""
        return self._extra("usd_per_million_tokens")

    @property
    def money(self) -> Money | None:
        """What a request costs; None if no price is known."""
        phases = self.answer.phases
        return self.setup.money(phases, self.energy, float(self.input_tokens), float(self.output_tokens))

    def _extra(self, name: str) -> float | None:
        found = self._quick.extras.get(name)
        return None if found is None else float(found)

    @property
    def _step(self) -> StepTime:
        step = self.answer.phases.decode or self.answer.phases.prefill
        assert step is not None
        return step

    @property
    def bottleneck(self) -> str:
        """The resource that bounds the step: compute, memory or link."""
        return bottleneck(self._step)

    def operator_rows(self) -> list[dict[str, Any]]:
        """Return one row an operator and phase."""
        rows: list[dict[str, Any]] = []
        phases, setup = self.answer.phases, self.setup
        for phase, step, pool in (("prefill", phases.prefill, setup.prefill), ("decode", phases.decode, setup.decode)):
            rows += operator_rows(phase, step, pool.machine) if step else []
        return rows

    def ops(self) -> Any:
        """Return the operators as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.operator_rows())

    def explain(self, metric: str = "tpot", symbols: tuple[str, ...] = ("batch", "input_tokens", "bandwidth")) -> Any:
        """Return the bound of a metric (ttft, tpot, e2e) as a sympy expression in the named symbols."""
        from perfmodel.explain import explain

        return explain(self.setup, metric, symbols, self.batch, self.input_tokens, self.output_tokens).bound

    def latex(self, metric: str = "tpot", symbols: tuple[str, ...] = ("batch", "input_tokens", "bandwidth")) -> str:
        """Return :meth:`explain` as LaTeX; a notebook shows the expression itself so without being asked."""
        from sympy import latex

        return str(latex(self.explain(metric, symbols)))

    def figure(self, name: str = "") -> Any:
        """Return a figure of the report as a plotly ``Figure``: by default the slowest operators of the last step.

        ``name``: roofline, breakdown-prefill, breakdown-decode, memory ... Errors: :class:`InputError`.
        """
        from perfmodel.reports.notebook import estimate_figure

        return estimate_figure(self.report(), name)

    def _repr_html_(self) -> str:
        from perfmodel.reports.notebook import estimate_card

        return estimate_card(self.report())

    def report(self) -> dict[str, Any]:
        """Return the estimate as one JSON-ready object (schema ``perfmodel/estimate/1``)."""
        from perfmodel.report import estimate_report

        return estimate_report(self)


def estimate(
    model: str | Path | LanguageModel,
    device: str | Path | Device,
    *,
    batch: Count = 1,
    input_tokens: Count = 1024,
    output_tokens: Count = 256,
    tp: Count = 1,
    ep: Count = 1,
    moe_tp: Count | None = None,
    attention_dp: Count = 1,
    dp: Count = 1,
    pp: Count = 1,
    cp: Count = 1,
    microbatches: Count = 0,
    sequence_parallel: bool = False,
    redundant_experts: Count = 0,
    cp_mode: str = "ring",
    overlap: str = "none",
    draft_tokens: Count = 0,
    acceptance: float | str = 0.8,
    prefill_pool: Pool | None = None,
    decode_pool: Pool | None = None,
    changes: Mapping[str, str] | None = None,
    **options: Any,
) -> Estimate:
    """Return how fast and how big a model is on a device.

    ``batch`` requests in flight over the whole deployment, of ``input_tokens`` and ``output_tokens`` each. From ``tp``
    to ``acceptance``: :class:`perfmodel.plan.Plan`. ``changes`` are numbers of the device or model that are other
    than in their files (:func:`changed`). ``options`` are the other fields of
    :class:`perfmodel.serving.scenario.Question`: precision, moe_precision, kv_precision, phase (serve, prefill,
    decode), static, engine, mode, routing, power_limit_w, price_kind, usd_per_device_hour, usd_per_kwh.

    Errors: :class:`PerfmodelError` with what is wrong and how to mend it.
    """
    plan = plan_from(
        {"tp": tp, "attention_dp": attention_dp, "ep": ep, "moe_tp": moe_tp, "dp": dp, "pp": pp, "cp": cp,
         "microbatches": microbatches, "sequence_parallel": sequence_parallel,
         "redundant_experts": redundant_experts, "cp_mode": cp_mode, "overlap": overlap,
         "draft_tokens": draft_tokens, "acceptance": acceptance}
    )  # fmt: skip
    question = Question(plan=plan, prefill_pool=prefill_pool, decode_pool=decode_pool, **options)
    workload, machine = changed(_model(model), _device(device), changes or {})
    return estimate_question(
        workload, machine, question, whole("batch", batch), whole("input_tokens", input_tokens),
        whole("output_tokens", output_tokens),
    )  # fmt: skip


def _compiled(setup: Setup) -> CompiledAnswers:
    found = _COMPILED.get(id(setup))
    if found is None or found.setup is not setup:
        if len(_COMPILED) >= 1024:
            _COMPILED.clear()
        found = _COMPILED[id(setup)] = CompiledAnswers(setup)
    return found


_COMPILED: dict[int, CompiledAnswers] = {}


def estimate_question(
    model: LanguageModel, device: Device, question: Question, batch: int, input_tokens: int, output_tokens: int
) -> Estimate:
    """Return the estimate of a checked question."""
    return Estimate(prepare(model, device, question), device, batch, input_tokens, output_tokens)


def _model(model: str | Path | LanguageModel) -> LanguageModel:
    return model if isinstance(model, LanguageModel) else load_model(str(model))


def _device(device: str | Path | Device) -> Device:
    return device if isinstance(device, Device) else load_device(str(device))
