"""The idea of the project, tested: a formula gives the same number however it is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.cost.facts import chip_facts
from perfmodel.cost.link_facts import link_for
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.ops import OPERATORS
from perfmodel.readings.kernel import Kernel, compile_formula
from perfmodel.readings.symbolic import evaluate
from tests.variants import all_variants, build, label

CASES = all_variants()
MACHINES = [
    ("h100-sxm", "", "cuda_graph", True),
    ("b200", "trtllm", "cuda_graph", False),
    ("l40s", "vllm", "wall", True),
    ("mi300x", "", "kernel", False),
]
Case = tuple[str, dict[str, Any]]


def _machine(name: str, backend: str, timing: str, warm: bool) -> Machine:
    device = load_device(name)
    return Machine(chip_facts(device), link_for(device), backend, timing, warm)


def _runs(case: Case, machine: Machine) -> bool:
    form = case[1].get("format")
    dtype = form.compute if form else case[1].get("dtype", "bfloat16")
    return dtype in machine.chip.peaks


def _outputs(case: Case, machine: Machine) -> Callable[..., tuple[Any, ...]]:
    """Return the whole of an operator as one formula of its numbers: each count, bound, expected, p10, p90."""
    names = list(OPERATORS[case[0]].DOMAIN)

    def formula(*numbers: Any) -> tuple[Any, ...]:
        op = build(*case, dict(zip(names, numbers, strict=True)))
        counts, cost = op.counts(), operator_cost(op, machine)
        return (*counts.flops.values(), *counts.bytes.values(), cost.bound_s, cost.expected_s, cost.p10_s, cost.p90_s)

    return formula


def _draws(case: Case) -> st.SearchStrategy[list[float]]:
    return st.tuples(*(st.integers(a, b).map(float) for a, b in OPERATORS[case[0]].DOMAIN.values())).map(list)


def _same(a: Any, b: Any) -> bool:
    return math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1e-15)


_kernels: dict[Any, Kernel] = {}


def _kernel(case: Case, which: int, arrays: bool) -> Kernel:
    key = (label(case), which, arrays)
    if key not in _kernels:
        formula = _outputs(case, _machine(*MACHINES[which]))
        _kernels[key] = compile_formula(formula, list(OPERATORS[case[0]].DOMAIN), arrays=arrays)
    return _kernels[key]


@pytest.mark.parametrize("case", CASES, ids=label)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_float_array_and_compiled_readings_agree(case: Case, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(MACHINES) - 1))
    machine = _machine(*MACHINES[which])
    if not _runs(case, machine):
        return
    rows = data.draw(st.lists(_draws(case), min_size=2, max_size=4))
    formula = _outputs(case, machine)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    arrays = formula(*columns)
    compiled = _kernel(case, which, True)(*columns)
    for i, row in enumerate(rows):
        plain = formula(*row)
        scalar = _kernel(case, which, False)(*row)
        for j, value in enumerate(plain):
            assert math.isfinite(value)
            assert _same(value, np.broadcast_to(arrays[j], len(rows))[i]), (j, row)
            assert _same(value, np.broadcast_to(compiled[j], len(rows))[i]), (j, row)
            assert _same(value, scalar[j]), (j, row)


_traces: dict[str, tuple[Any, ...]] = {}


@pytest.mark.parametrize("case", CASES, ids=label)
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_symbolic_reading_agrees(case: Case, data: st.DataObject) -> None:
    machine = _machine(*MACHINES[0])
    if not _runs(case, machine):
        machine = _machine(*MACHINES[1])
    formula = _outputs(case, machine)
    symbols = [
        sympy.Symbol(name, positive=True) if least > 0 else sympy.Symbol(name, nonnegative=True)
        for name, (least, _) in OPERATORS[case[0]].DOMAIN.items()
    ]
    if label(case) not in _traces:
        _traces[label(case)] = formula(*symbols)
    numbers = data.draw(_draws(case))
    plain = formula(*numbers)
    for value, expression in zip(plain, _traces[label(case)], strict=True):
        assert _same(value, evaluate(expression, dict(zip(symbols, numbers, strict=True))))


def test_every_operator_has_variants_that_build() -> None:
    for kind, statics in CASES:
        least = {name: float(a) for name, (a, _) in OPERATORS[kind].DOMAIN.items()}
        assert kind == build(kind, statics, least).KIND
