"""Answers of one setup through compiled kernels: what a second question of the same kind costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perfmodel.numeric import Number
from perfmodel.plan.memory import MemoryUse
from perfmodel.readings.kernel import Kernel, compile_formula
from perfmodel.serving.phases import Phases
from perfmodel.serving.scenario import Answer, Setup
from perfmodel.serving.timed import Time

_ARGUMENTS = ("batch", "input_tokens", "output_tokens")
_TIMES = ("ttft", "tpot", "e2e")
_RATES = ("requests_per_s", "output_tokens_per_s", "running", "waiting")
_MEMORY = ("capacity_bytes", "weights_bytes", "kv_bytes", "activation_bytes", "overhead_bytes")


class CompiledAnswers:
    """Compiles a setup on its second question; the first is answered by running the formulas as they stand."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._asked: dict[str, int] = {}
        self._kernels: dict[str, Kernel] = {}
        self._named: tuple[str, ...] = ()

    def answer(self, *numbers: float) -> Answer:
        """Return the answer; without the steps behind the times when it comes from a kernel."""
        kernel = self._kernel("answer", self._flat_answer)
        return self.setup.answer(*numbers) if kernel is None else self._unflatten(kernel(*numbers))

    def bounds(self, *numbers: float) -> tuple[float | None, float | None, float | None]:
        """Return the bounds of TTFT, TPOT and E2E alone."""
        kernel = self._kernel("bounds", self._flat_bounds)
        values = kernel(*numbers) if kernel is not None else self._flat_bounds(*numbers)
        found = dict(zip(self._present(), values, strict=True))
        return found.get("ttft"), found.get("tpot"), found.get("e2e")

    def _kernel(self, name: str, f: Callable[..., Any]) -> Kernel | None:
        kernel = self._kernels.get(name)
        if kernel is None:
            self._asked[name] = self._asked.get(name, 0) + 1
            if self._asked[name] > 1:
                kernel = self._kernels[name] = compile_formula(f, _ARGUMENTS, arrays=False)
        return kernel

    def _present(self) -> list[str]:
        return {"prefill": ["ttft", "e2e"], "decode": ["tpot", "e2e"]}.get(self.setup.question.phase, list(_TIMES))

    def _flat_bounds(self, batch: Number, input_tokens: Number, output_tokens: Number) -> tuple[Number, ...]:
        ttft, tpot, e2e = self.setup.bounds(batch, input_tokens, output_tokens)
        return tuple(value for value in (ttft, tpot, e2e) if value is not None)

    def _flat_answer(self, batch: Number, input_tokens: Number, output_tokens: Number) -> tuple[Number, ...]:
        answer = self.setup.answer(batch, input_tokens, output_tokens)
        flat: list[Number] = []
        for name in self._present():
            time: Time = getattr(answer.phases, name)
            flat += [time.bound, time.expected, time.p10, time.p90]
        flat += [getattr(answer.phases, name) for name in _RATES]
        flat += [getattr(answer.memory, name) for name in _MEMORY]
        self._named = tuple(answer.extras)
        return (*flat, answer.most_running, answer.fits, *answer.extras.values())

    def _unflatten(self, values: tuple[float, ...]) -> Answer:
        rest = iter(values)
        times = {name: Time(*(next(rest) for _ in range(4))) for name in self._present()}
        rates = {name: next(rest) for name in _RATES}
        memory = MemoryUse(*(next(rest) for _ in _MEMORY))
        phases = Phases(times.get("ttft"), times.get("tpot"), times.get("e2e"), **rates, prefill=None, decode=None)
        most, fits = next(rest), bool(next(rest))
        return Answer(phases, memory, most, self.setup.devices, fits, dict(zip(self._named, rest, strict=True)))
