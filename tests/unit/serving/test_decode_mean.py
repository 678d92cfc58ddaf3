"""The mean decode step against the literal mean of its steps."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.cost.bounds import Bound
from perfmodel.devices import load_device
from perfmodel.plan import Plan, StepShape
from perfmodel.serving.decode_bound import (
    _mean_of_maximum,  # pyright: ignore[reportPrivateUsage] - the arithmetic that all else rests on
)
from perfmodel.serving.scenario import Question, prepare
from perfmodel.serving.step import Deployment, decode_bound, decode_time, step_bound, step_parts, step_time
from perfmodel.workloads.library import load_model


def _deployment(model: str, device: str, tp: int = 1) -> Deployment:
    return prepare(load_model(model), load_device(device), Question(plan=Plan(tp=tp), static=True)).decode


def _literal(deployment: Deployment, sequences: int, first: int, last: int) -> float:
    contexts = range(first, last + 1)
    return sum(step_bound(deployment, StepShape(decodes=sequences, decode_context=c)) for c in contexts) / len(contexts)


ends = st.integers(0, 100).map(float)


link = st.integers(1, 100).map(float)  # a link that is not used costs nothing at both ends


@given(a=st.tuples(ends, ends, link), b=st.tuples(ends, ends, link), points=st.integers(2, 60))
@settings(deadline=None, max_examples=300)
def test_mean_of_the_largest_of_three_lines(a: Any, b: Any, points: int) -> None:
    largest = [max(x + (y - x) * i / (points - 1) for x, y in zip(a, b, strict=True)) for i in range(points)]
    literal = sum(largest) / points
    assert _mean_of_maximum(Bound(*a), Bound(*b), float(points)) == pytest.approx(literal, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("point", [(1.0, 2.0, 3.0), (3.0, 2.0, 0.0)])
def test_mean_over_one_point(point: tuple[float, float, float]) -> None:
    assert _mean_of_maximum(Bound(*point), Bound(*point), 1.0) == 3.0


def _crossing(deployment: Deployment, sequences: int) -> Deployment:
    """Return the deployment with so fast a memory that compute and memory cross between 3000 and 3100 tokens."""
    parts = step_parts(deployment, StepShape(decodes=sequences, decode_context=3050))
    chip = deployment.machine.chip
    factor = float(parts.memory_s / parts.compute_s)
    faster = replace(chip, memory_bandwidth_bytes_per_s=chip.memory_bandwidth_bytes_per_s * factor)
    return replace(deployment, machine=replace(deployment.machine, chip=faster))


def test_a_crossing_of_compute_and_memory_inside_the_span() -> None:
    deployment = _crossing(_deployment("llama-3.1-8b", "h100-sxm"), 64)
    sides = [step_parts(deployment, StepShape(decodes=64, decode_context=c)) for c in (3000, 3100)]
    assert len({side.memory_s > side.compute_s for side in sides}) == 2, "it does cross"
    assert decode_bound(deployment, 64, 3000, 3100) == pytest.approx(_literal(deployment, 64, 3000, 3100), rel=1e-12)


def test_a_window_edge_inside_the_span() -> None:
    deployment = _deployment("gpt-oss-20b", "h100-sxm")  # a window of 128 in every second layer
    for first, last in ((100, 160), (128, 129), (127, 128), (60, 128), (129, 200)):
        literal = _literal(deployment, 8, first, last)
        assert decode_bound(deployment, 8, first, last) == pytest.approx(literal, rel=1e-12)


def test_a_crossing_and_a_window_edge() -> None:
    base = _deployment("mistral-7b", "h100-sxm")  # a window of 4096 in every layer
    deployment = _crossing(base, 64)
    assert decode_bound(deployment, 64, 3000, 4200) == pytest.approx(_literal(deployment, 64, 3000, 4200), rel=1e-12)


@given(
    case=st.sampled_from([("llama-3.1-8b", "h100-sxm", 1), ("gpt-oss-20b", "l40s", 4), ("deepseek-v3", "b200", 8)]),
    sequences=st.integers(1, 300), first=st.integers(1, 5000), span=st.integers(0, 60),
)  # fmt: skip
@settings(deadline=None, max_examples=25)
def test_the_bound_is_the_literal_mean(case: tuple[str, str, int], sequences: int, first: int, span: int) -> None:
    deployment = _deployment(*case)
    literal = _literal(deployment, sequences, first, first + span)
    assert decode_bound(deployment, sequences, first, first + span) == pytest.approx(literal, rel=1e-9)
    assert decode_time(deployment, sequences, first, first + span).time.bound == pytest.approx(literal, rel=1e-9)


def test_the_expected_mean_is_close_to_the_literal_one() -> None:
    deployment = _deployment("llama-3.1-8b", "h100-sxm")
    literal = [step_time(deployment, StepShape(decodes=32, decode_context=c)).time.expected for c in range(1001, 2000)]
    assert decode_time(deployment, 32, 1001, 1999).time.expected == pytest.approx(sum(literal) / len(literal), rel=1e-3)


def test_one_step_is_that_step() -> None:
    deployment = _deployment("llama-3.1-8b", "h100-sxm")
    one = decode_time(deployment, 4, 500, 500).time
    same = step_time(deployment, StepShape(decodes=4, decode_context=500)).time
    assert (one.bound, one.expected) == pytest.approx((same.bound, same.expected))


def test_more_context_is_never_faster() -> None:
    deployment = _deployment("gpt-oss-20b", "h100-sxm")
    bounds = [decode_bound(deployment, 16, first, first + 40) for first in range(1, 400, 13)]
    assert all(a <= b for a, b in itertools.pairwise(bounds))
