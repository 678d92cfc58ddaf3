"""Where each number of a live workbook stands: names, cells of phase sheets, helper rows, columns of a sweep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from perfmodel.numeric import Number
from perfmodel.readings.cell_values import Values, free_indices
from perfmodel.readings.cells import COLUMN, Line, Lines, column_letters
from perfmodel.readings.trace import Node
from perfmodel.readings.writer import reachable
from perfmodel.workbook.model import OPERATOR_CELLS, LiveModel, PhaseSheet

BATCHES = tuple(2**i for i in range(10))
"""Batches of the sweep: 1 to 512."""

FIRST_ROW = 4
"""First row of data on every sheet (counted from 1), below a title, what the sheet is, and the heading."""

WORDS = ("name", "part", "kind", "dtype", "behind", "repeat")
"""Columns of a phase sheet that are no formulas."""

HELPERS, SWEEP_HELPERS = ("working", "choices"), ("sweep_working", "sweep_choices")
_BATCH_ROW = 3


class CellPlan:
    """The references and formulas of a live model, and the values that cells show before anybody recalculates."""

    def __init__(self, model: LiveModel) -> None:
        self.model = model
        self.roots = model.roots
        order = reachable(self.roots)
        names = {node.serial: node.args[0] for node in order if node.op == "input"}
        varying = _above(order, "batch")
        batch = next((node for node in order if node.op == "input" and node.args[0] == "batch"), None)
        free: dict[int, frozenset[int]] = {}
        free_indices(order, free)
        below = (child for node in order if node.serial in varying for child in node.below)
        edge = frozenset(child.serial for child in below if child.serial not in varying and not free[child.serial])
        # what a sweep's columns share is computed once
        self.once = Lines(HELPERS, FIRST_ROW, names | self._places(), "$B", stored=edge)
        self.once.count(self.roots)
        for title, node in model.titled():
            self.once.add(title, node)
        of_batch = {} if batch is None else {batch.serial: f"{SWEEP_HELPERS[0]}!{COLUMN}${_BATCH_ROW}"}
        swept = {f"{metric.name} {name}".strip(): node for metric in model.metrics if metric.swept
                 for name, node in metric.cells.items()}  # fmt: skip
        self.swept = Lines(
            SWEEP_HELPERS, FIRST_ROW, of_batch, COLUMN, self.once, varying, frozenset(n.serial for n in swept.values())
        )
        self.swept.count(list(swept.values()))
        for title, node in swept.items():
            self.swept.add(title, node)

    def _places(self) -> dict[int, str]:
        """Return the cells of phase sheets by the nodes whose formulas stand there; the first of equals has it."""
        found: dict[int, str] = {}
        for phase in self.model.phases:
            for cell, node in phase_cells(phase):
                if node.op not in ("const", "input"):
                    letters, row = cell
                    found.setdefault(node.serial, f"{phase.name}!${letters}${row}")
        return found

    @cached_property
    def values(self) -> Values:
        """The values of all columns: of an array the first is of the batch asked for, then those of the sweep."""
        import numpy as np

        numbers: dict[str, Number] = {name: number.value for name, number in self.model.inputs.items()}
        numbers["batch"] = np.array([numbers["batch"], *BATCHES], dtype=float)
        with np.errstate(all="ignore"):
            found = Values(self.roots, numbers)
            for line in (*self.once.lines, *self.swept.lines):
                found.of(line.node, line.environment)
        return found

    def value(self, node: Node, column: int = 0, environment: Any = ()) -> float | bool | str:
        """Return a value in a column (0: as asked; then the sweep's), an error's name where it is none."""
        import numpy as np

        found = np.asarray(self.values.of(node, environment))
        one = found.item() if found.ndim == 0 else found[column].item()
        return one if np.isfinite(one) else "#NUM!"

    def formula_at(self, node: Node, sheet: str, letters: str, row: int) -> str:
        """Return the formula of a cell of a phase sheet: the node's own if this is its place, else a reference."""
        here = f"{sheet}!${letters}${row}"
        text = self.once.reference(node)
        text = self.once.definition(node) if text == here else text
        return re.sub(rf"\b{sheet}!", "", text)

    @cached_property
    def used_names(self) -> frozenset[str]:
        """The names that formulas hold."""
        lines: Iterable[Line] = (*self.once.lines, *self.swept.lines)
        texts = [line.formula for line in lines]
        texts += [self.once.reference(node) for node in self.roots]
        texts += [self.once.definition(node) for node in self.roots if node.op not in ("const", "input")]
        return frozenset(re.findall(r"[A-Za-z_]\w*", " ".join(texts)))


def phase_cells(phase: PhaseSheet) -> Iterable[tuple[tuple[str, int], Node]]:
    """Yield (letters and row of a cell, its node) of a phase's sheet: operators, then the step's own numbers."""
    for place, row in enumerate(phase.operators):
        for column, name in enumerate(OPERATOR_CELLS):
            yield (column_letters(len(WORDS) + column), FIRST_ROW + place), row.cells[name]
    for place, node in enumerate(phase.step.values()):
        yield ("B", step_row(phase, place)), node


def step_row(phase: PhaseSheet, place: int) -> int:
    """Return the row of one of the step's own numbers."""
    return FIRST_ROW + len(phase.operators) + 2 + place


def _above(order: Iterable[Node], name: str) -> frozenset[int]:
    """Return the serials of all nodes that depend on an input."""
    found: set[int] = set()
    for node in order:
        if (node.op == "input" and node.args[0] == name) or any(c.serial in found for c in node.below):
            found.add(node.serial)
    return frozenset(found)


def sweep_formula(plan: CellPlan, node: Node, column: int) -> str:
    """Return the formula that shows a swept number of one batch (0 is the first) on a sheet of its own."""
    return plan.swept.reference(node).replace(COLUMN, column_letters(1 + column))


def batch_cells() -> Mapping[int, str]:
    """Return the cell of each batch that the sweep's columns hold."""
    return {column: f"{SWEEP_HELPERS[0]}!{column_letters(1 + column)}${_BATCH_ROW}" for column in range(len(BATCHES))}
