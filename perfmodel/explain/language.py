"""How a time of a language model comes about: the closed form of a metric in chosen symbols, and its steps in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from perfmodel.cost.bounds import Bound
from perfmodel.errors import InputError, did_you_mean
from perfmodel.plan.step_shape import StepOperator, StepShape
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import Deployment, step_parts

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
    """A metric as mathematics, in seconds.

    ``bound = max(compute, memory, link)`` with the parts at the mean cache length (sympy); ``expected`` is the whole
    calibrated form (sympy, long). ``symbols`` maps each name to (symbol, value, unit, meaning); ``composition`` says in
    words how the metric is made of steps, and ``operators`` lists the steps' operators with their counts in n
    (sequences of a device's attention group in one part of the step) and c (cached tokens of each).
    """

    metric: str
    bound: Any
    parts: dict[str, Any]
    expected_of: Callable[[], Any]
    symbols: dict[str, tuple[Any, float, str, str]]
    composition: list[str]
    operators: list[dict[str, Any]]

    @cached_property
    def expected(self) -> Any:
        """The whole calibrated form; built when asked for, because it is long."""
        return self.expected_of()


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
        # requests are whole, so that the least of them and one is one
        symbol = sympy.Symbol(known.letter, positive=True, integer=True if name == "batch" else None)
        value = float(numbers[name]) if name in numbers else _chip_value(setup, known.field)
        table[name] = (symbol, value, known.unit, known.meaning)
        if name in numbers:
            numbers[name] = symbol
        else:
            changed = _with_symbol(changed, known.field, symbol)
    lengths = numbers["batch"], numbers["input_tokens"], numbers["output_tokens"]
    if metric == {"prefill": "tpot", "decode": "ttft"}.get(setup.question.phase):
        raise InputError(f"phase {setup.question.phase} has no {metric}")

    def expected() -> Any:
        return sympy.sympify(getattr(changed.answer(*lengths).phases, metric).expected)

    parts = _bound_parts(changed, metric, *lengths)
    return Explanation(
        metric, _largest(parts), parts, expected, table, _composition(setup, metric),
        _operators(setup, metric),
    )  # fmt: skip


def _bound_parts(setup: Setup, metric: str, batch: Any, input_tokens: Any, output_tokens: Any) -> dict[str, Any]:
    """Return each resource's time at the mean cache length; a served request is bounded as if it were alone."""
    import sympy

    together = setup.question.static or setup.question.phase != "serve"
    sequences = batch / setup.replicas if together else 1
    if setup.decode.plan.pp > 1 and together:
        # the parts of one microbatch on its way through all stages
        sequences = sequences / (setup.decode.plan.microbatches or setup.decode.plan.pp)
    ttft = step_parts(setup.prefill, StepShape(sequences, input_tokens, input_tokens))
    context = input_tokens + output_tokens * sympy.Rational(1, 2)
    tpot = step_parts(setup.decode, StepShape(decodes=sequences, decode_context=context))
    steps = output_tokens - 1
    found = {
        "ttft": ttft,
        "tpot": tpot,
        "e2e": Bound(*(getattr(ttft, f) + steps * getattr(tpot, f) for f in ("compute_s", "memory_s", "link_s"))),
    }[metric]
    named = {"compute": found.compute_s, "memory": found.memory_s, "link": found.link_s}
    return {name: sympy.N(sympy.expand(value), 6) for name, value in named.items() if value != 0}


def _largest(parts: dict[str, Any]) -> Any:
    import sympy

    values = list(parts.values())
    return sympy.Max(*values, evaluate=False) if len(values) > 1 else values[0]


def _composition(setup: Setup, metric: str) -> list[str]:
    return _made_of(setup, metric) + _pipelined(setup)


def _pipelined(setup: Setup) -> list[str]:
    plan = setup.decode.plan
    if plan.pp == 1:
        return []
    return [
        f"{plan.pp} stages: T = one microbatch through all of them, t = the slowest stage",
        f"m = min({plan.microbatches or plan.pp}, sequences of a group) microbatches",
        "prefill = T + (m - 1)*t; decode = max(T, m*t); the parts below are those of T",
    ]


def _made_of(setup: Setup, metric: str) -> list[str]:
    if setup.question.static or setup.question.phase != "serve":
        lines = {
            "ttft": "TTFT = prefill step of the whole batch",
            "tpot": "TPOT = mean decode step of the whole batch, its cache growing from I+1 to I+O-1 tokens",
            "e2e": "E2E = TTFT + (O-1)*TPOT",
        }
        return [lines[metric]]
    if setup.question.mode == "disagg":
        lines = {
            "ttft": "TTFT = max(host + a*prefill(g) + k*queue*full, pool's limit N*full/slots - (O-1)*TPOT)",
            "tpot": "TPOT = decode(n), n = requests of one decode worker",
            "e2e": "E2E = TTFT + (O-1)*TPOT",
        }
        return [lines[metric]]
    lines = {
        "ttft": "TTFT = host + a*mix + q*extra*(n/g - 1) + (B - n)/throughput",
        "tpot": "TPOT = decode(n) + (1 - q)*extra*(n/g - 1)/O",
        "e2e": "E2E = TTFT + (O-1)*TPOT",
    }
    return [
        lines[metric],
        "mix = prefill(g) + unshared(n); extra = min(max(mix - decode(n), 0), full): what a prompt adds",
        "full = what a prompt takes of a step with as many prompts as the token budget holds",
        "host, a, q: fitted on the engine's serving runs (hardware_specs/calibration/serving.yaml)",
        "n = requests running in a replica (in flight, as far as memory holds them); g = attention groups",
        "bound: the request alone on an idle machine",
    ]


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
    return replace(
        setup, decode=_substituted(setup.decode, field, symbol), prefill=_substituted(setup.prefill, field, symbol)
    )


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


def _operators(setup: Setup, metric: str) -> list[dict[str, Any]]:
    import sympy

    n, c = sympy.Symbol("n", positive=True, integer=True), sympy.Symbol("c", positive=True)
    rows: list[dict[str, Any]] = []
    if metric in ("ttft", "e2e") and setup.question.phase != "decode":
        rows += _rows("prefill", setup.prefill.operators(StepShape(n * _parts(setup.prefill), c, c)))
    if metric in ("tpot", "e2e") and setup.question.phase != "prefill":
        shape = StepShape(decodes=n * _parts(setup.decode), decode_context=c)
        rows += _rows("decode", setup.decode.operators(shape))
    return rows


def _parts(deployment: Deployment) -> int:
    """Return into how many equal parts a step's sequences are dealt: groups, and batches that overlap."""
    plan = deployment.plan
    return int(plan.attention_dp) * (2 if plan.overlap == "two_batch" else 1)


def _rows(phase: str, steps: Sequence[StepOperator]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in steps:
        counts = step.operator.counts()
        link = counts.total_bytes("link") * 0.5
        rows.append(
            {"phase": phase, "name": step.name, "repeat": step.repeat, "flops": _tidy(counts.total_flops()),
             "bytes": _tidy(counts.total_bytes()), "link_bytes": _tidy(link)}
        )  # fmt: skip
    return rows


def _tidy(value: Any) -> Any:
    import sympy

    return sympy.N(sympy.factor_terms(sympy.sympify(value)), 6)
