"""Steps: sums of operators, and the spread of a sum of correlated errors."""

from __future__ import annotations

import math
from typing import Any

import pytest

from perfmodel.cost.bounds import Bound
from perfmodel.devices import load_device
from perfmodel.ops import AttentionDecode, RmsNorm
from perfmodel.plan import Plan, StepOperator, StepShape
from perfmodel.serving.decode_bound import sum_bounds
from perfmodel.serving.rows import operator_rows, utilisation
from perfmodel.serving.scenario import Question, prepare
from perfmodel.serving.spread import CROSS_CLASS_CORRELATION, combined_spread
from perfmodel.serving.step import Deployment, step_bound, step_parts, step_time
from perfmodel.serving.timed import StepTime, TimedOperator
from perfmodel.workloads.library import load_model

Z80 = 1.2815515655446004


def _deployment(model: str = "llama-3.1-8b", device: str = "h100-sxm", **plan: int) -> Deployment:
    return prepare(load_model(model), load_device(device), Question(plan=Plan(**plan), static=True)).decode


def _row(op: Any, seconds: float, low: float, high: float, repeat: float = 1.0) -> TimedOperator:
    return TimedOperator(StepOperator("x", "ffn", op, repeat), Bound(0.0, 0.0, 0.0), seconds, low, high)


def test_bounds_add_up_by_resource() -> None:
    assert sum_bounds([(Bound(1.0, 2.0, 0.0), 2.0), (Bound(0.5, 0.0, 4.0), 1.0)]) == Bound(2.5, 4.0, 4.0)
    assert sum_bounds([]) == Bound(0.0, 0.0, 0.0)


def test_a_step_is_the_sum_of_its_operators() -> None:
    step = step_time(_deployment(tp=2), StepShape(decodes=32, decode_context=1000))
    assert step.time.expected == pytest.approx(sum(r.step.repeat * r.expected_s for r in step.operators))
    for name in ("compute_s", "memory_s", "link_s"):
        parts = sum(r.step.repeat * getattr(r.bound, name) for r in step.operators)
        assert getattr(step.bound_parts, name) == pytest.approx(parts)
    assert step.time.bound == step.bound_parts.time_s
    assert step.bound_parts.link_s > 0
    attention = [r for r in step.operators if isinstance(r.step.operator, AttentionDecode)]
    assert step.unshared_s >= sum(r.step.repeat * r.expected_s for r in attention)


def test_the_memory_bound_of_a_decode_step_by_hand() -> None:
    # one sequence at 1000 cached tokens: 7,504,658,432 weights and one row of the embedding, 16 bits; 1001 cache rows
    deployment = _deployment()
    parts = step_parts(deployment, StepShape(decodes=1, decode_context=1000))
    moved = 2 * (7_504_658_432 + 4096) + 1001 * 131_072
    assert parts.memory_s == pytest.approx(moved / 3.35e12, rel=1e-9)
    assert step_bound(deployment, StepShape(decodes=1, decode_context=1000)) == parts.memory_s


def test_one_class_keeps_its_spread() -> None:
    # errors of one class go together: two operators of spread 0.2 have 0.2
    low, high = combined_spread([_row(RmsNorm(1, 1), 1.0, 0.2, 0.3), _row(RmsNorm(1, 2), 2.0, 0.2, 0.3, repeat=3)])
    assert low == pytest.approx(math.exp(-Z80 * 0.2))
    assert high == pytest.approx(math.exp(Z80 * 0.3))


def test_two_classes_average_out_as_far_as_they_are_independent() -> None:
    # halves of spread s each: sigma^2 = rho*s^2 + (1 - rho)*2*(s/2)^2 = s^2*(1 + rho)/2
    rows = [_row(RmsNorm(1, 1), 1.0, 0.2, 0.2), _row(AttentionDecode(1, 1, 1, 1, 1), 1.0, 0.2, 0.2)]
    sigma = 0.2 * math.sqrt((1 + CROSS_CLASS_CORRELATION) / 2)
    assert combined_spread(rows) == pytest.approx((math.exp(-Z80 * sigma), math.exp(Z80 * sigma)))


def test_rows_add_up_to_the_step() -> None:
    deployment = _deployment(tp=4)
    step: StepTime = step_time(deployment, StepShape(decodes=32, decode_context=1000))
    rows = operator_rows("decode", step, deployment.machine)
    assert sum(r["share"] for r in rows) == pytest.approx(1.0)
    assert sum(r["expected_s"] for r in rows) == pytest.approx(step.time.expected)
    assert {r["bottleneck"] for r in rows} <= {"compute", "memory", "link"}
    assert {r["phase"] for r in rows} == {"decode"}
    reduce = next(r for r in rows if r["name"] == "ffn_all_reduce")
    # 32 layers, 2*(3/4) of 32 tokens' 16-bit hidden states
    assert reduce["link_bytes"] == 32 * 2 * 3 / 4 * 32 * 4096 * 2
    assert all(r["bound_s"] <= r["p10_s"] <= r["expected_s"] <= r["p90_s"] for r in rows)


def test_utilisation_by_hand() -> None:
    deployment = _deployment()
    step = step_time(deployment, StepShape(decodes=1, decode_context=1000))
    mfu, mbu = utilisation(step, 989.4e12)
    # matrix flops: 15,009,316,864 and attention 32*4*32*128*1000 = 524,288,000
    assert mfu == pytest.approx((15_009_316_864 + 524_288_000) / (step.time.expected * 989.4e12))
    assert mbu == pytest.approx(step.bound_parts.memory_s / step.time.expected)
    assert 0 < mfu < mbu <= 1
