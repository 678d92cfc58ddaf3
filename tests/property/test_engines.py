"""What must hold of every cost engine: each is read from its samples on a plain device and asked for many operators."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import perfmodel as pm
from perfmodel.cost.engines.registry import engine_classes, engines_of
from perfmodel.cost.link_facts import link_for
from perfmodel.cost.machine import Machine, machine_for
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import Device, device_from_mapping, load_device
from perfmodel.errors import PlanError, SpecError
from perfmodel.formats import find_format
from perfmodel.ops import OPERATORS, Collective, Linear, Operator
from perfmodel.readings.symbolic import evaluate
from tests.variants import all_variants, build, label

DEVICE: dict[str, Any] = {
    "schema": "device/1", "name": "kit", "vendor": "nobody", "kind": "npu", "architecture": "davinci",
    "released": 2026, "power": {"value": "300 W", "source": "kit"},
    "chip": {"cores": 64, "clock": "1 GHz", "source": "kit"},
    "peaks": {
        "source": "kit",
        "tensor": {
            "bfloat16": "256 TFLOP/s", "float16": "256 TFLOP/s", "float32": "64 TFLOP/s", "tf32": "128 TFLOP/s",
            "fp8": "512 TFLOP/s", "int8": "512 TOP/s", "fp4": "1 PFLOP/s", "int4": "1 POP/s",
        },
        "vector": {"float32": "16 TFLOP/s"},
    },
    "memory": [
        {"name": "HBM", "role": "main", "capacity": "64 GB", "bandwidth": "1.6 TB/s", "source": "kit"},
        {"name": "L2", "role": "last_level_cache", "capacity": "32 MB", "bandwidth": "6 TB/s", "source": "kit"},
        {"name": "SRAM", "role": "scratchpad", "capacity": "64 MB", "bandwidth": "50 TB/s", "source": "kit"},
    ],
    "links": [
        {"name": "up", "scope": "scale_up", "topology": "fully-connected", "bandwidth": "100 GB/s", "domain": 8,
         "source": "kit"}
    ],
    "sources": {"kit": {"title": "made up for tests", "verified": False}},
}  # fmt: skip
"""A plain device with a peak of every dtype, on which the samples of every engine are read."""

SAMPLES = [(name, i) for name, engine in engine_classes().items() for i in range(len(engine.SAMPLES))]
CASES = all_variants()


def device_with(*engines: dict[str, Any]) -> Device:
    return device_from_mapping({**DEVICE, "engines": [{"source": "kit", **engine} for engine in engines]})


@cache
def machine_of(name: str, sample: int) -> Machine:
    block = dict(engine_classes()[name].SAMPLES[sample])
    device = device_with({"name": "it", "form": name, **block})
    return replace(machine_for(device), link=link_for(device))


@cache
def cases_of(name: str, sample: int) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the operators' variants that an engine runs (by their least numbers: numbers never decide)."""
    ((_, engine),) = machine_of(name, sample).engines
    found = tuple(case for case in CASES if engine.runs(build(*case, _least(case[0]))))
    others = tuple(case for case in found if not issubclass(OPERATORS[case[0]], Collective))
    return others or found  # collectives of measured libraries: tests/property/test_collectives.py


def _least(kind: str) -> dict[str, float]:
    return {name: float(a) for name, (a, _) in OPERATORS[kind].DOMAIN.items()}


def _batch(kind: str) -> str:
    """Return the numeric field that a batch multiplies: that of samples, or of sequences in a decode step."""
    return next(f for f in (OPERATORS[kind].BATCH, "sequences", "tokens", "bytes") if f in OPERATORS[kind].DOMAIN)


def _draw(data: st.DataObject, name: str, sample: int) -> tuple[tuple[str, dict[str, Any]], dict[str, float]]:
    case = data.draw(st.sampled_from(cases_of(name, sample)))
    bounds = OPERATORS[case[0]].DOMAIN.items()
    return case, {field: float(data.draw(st.integers(a, b))) for field, (a, b) in bounds}


def _times(op: Operator, machine: Machine) -> tuple[Any, ...]:
    cost = operator_cost(op, machine)
    return cost.bound_s, cost.p10_s, cost.expected_s, cost.p90_s


