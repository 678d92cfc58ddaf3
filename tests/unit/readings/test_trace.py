"""Tracing: what becomes a node, what is folded, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.numeric import best_of, ceil, maximum, minimum, where
from perfmodel.readings.trace import Graph, Node


def _xy() -> tuple[Graph, Node, Node]:
    graph = Graph()
    return graph, graph.input("x"), graph.input("y")


def test_an_if_on_a_node_is_an_error() -> None:
    _, x, y = _xy()
    with pytest.raises(TypeError, match=r"branched on a traced value: use perfmodel\.numeric\.where"):
        _ = x if x > y else y
    with pytest.raises(TypeError, match="branched"):
        max(x, y)
    with pytest.raises(TypeError, match="branched"):
        _ = x and y


@pytest.mark.parametrize("conversion", [float, int, round])
def test_a_node_is_no_plain_number(conversion: Any) -> None:
    _, x, _ = _xy()
    with pytest.raises(TypeError):
        conversion(x)


def test_equal_subexpressions_are_one_node() -> None:
    _, x, y = _xy()
    assert (x + y) * 2 is (x + y) * 2.0
    assert (x + y) is not (y + x)
    assert maximum(x, y) is maximum(x, y)


@pytest.mark.parametrize(
    ("f", "value"),
    [
        (lambda c: c(2) + c(3), 5.0),
        (lambda c: c(2) - c(3), -1.0),
        (lambda c: c(2) * c(3), 6.0),
        (lambda c: c(3) / c(2), 1.5),
        (lambda c: c(2) ** c(3), 8.0),
        (lambda c: -c(2), -2.0),
        (lambda c: maximum(c(2), c(3)), 3.0),
        (lambda c: minimum(c(2), c(3)), 2.0),
        (lambda c: c(2) < c(3), 1.0),
        (lambda c: c(2) >= c(3), 0.0),
    ],
)
def test_constants_are_folded(f: Any, value: float) -> None:
    node = f(Graph().lift)
    assert node.op == "const"
    assert node.args == (value,)


def test_a_division_by_zero_is_left_to_the_evaluation() -> None:
    graph = Graph()
    assert (graph.lift(1.0) / graph.lift(0.0)).op == "div"


def test_neutral_elements_vanish() -> None:
    _, x, _ = _xy()
    assert x * 1 is x
    assert 1 * x is x
    assert x + 0 is x
    assert 0 + x is x
    assert x - 0 is x
    assert x / 1 is x
    assert x**1 is x
    assert maximum(x, x) is x
    assert (0 - x).op == "sub", "but not this one"


def test_a_constant_condition_takes_its_branch() -> None:
    graph, x, y = _xy()
    assert where(graph.lift(1.0), x, y) is x
    assert where(graph.lift(2.0) < 1.0, x, y) is y
    assert where(True, x, y) is x


def test_a_choice_of_one_is_no_choice() -> None:
    _, x, _ = _xy()
    assert best_of([(3.0,)], lambda a: a * x, x) is x * 3.0 or best_of([(3.0,)], lambda a: a * x, x) is 3.0 * x


def test_a_choice_keeps_its_body_once() -> None:
    _, x, _ = _xy()
    node = best_of([(1.0, 2.0), (3.0, 4.0)], lambda a, b: ceil(x / a) * b, x)
    assert node.op == "best_of"
    body, indices, candidates = node.args
    assert body.op == "mul"
    assert [i.args[0] for i in indices] == ["a", "b"]
    assert candidates == ((1.0, 2.0), (3.0, 4.0))


def test_two_choices_have_indices_of_their_own() -> None:
    _, x, _ = _xy()

    def choice() -> Any:
        return best_of([(1.0,), (2.0,)], lambda a: a * x, x)

    assert choice() is not choice()


def test_a_choice_that_does_not_name_what_it_captures_is_an_error() -> None:
    _, x, y = _xy()
    with pytest.raises(TypeError, match="branched"):
        best_of([(1.0,), (2.0,)], lambda a: a * x + y)
