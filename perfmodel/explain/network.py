"""How a network's latency comes about: its bound in chosen symbols, what else takes time, and the steps in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from perfmodel.cost.bounds import Bound, operator_bound
from perfmodel.counts import Counts
from perfmodel.errors import InputError, did_you_mean
from perfmodel.explain.language import SYMBOLS as LANGUAGE_SYMBOLS
from perfmodel.explain.language import Explanation
from perfmodel.numeric import Number
from perfmodel.ops import Operator
from perfmodel.serving.network import NetworkSetup

_ISSUE = "host_issue_us"
"""The coefficient of an engine that is the host's time to issue one kernel, in microseconds."""


class _Meaning(NamedTuple):
    letter: str
    unit: str
    meaning: str
    field: str = ""


SYMBOLS = {
    "batch": _Meaning("B", "samples", "samples at once over all devices"),
    "launch": _Meaning("t_{issue}", "s", "time of the host to issue one kernel", _ISSUE),
    **{
        name: _Meaning(known.letter, known.unit, known.meaning, known.field)
        for name, known in LANGUAGE_SYMBOLS.items()
        if name in ("bandwidth", "peak", "cores", "clock", "cache")
    },
}


def explain_network(setup: NetworkSetup, symbols: Sequence[str], batch: int) -> Explanation:
    """Return the closed form of a batch's latency in seconds, with the named symbols left free.

    ``parts`` are the compute and memory of the bound, and beside it ``traffic`` (all bytes that kernels read and write,
    where no activation stays on the chip) and ``issue`` (the host's time for all kernels). Where both matrix units and
    plain arithmetic work in a kernel, that one is taken which takes longer at the numbers that were asked for.

    Errors: :class:`InputError` for an unknown symbol.
    """
    import sympy

    for name in symbols:
        if name not in SYMBOLS:
            raise InputError(f"unknown symbol '{name}'{did_you_mean(name, SYMBOLS)} (one of {', '.join(SYMBOLS)})")
    table: dict[str, tuple[Any, float, str, str]] = {}
    changed, asked = setup, batch
    for name in symbols:
        known = SYMBOLS[name]
        symbol = sympy.Symbol(known.letter, positive=True, integer=True if name == "batch" else None)
        value = float(batch) if name == "batch" else _value(setup, known.field)
        table[name] = (symbol, value, known.unit, known.meaning)
        if name == "batch":
            asked = symbol
        else:
            changed = _with_symbol(changed, known.field, symbol)
    each: Number = asked / setup.question.dp
    parts, bound = _parts(setup, changed, batch / setup.question.dp, each)

    def expected() -> Any:
        return sympy.sympify(changed.answer(asked).latency.expected)

    return Explanation(
        "latency", bound, parts, expected, table, _composition(setup), _operators(setup),
    )  # fmt: skip


def _parts(setup: NetworkSetup, changed: NetworkSetup, number: float, each: Any) -> tuple[dict[str, Any], Any]:
    """Return the parts of the latency by name, and its bound: the sum of each network's larger resource."""
    import sympy

    several = len(setup.pipeline.stages) > 1
    parts: dict[str, Any] = {}
    bound: Any = 0
    chip = changed.machine.chip
    for stage, schedule, alike in zip(changed.pipeline.stages, changed.schedules, changed.alike, strict=True):
        own = Bound(0.0, 0.0, 0.0)
        traffic: Any = 0
        for index, times in Counter(alike).items():
            op = schedule[index].operator
            here = _bound(op, setup, changed, (number * stage.copies, each * stage.copies))
            own = Bound(own.compute_s + times * here.compute_s, own.memory_s + times * here.memory_s, 0.0)
            traffic = traffic + times * op.batched(each * stage.copies).counts().total_bytes()
        issue = len(schedule) * _coefficients(changed).get(_ISSUE, 0.0) * 1e-6
        found = {
            "compute": own.compute_s,
            "memory": own.memory_s,
            "traffic": traffic / chip.memory_bandwidth_bytes_per_s,
            "issue": issue,
        }
        tidy = {name: sympy.N(sympy.expand(sympy.sympify(value) * stage.repeat), 6) for name, value in found.items()}
        start = f"{stage.network.name} " if several else ""
        parts |= {f"{start}{name}": value for name, value in tidy.items() if value != 0}
        bound = bound + sympy.Max(tidy["compute"], tidy["memory"], evaluate=False)
    return parts, bound


def _bound(
    op: Operator, setup: NetworkSetup, changed: NetworkSetup, samples: tuple[float, Any]
) -> Bound:  # fmt: skip
    """Return the bound of a kernel in symbols, of the engine alone that takes longer at the numbers asked for."""
    number, symbol = samples
    plain = op.batched(number)
    counts = plain.counts()
    engines = ("tensor", "vector")
    times = {
        name: operator_bound(plain, counts.filter_flops(engine=name), setup.machine.chip, None, warm=False).compute_s
        for name in engines
    }
    longer = max(engines, key=lambda name: float(times[name]))
    found = op.batched(symbol)
    return operator_bound(found, _only(found.counts(), longer), changed.machine.chip, None, warm=False)