def test_there_are_engines_and_each_has_a_sample() -> None:
    assert {"accelerator", "gpu", "roofline"} <= set(engine_classes())
    for name, engine in engine_classes().items():
        assert engine.SAMPLES, name


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_bound_p10_expected_p90_in_order(name: str, sample: int, data: st.DataObject) -> None:
    case, numbers = _draw(data, name, sample)
    bound, p10, expected, p90 = _times(build(*case, numbers), machine_of(name, sample))
    assert 0 <= bound <= p10 * (1 + 1e-9)
    assert p10 <= expected * (1 + 1e-9)
    assert expected <= p90 * (1 + 1e-9)
    assert math.isfinite(p90)


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_more_bandwidth_or_speed_is_never_slower(name: str, sample: int, data: st.DataObject) -> None:
    case, numbers = _draw(data, name, sample)
    machine, op = machine_of(name, sample), build(*case, numbers)
    slow = _times(op, machine)
    chip = replace(machine.chip, memory_bandwidth_bytes_per_s=2 * machine.chip.memory_bandwidth_bytes_per_s)
    ((label_, engine),) = machine.engines
    engines = [replace(engine, **{field: 2.0 * getattr(engine, field)}) for field in engine.FASTER]
    faster = [replace(machine, engines=((label_, other),)) for other in engines]
    for other in (replace(machine, chip=chip), *faster):
        for before, after in zip(slow, _times(op, other), strict=True):
            assert after <= before * (1 + 1e-9)


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_eight_times_the_batch_is_never_faster(name: str, sample: int, data: st.DataObject) -> None:
    case, numbers = _draw(data, name, sample)
    op, machine = build(*case, numbers), machine_of(name, sample)
    field = _batch(case[0])
    # a mesh spreads one sequence's attention over all cores, as WaferLLM does, which a short cache does not repay
    assume(not (name == "mesh" and case[0].startswith("attention")))
    if case[0] == "gemm" and numbers[field] < 2.0:
        # libraries take another path for one row, which was measured to cost up to a microsecond more
        op = op.with_numbers(**{field: 2.0})
    one, eight = _times(op, machine), _times(op.with_numbers(**{field: 8.0 * getattr(op, field)}), machine)
    for before, after in zip(one, eight, strict=True):
        assert after >= before * (1 - 1e-9)


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_arrays_and_floats_agree(name: str, sample: int, data: st.DataObject) -> None:
    case, first = _draw(data, name, sample)
    bounds = OPERATORS[case[0]].DOMAIN.items()
    second = {field: float(data.draw(st.integers(a, b))) for field, (a, b) in bounds}
    machine = machine_of(name, sample)
    together = build(*case, {field: np.array([first[field], second[field]]) for field in first})
    arrays = _times(together, machine)
    for i, numbers in enumerate((first, second)):
        for plain, array in zip(_times(build(*case, numbers), machine), arrays, strict=True):
            assert math.isclose(plain, np.broadcast_to(array, 2)[i], rel_tol=1e-9), label(case)


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_numbers_of_the_device_may_be_arrays(name: str, sample: int, data: st.DataObject) -> None:
    case, numbers = _draw(data, name, sample)
    machine, op = machine_of(name, sample), build(*case, numbers)
    ((label_, engine),) = machine.engines
    factors = np.array([1.0, 2.0])

    def of(factor: Any) -> tuple[Any, ...]:
        chip = replace(machine.chip, memory_bandwidth_bytes_per_s=factor * machine.chip.memory_bandwidth_bytes_per_s)
        faster = replace(engine, **{field: factor * getattr(engine, field) for field in engine.FASTER})
        return _times(op, replace(machine, chip=chip, engines=((label_, faster),)))

    together = of(factors)
    for i, factor in enumerate(factors):
        for plain, array in zip(of(float(factor)), together, strict=True):
            assert math.isclose(plain, np.broadcast_to(array, 2)[i], rel_tol=1e-9), label(case)


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_symbols_and_floats_agree(name: str, sample: int, data: st.DataObject) -> None:
    case, numbers = _draw(data, name, sample)
    machine = machine_of(name, sample)
    field = _batch(case[0])  # one symbol: expressions in all numbers of the largest forms take minutes
    symbol = sympy.Symbol(field, positive=True)
    expressions = _times(build(*case, {**numbers, field: symbol}), machine)
    for plain, expression in zip(_times(build(*case, numbers), machine), expressions, strict=True):
        value = float(evaluate(sympy.sympify(expression), {symbol: numbers[field]}))
        assert math.isclose(plain, value, rel_tol=1e-9, abs_tol=1e-15), label(case)


