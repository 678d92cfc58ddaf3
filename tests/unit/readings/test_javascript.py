"""Formulas as JavaScript: the text by itself, and each operator's formula run by node against Python."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from perfmodel.cost.facts import chip_facts
from perfmodel.cost.link_facts import link_for
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.numeric import best_of, ceil, exp, log, maximum, minimum, sqrt, where
from perfmodel.ops import OPERATORS
from perfmodel.readings.javascript import PRELUDE, javascript, script, template
from perfmodel.readings.trace import Graph
from tests.variants import all_variants, build, label

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def _run(source: str) -> Any:
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=PRELUDE + source, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def _everything(x: Any, y: Any) -> tuple[Any, ...]:
    def tile(a: Any, b: Any) -> Any:
        return a * x + best_of(((1.0,), (2.0,)), lambda c: c / y + a * c, x, y, a) + b

    powers = (where(x < y, x, -2.0) ** 2, (x * 0.0 - 2.0) ** 2.0, x ** (y / 7.0), 1e300 * x, x * 1e-9)
    rounded = (maximum(x, y) - minimum(x, 2.5), ceil(x / y), sqrt(x) + exp(y / 100), log(x))
    return (*powers, *rounded, best_of(((1.0, 2.0), (3.0, 0.5)), tile, x, y))


@needs_node
def test_every_operation_gives_the_number_that_python_gives() -> None:
    points = [(3.0, 7.0), (7.0, 3.0), (5.0, 5.0), (1e6, 0.25)]
    calls = json.dumps(points)
    source = javascript(_everything, ["x", "y"]) + f"console.log(JSON.stringify({calls}.map((p) => kernel(...p))))"
    for point, found in zip(points, _run(source), strict=True):
        assert found == pytest.approx(_everything(*point), rel=1e-12)


@needs_node
def test_a_single_result_is_an_array_of_one() -> None:
    assert _run(javascript(lambda x: x * 2.0 + 1.0, ["x"], "twice") + "console.log(JSON.stringify(twice(4)))") == [9]


def _traced(factor: float, power: float) -> Any:
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    return template([graph.lift(x * factor + y**power), graph.lift(maximum(x, 3.0))], ["x", "unused", "y"])


def test_traces_that_differ_in_constants_share_a_function() -> None:
    both = script([_traced(2.0, 0.5), _traced(5.0, 0.5)])
    assert both.source.count("function ") == 1
    assert both.calls[0].arguments == ("x", "y")  # what nothing depends on is no argument
    assert [call.k for call in both.calls] == [(2.0,), (5.0,)]
    assert "0.5" in both.source  # the same in both, so it stays
    assert script([_traced(2.0, 0.5), _traced(2.0, 1.0)]).source.count("function ") == 2  # another shape


@needs_node
def test_a_shared_function_gives_each_its_own_answer() -> None:
    both = script([_traced(2.0, 0.5), _traced(5.0, 0.25)])
    calls = ", ".join(f"{c.function}(7, 16, {json.dumps(c.k)})" for c in both.calls)
    assert _run(f"{both.source}console.log(JSON.stringify([{calls}]))") == [[18.0, 7.0], [37.0, 7.0]]


MACHINES = [("h100-sxm", "", "cuda_graph", True), ("b200", "trtllm", "cuda_graph", False)]
CASES = all_variants()


def _formula(case: tuple[str, dict[str, Any]], machine: Machine) -> Callable[..., tuple[Any, ...]]:
    def formula(*numbers: Any) -> tuple[Any, ...]:
        op = build(*case, dict(zip(OPERATORS[case[0]].DOMAIN, numbers, strict=True)))
        counts, cost = op.counts(), operator_cost(op, machine)
        return (*counts.flops.values(), *counts.bytes.values(), cost.bound_s, cost.expected_s, cost.p10_s, cost.p90_s)

    return formula


def _machine(case: tuple[str, dict[str, Any]]) -> Machine:
    form = case[1].get("format")
    dtype = form.compute if form else case[1].get("dtype", "bfloat16")
    for name, backend, timing, warm in MACHINES:
        device = load_device(name)
        machine = Machine(chip_facts(device), link_for(device), backend, timing, warm)
        if dtype in machine.chip.peaks:
            return machine
    raise AssertionError(f"no machine for {label(case)}")


@needs_node
def test_every_registered_operator_gives_what_python_gives() -> None:
    """All formulas in one run of node, at random shapes: counts, bound, expected time and band."""
    draw = random.Random(7)
    sources: list[str] = []
    expected: list[list[list[float]]] = []
    asked: list[list[list[int]]] = []
    for place, case in enumerate(CASES):
        formula = _formula(case, _machine(case))
        domain = OPERATORS[case[0]].DOMAIN
        sources.append(javascript(formula, list(domain), f"op{place}"))
        points = [[draw.randint(a, b) for a, b in domain.values()] for _ in range(12)]
        asked.append(points)
        expected.append([[float(v) for v in formula(*map(float, point))] for point in points])
    calls = ", ".join(f"op{place}" for place in range(len(CASES)))
    source = f"{''.join(sources)}const all = [{calls}], asked = {json.dumps(asked)};\n"
    found = _run(source + "console.log(JSON.stringify(all.map((f, i) => asked[i].map((p) => f(...p)))))")
    for case, mine, python in zip(CASES, found, expected, strict=True):
        for numbers, plain in zip(mine, python, strict=True):
            for a, b in zip(numbers, plain, strict=True):
                assert math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-15), label(case)