def _only(counts: Counts, engine: str) -> Counts:
    """Return counts with the flops of one engine, and all bytes."""
    return Counts({key: value for key, value in counts.flops.items() if key.engine == engine}, dict(counts.bytes))


def _key(setup: NetworkSetup) -> tuple[str, str, str]:
    """Return the arguments by which the machine knows what the engine adds to the kernels."""
    return "network" if setup.machine.form == "gpu" else "accelerator", "network", ""


def _coefficients(setup: NetworkSetup) -> Mapping[str, Any]:
    return {} if setup.machine.engines else setup.machine.coefficients(*_key(setup))


def _value(setup: NetworkSetup, field: str) -> float:
    if field == _ISSUE:
        return float(_coefficients(setup).get(_ISSUE, 0.0)) * 1e-6
    if field == "peaks":
        return float(setup.machine.chip.peak_flops_per_s(_dtype(setup)))
    return float(getattr(setup.machine.chip, field))


def _dtype(setup: NetworkSetup) -> str:
    """Return the dtype in which the network does most of its products."""
    spent: dict[str, float] = {}
    for schedule in setup.schedules:
        for kernel in schedule:
            for key, flops in kernel.operator.counts().flops.items():
                if key.engine == "tensor":
                    spent[key.dtype] = spent.get(key.dtype, 0.0) + float(flops)
    return max(spent, key=lambda name: spent[name]) if spent else next(iter(setup.machine.chip.peaks))


def _with_symbol(setup: NetworkSetup, field: str, symbol: Any) -> NetworkSetup:
    machine, key = setup.machine, _key(setup)
    kept: dict[tuple[str, ...], Any] = {key: dict(_coefficients(setup))}
    if field == _ISSUE:
        kept[key][_ISSUE] = symbol * 1e6
        return replace(setup, machine=replace(machine, _coefficients=kept))
    if field == "peaks":
        dtype = _dtype(setup)
        places = {name: {**getattr(machine.chip, name)} for name in ("peaks", "sparse_peaks")}
        places["sparse_peaks" if dtype in places["sparse_peaks"] else "peaks"][dtype] = symbol
        return replace(setup, machine=replace(machine, chip=replace(machine.chip, **places), _coefficients=kept))
    chip = replace(machine.chip, **{field: symbol})
    return replace(setup, machine=replace(machine, chip=chip, _coefficients=kept))


def _composition(setup: NetworkSetup) -> list[str]:
    c = _coefficients(setup)
    stages = setup.pipeline.stages
    counts = [len(schedule) for schedule in setup.schedules]
    issue, start = f"{c.get(_ISSUE, 0.0):g} us", f"{c.get('start_us', 0.0):g} us"
    lines = [
        f"latency = max(sum of {counts[0]} kernels, {counts[0]}*issue) + start"
        if len(stages) == 1
        else "latency = sum over networks of runs*(max(sum of kernels, kernels*issue) + start): "
        + ", ".join(
            f"{s.network.name} {s.repeat:g} runs of {n} kernels on {s.copies:g} a sample"
            for s, n in zip(stages, counts, strict=True)
        ),
        f"issue = {issue} (the host's time for a kernel), start = {start} (calibration/{_key(setup)[0]}.yaml)",
        "each kernel: its calibrated time, at least its compute and memory (--expected shows the whole form)",
        "bound: the larger of compute and memory, summed over kernels: weights from memory, activations on the chip",
        "beside the bound: traffic, if no activation stays on the chip; issue, the host's time for all kernels",
    ]
    return lines + ([f"B/{setup.question.dp} samples a device"] if setup.question.dp > 1 else [])


def _operators(setup: NetworkSetup) -> list[dict[str, Any]]:
    """Return the kernels with their counts in n samples, those with the most arithmetic first."""
    import sympy

    n = sympy.Symbol("n", positive=True, integer=True)
    rows: list[dict[str, Any]] = []
    for stage, schedule, alike in zip(setup.pipeline.stages, setup.schedules, setup.alike, strict=True):
        counts = {index: schedule[index].operator.batched(n).counts() for index in set(alike)}
        formulas = {index: (_tidy(c.total_flops()), _tidy(c.total_bytes())) for index, c in counts.items()}
        for kernel, like in zip(schedule, alike, strict=True):
            flops, moved = formulas[like]
            rows.append(
                {"phase": stage.network.name, "name": kernel.name, "repeat": stage.repeat, "flops": flops,
                 "bytes": moved, "link_bytes": sympy.Integer(0)}
            )  # fmt: skip
    return sorted(rows, key=lambda row: -float(row["flops"].subs(n, 1)) * float(row["repeat"]))


def _tidy(value: Any) -> Any:
    import sympy

    return sympy.N(sympy.expand(sympy.sympify(value)), 6)