@pytest.mark.parametrize(("name", "sample"), [(n, i) for n, i in SAMPLES if n != "gpu"])  # measured from one row on
def test_no_work_takes_a_finite_time(name: str, sample: int) -> None:
    machine = machine_of(name, sample)
    for kind, statics in cases_of(name, sample):
        if kind == "moe":  # a routing of no tokens has no busiest rank
            continue
        op = build(kind, statics, _least(kind) | {_batch(kind): 0.0})
        assert all(math.isfinite(time) and time >= 0 for time in _times(op, machine)), kind


ENGINE_FILE = '''
from dataclasses import dataclass

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Engine
from perfmodel.cost.engines.registry import register
from perfmodel.ops import Linear
from perfmodel.specs.schema import Block, Quantity


@register
@dataclass(frozen=True)
class Abacus(Engine):
    """Beads."""

    rate: float

    NAME = "abacus"
    RULE = Block({"rate": Quantity("flops_per_s")})
    SAMPLES = ({"rate": "1 GFLOP/s"},)
    FASTER = ("rate",)

    def runs(self, op):
        return isinstance(op, Linear)

    def expected_s(self, op, chip, machine):
        return op.counts().total_flops() / self.rate

    def bound(self, op, chip, machine):
        return Bound(op.counts().total_flops() / self.rate, 0.0, 0.0)

    def spreads(self, op, chip, machine):
        return 0.1, 0.1
'''


@pytest.fixture
def abacus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a new engine that PERFMODEL_ENGINES names."""
    (tmp_path / "abacus.py").write_text(ENGINE_FILE, encoding="utf-8")
    monkeypatch.setenv("PERFMODEL_ENGINES", str(tmp_path))
    return tmp_path


def _written(folder: Path, *engines: dict[str, Any]) -> Path:
    file = folder / "kit.yaml"
    spec = {**DEVICE, "engines": [{"source": "kit", **engine} for engine in engines]}
    file.write_text(yaml.safe_dump(json.loads(json.dumps(spec)), sort_keys=False), encoding="utf-8")  # without anchors
    return file


def test_a_new_engine_is_one_file(abacus: Path) -> None:
    file = _written(
        abacus, {"name": "beads", "form": "abacus", "rate": "1 TFLOP/s"}, {"name": "rest", "form": "roofline"}
    )
    machine = machine_for(load_device(file))
    assert [name for name, _ in machine.engines] == ["beads", "rest"]
    op = Linear(8.0, 4096.0, 4096.0, find_format("bf16"))
    beads, rest = (replace(machine, engines=(engine,)) for engine in machine.engines)
    assert operator_cost(op, beads).expected_s == pytest.approx(2 * 8 * 4096 * 4096 / 1e12)
    both = operator_cost(op, machine).expected_s
    assert both == min(operator_cost(op, beads).expected_s, operator_cost(op, rest).expected_s)
    answer = pm.estimate("llama-3.2-1b", file, batch=1, input_tokens=128, output_tokens=8).report()
    assert answer["tpot_s"]["expected"] > 0


def test_a_new_device_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(tmp_path, {"name": "all", "form": "roofline", "issue": "1 us"})
    folder = tmp_path / "specs" / "hardware_specs"
    folder.mkdir(parents=True)
    (tmp_path / "kit.yaml").rename(folder / "kit.yaml")
    monkeypatch.setenv("PERFMODEL_SPECS", str(tmp_path / "specs"))
    answer = pm.estimate("resnet50", "kit", batch=1).report()
    assert answer["latency_s"]["expected"] > 50e-6  # a microsecond for each of its fifty layers


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"name": "x", "form": "rooflin"}, "nearest: roofline"),
        ({"name": "x", "form": "roofline", "vectr": "1 TFLOP/s"}, "did you mean 'vector'"),
        ({"name": "x", "form": "roofline", "vector": "1 TB"}, "engines[0].vector"),
        ({"name": "x", "form": "abacus"}, "missing required key 'rate'"),
    ],
)
def test_a_faulty_block_is_refused_at_its_place(abacus: Path, block: dict[str, Any], message: str) -> None:
    file = _written(abacus, block)
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        engines_of(load_device(file))
    assert caught.value.line > 1
    assert str(file) in str(caught.value)


def test_an_operator_that_no_engine_runs_names_them(abacus: Path) -> None:
    machine = machine_for(load_device(_written(abacus, {"name": "beads", "form": "abacus", "rate": "1 TFLOP/s"})))
    with pytest.raises(PlanError, match=r"beads \(abacus\)"):
        operator_cost(build("rmsnorm", {}, _least("rmsnorm")), machine)


def test_a_broken_engine_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.setenv("PERFMODEL_ENGINES", str(tmp_path))
    with pytest.raises(SpecError, match="division by zero"):
        engine_classes()
