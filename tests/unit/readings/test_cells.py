from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.numeric import best_of, ceil, exp, floor, log, maximum, minimum, sqrt, where
from perfmodel.readings.cell_values import Values
from perfmodel.readings.cells import COLUMN, Lines, column_letters
from perfmodel.readings.trace import Graph, Node

_FUNCTIONS: dict[str, Any] = {
    "MAX": max, "MIN": min, "IF": lambda c, a, b: a if c else b, "POWER": pow, "SQRT": math.sqrt, "EXP": math.exp,
    "LN": math.log, "INT": math.floor,
}  # fmt: skip


class Sheet:
    """One column of rows, evaluated from their text alone."""

    def __init__(self, f: Callable[..., Any], names: tuple[str, ...]) -> None:
        graph = Graph()
        inputs = [graph.input(name) for name in names]
        self.root: Node = graph.lift(f(*inputs))
        references = {node.serial: name for node, name in zip(inputs, names, strict=True)}
        self.lines = Lines(("values", "tries"), 1, references, "$B")
        self.lines.count([self.root])
        self.lines.add("answer", self.root)

    def __call__(self, **numbers: float) -> float:
        cells: dict[str, float] = {}
        scope = {**_FUNCTIONS, **numbers, "CELL": cells.__getitem__}
        for line in self.lines.lines:
            shown = [value for _, value in line.environment]
            cells |= {f"{line.sheet}!{column_letters(2 + i)}{line.row}": value for i, value in enumerate(shown)}
            cells[f"{line.sheet}!B{line.row}"] = eval(_python(line.in_column("B", 2), line.sheet), scope)
        return eval(_python(self.lines.reference(self.root), "values"), scope)


def _python(text: str, sheet: str) -> str:
    def range_of(found: re.Match[str]) -> str:
        where = found[1] or f"{sheet}!"
        rows = range(int(found[2]), int(found[3]) + 1)
        return ",".join(f"{where}$B${row}" for row in rows)

    text = re.sub(r"(values!|tries!)?\$B\$(\d+):\$B\$(\d+)", range_of, text)
    return re.sub(
        r"(values!|tries!)?\$?\b([A-Z]+)\$?(\d+)\b",
        lambda found: f"CELL('{found[1] or f'{sheet}!'}{found[2]}{found[3]}')", text,
    )  # fmt: skip


def _everything(a: Any, b: Any) -> Any:
    tile = best_of(((16.0, 1.0), (64.0, 2.0)), lambda size, cost: ceil(a / size) * cost + exp(-size / b), a, b)
    return (
        where(a > b, sqrt(a) - b / 7, log(a + 1.0) * 3.0) + maximum(minimum(a, 10.0), b, 2.0) ** 2
        + floor(a / b) - (a - (b - 1.0)) + tile
    )  # fmt: skip


@settings(max_examples=25)
@given(st.floats(0.5, 1e6), st.floats(0.5, 1e6))
def test_every_operation_is_as_in_python(a: float, b: float) -> None:
    assert Sheet(_everything, ("a", "b"))(a=a, b=b) == pytest.approx(_everything(a, b), rel=1e-12, abs=1e-9)


def test_a_choice_inside_a_choice() -> None:
    def f(x: Any) -> Any:
        def outer(m: Any) -> Any:
            within = best_of(((1.0,), (3.0,)), lambda n: (x - m * n) * (x - m * n) + m, x)
            return within + m * 0.25 + sqrt(m) * sqrt(m)

        return best_of(((2.0,), (5.0,), (7.0,)), outer, x)

    sheet = Sheet(f, ("x",))
    for x in (1.0, 5.5, 8.0, 20.0):
        assert sheet(x=x) == pytest.approx(f(x))
    assert [line.sheet for line in sheet.lines.lines].count("tries") >= 3 * 3 + 4


@pytest.mark.parametrize("x", [-2.5, -0.5, 0.0, 0.5, 3.0])
def test_ceil_goes_up_on_both_sides_of_zero(x: float) -> None:
    assert Sheet(ceil, ("x",))(x=x) == math.ceil(x)


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda a, b: a / 128 + b * 0, "a/128"),
        (lambda a, b: maximum(a, b, 3.0), "MAX(a,b,3)"),
        (lambda a, b: (a - b) - (a + b), "a-b-(a+b)"),
        (lambda a, b: a * (b + 1.0) / (a * b), "a*(b+1)/(a*b)"),
        (lambda a, b: where(a <= b, -a, b**2), "IF(a<=b,(-a),POWER(b,2))"),
    ],
)
def test_text_is_short_and_reads_well(f: Callable[..., Any], text: str) -> None:
    sheet = Sheet(f, ("a", "b"))
    assert sheet.lines.lines == []
    assert sheet.lines.reference(sheet.root) == text


def test_long_formulas_are_taken_apart() -> None:
    def f(x: Any) -> Any:
        found = x
        for i in range(200):
            found = found + maximum(x - float(i), 0.5) * (i + 0.25)
        return found

    sheet = Sheet(f, ("x",))
    assert max(len(line.formula) for line in sheet.lines.lines) < 1000
    assert sheet(x=17.5) == pytest.approx(f(17.5))


def test_columns_share_one_text_and_what_does_not_vary() -> None:
    graph = Graph()
    batch, rate = graph.input("batch"), graph.input("rate")
    shared = sqrt(rate * 3.0 + 1.0)
    root = graph.lift(maximum(batch * shared, batch + shared))
    names = {batch.serial: "batch", rate.serial: "rate"}
    once = Lines(("values", "tries"), 1, names, "$B", stored=frozenset({shared.serial}))
    varying = frozenset(n.serial for n in (batch, root, *root.below))
    swept = Lines(("many", "many_tries"), 1, {batch.serial: f"many!{COLUMN}$9"}, COLUMN, once, varying,
                  frozenset({root.serial}))  # fmt: skip
    for lines in (once, swept):
        lines.count([root])
        lines.add("answer", root)
    assert swept.lines[-1].in_column("D", 9) == "MAX(D$9*values!$B$1,D$9+values!$B$1)"
    assert swept.reference(root) == f"many!{COLUMN}$1"


def test_values_of_many_columns_at_once() -> None:
    np = pytest.importorskip("numpy")
    graph = Graph()
    root = graph.lift(_everything(graph.input("a"), graph.input("b")))
    found = Values([root], {"a": np.array([3.0, 400.0]), "b": 17.0}).of(root)
    assert found == pytest.approx([_everything(3.0, 17.0), _everything(400.0, 17.0)])
