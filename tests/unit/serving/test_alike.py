"""Rows of plans that are the same to an operator: computed once, and the same numbers as computed one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from perfmodel.cost.machine import machine_for
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.formats import find_format
from perfmodel.ops import Linear, Operator
from perfmodel.serving.alike import alike_of

KEYS = ["a", "b", "a", "b", "c", "a"]
MACHINE = machine_for(load_device("h100-sxm"))


def product(rows: list[float]) -> Linear:
    """Return a product of ``rows`` tokens and 1 to 3 times as many."""
    tokens = np.array([rows]).T * np.array([[1.0, 2.0, 3.0]])
    return Linear(tokens, 4096.0, 1024.0, find_format("bfloat16"))


def computed(op: Operator) -> tuple[Any, int]:
    """Return the cost of an operator over classes of rows, and how many rows were computed."""
    seen: list[int] = []
    alike = alike_of(KEYS)
    assert alike is not None

    def cost(one: Operator) -> Any:
        assert isinstance(one, Linear)
        seen.append(len(one.m))
        return operator_cost(one, MACHINE)

    return alike.over(op, cost), seen[0]


def test_rows_of_a_class_are_computed_once() -> None:
    op = product([16.0, 300.0, 16.0, 300.0, 7.0, 16.0])
    found, rows = computed(op)
    plain = operator_cost(op, MACHINE)
    assert rows == 3
    assert np.array_equal(found.expected_s, plain.expected_s)
    assert np.array_equal(found.bound.memory_s, plain.bound.memory_s)
    assert found.spread_low == plain.spread_low


def test_rows_that_differ_within_a_class_are_all_computed() -> None:
    op = product([16.0, 300.0, 16.0, 300.0, 7.0, 17.0])
    found, rows = computed(op)
    assert rows == 6
    assert np.array_equal(found.expected_s, operator_cost(op, MACHINE).expected_s)


def test_rows_without_classes() -> None:
    assert alike_of(["a", "b", "c"]) is None
