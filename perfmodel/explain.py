"""How a number comes about: the closed form of a metric in chosen symbols, and its steps in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from perfmodel.errors import InputError, did_you_mean
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import Deployment, StepTime

METRICS = ("ttft", "tpot", "e2e")


class _Meaning(NamedTuple):
    letter: str
    unit: str
    meaning: str
    field: str = ""


SYMBOLS = {
    "batch": _Meaning("B", "requests", "requests in flight over the whole deployment"),
    "input_tokens": _Meaning("I", "tokens", "prompt length"),
    "output_tokens": _Meaning("O", "tokens", "generated length"),
    "bandwidth": _Meaning("BW", "B/s", "main memory bandwidth", "memory_bandwidth_bytes_per_s"),
    "peak": _Meaning("P", "FLOP/s", "dense matrix peak of the linear layers' dtype", "peaks"),
    "cores": _Meaning("n_{SM}", "cores", "SMs, CUs or tensor cores", "core_count"),
    "clock": _Meaning("f", "Hz", "clock of the cores", "clock_hz"),
    "cache": _Meaning("S_{L2}", "B", "last-level cache", "llc_bytes"),
    "link": _Meaning("BW_{link}", "B/s", "scale-up link of a device, one direction", "link"),
}


@dataclass(frozen=True)
class Explanation:
    """A metric as mathematics: sympy expressions of bound and expected time, and what each symbol means and is."""

    metric: str
    bound: Any
    expected: Any
    symbols: dict[str, tuple[Any, float, str, str]]
    steps: list[str]


def explain(
    setup: Setup, metric: str, symbols: Sequence[str], batch: int, input_tokens: int, output_tokens: int
) -> Explanation:
    """Return the closed form of ``ttft``, ``tpot`` or ``e2e`` in seconds, with the named symbols left free.

    Everything not named is its number. Errors: :class:`InputError` for an unknown metric or symbol.
    """
    import sympy

    _check(setup, metric, symbols)
    numbers: dict[str, Any] = {"batch": batch, "input_tokens": input_tokens, "output_tokens": output_tokens}
    table: dict[str, tuple[Any, float, str, str]] = {}
    changed = setup
    for name in symbols:
        known = SYMBOLS[name]
        symbol = sympy.Symbol(known.letter, positive=True)
        value = float(numbers[name]) if name in numbers else _chip_value(setup, known.field)
        table[name] = (symbol, value, known.unit, known.meaning)
        if name in numbers:
            numbers[name] = symbol
        else:
            changed = _with_symbol(changed, known.field, symbol)
    answer = changed.answer(numbers["batch"], numbers["input_tokens"], numbers["output_tokens"])
    time = getattr(answer.phases, metric)
    if time is None:
        raise InputError(f"phase {setup.question.phase} has no {metric}")
    steps = _steps(answer.phases.prefill, "prefill") + _steps(answer.phases.decode, "decode")
    return Explanation(metric, sympy.sympify(time.bound), sympy.sympify(time.expected), table, steps)


def _check(setup: Setup, metric: str, symbols: Sequence[str]) -> None:
    if metric not in METRICS:
        raise InputError(f"unknown metric '{metric}'{did_you_mean(metric, METRICS)} (one of {', '.join(METRICS)})")
    for name in symbols:
        if name not in SYMBOLS:
            raise InputError(f"unknown symbol '{name}'{did_you_mean(name, SYMBOLS)} (one of {', '.join(SYMBOLS)})")
        if name == "link" and setup.decode.machine.link is None:
            raise InputError("one device has no link: give a tp above 1 to explain in terms of the link")


def _chip_value(setup: Setup, field: str) -> float:
    machine = setup.decode.machine
    if field == "link":
        assert machine.link is not None
        return float(machine.link.bandwidth_bytes_per_s)
    if field == "peaks":
        return float(machine.chip.peak_flops_per_s(setup.decode.precisions.linear.compute))
    return float(getattr(machine.chip, field))


def _with_symbol(setup: Setup, field: str, symbol: Any) -> Setup:
    return replace(setup, decode=_substituted(setup.decode, field, symbol), prefill=_substituted(setup.prefill, field, symbol))


def _substituted(deployment: Deployment, field: str, symbol: Any) -> Deployment:
    machine = deployment.machine
    if field == "link" and machine.link is not None:
        return replace(deployment, machine=replace(machine, link=replace(machine.link, bandwidth_bytes_per_s=symbol)))
    if field == "peaks":
        dtype = deployment.precisions.linear.compute
        chip = replace(machine.chip, peaks={**machine.chip.peaks, dtype: symbol})
    else:
        chip = replace(machine.chip, **{field: symbol})
    return replace(deployment, machine=replace(machine, chip=chip))


def _steps(step: StepTime | None, phase: str) -> list[str]:
    """Return one line an operator: how often it runs, its counts in the symbols, its least time."""
    lines: list[str] = []
    for row in step.operators if step else ():
        counts = row.step.operator.counts()
        flops, moved = counts.total_flops(), counts.total_bytes() + counts.total_bytes("link") * 0.5
        lines.append(f"{phase} {row.step.name}: {row.step.repeat:g} x [ flops = {_short(flops)} ; bytes = {_short(moved)} ]")
    return lines


def _short(value: Any) -> str:
    import sympy

    expression = sympy.sympify(value)
    return str(sympy.N(expression, 5)) if not expression.has(sympy.Piecewise, sympy.Min, sympy.Max) else str(expression)
