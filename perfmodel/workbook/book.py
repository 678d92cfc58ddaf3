"""The live workbook as a file: a summary, its inputs, a sheet for each phase, a sweep, and the helper sheets."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfmodel.api import Estimate
from perfmodel.network_api import NetworkEstimate
from perfmodel.readings.cells import Lines, column_letters
from perfmodel.readings.trace import Node
from perfmodel.workbook import charts
from perfmodel.workbook.cells import (
    BATCHES,
    FIRST_ROW,
    HELPERS,
    SWEEP_HELPERS,
    WORDS,
    CellPlan,
    batch_cells,
    phase_cells,
    step_row,
    sweep_formula,
)
from perfmodel.workbook.model import BANDS, OPERATOR_CELLS, LiveModel, PhaseSheet, live_model
from perfmodel.workbook.network import live_network_model
from perfmodel.workbook.numbers import REQUEST
from perfmodel.workbook.sheets import Sheets

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

_CREATED = datetime(2000, 1, 1, tzinfo=UTC)
_OPTIONS = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_DERIVED = ("share", "bound_over_expected", "bottleneck")


def model_of(estimate: Estimate | NetworkEstimate) -> LiveModel:
    """Return the graph of an estimate; TypeError where a formula can only be computed, not traced."""
    return live_network_model(estimate) if isinstance(estimate, NetworkEstimate) else live_model(estimate)


def live_workbook(estimate: Estimate | NetworkEstimate, model: LiveModel | None = None) -> bytes:
    """Return the workbook of an estimate; the same estimate gives the same bytes.

    Raises TypeError where a formula can only be computed, not traced (:func:`model_of`).
    """
    from xlsxwriter import Workbook

    model = model or model_of(estimate)
    plan, buffer = CellPlan(model), io.BytesIO()
    with Workbook(buffer, _OPTIONS) as book:
        book.set_properties({"created": _CREATED, "title": "perfmodel estimate, live"})
        _Book(book, model, plan).write(estimate.report())
    return buffer.getvalue()


class _Book(Sheets):
    """Writes the sheets of one workbook."""

    def write(self, report: dict[str, Any]) -> None:
        """Write everything."""
        self._inputs(report)
        for phase in self.model.phases:
            self._phase(phase)
        self._helpers(self.plan.once, HELPERS, [0])
        self._helpers(self.plan.swept, SWEEP_HELPERS, list(range(1, len(BATCHES) + 1)))
        self._sweep()
        self._summary(report)

    def _inputs(self, report: dict[str, Any]) -> None:
        sheet, used = self.sheets["inputs"], self.plan.used_names
        self.heading(sheet, ("name", "value", "unit", "meaning", "source"), (48, 22, 12, 70, 90))
        row, group = FIRST_ROW - 1, ""
        for number in self.model.inputs.values():
            if number.name not in used and number.name not in REQUEST:
                continue
            if number.group != group:
                group = number.group
                sheet.write_string(row, 0, group, self.bold)
                row += 1
            sheet.write_string(row, 0, number.name)
            sheet.write_number(row, 1, number.value, self.input)
            for column, text in enumerate((number.unit, number.meaning, number.source)):
                self.text(sheet, row, 2 + column, text)
            if number.name in REQUEST:
                sheet.data_validation(row, 1, row, 1, {"validate": "integer", "criteria": ">=", "value": 1})
            self.book.define_name(number.name, f"=inputs!$B${row + 1}")
            row += 1
        self._fixed(sheet, row + 1, report)

    def _fixed(self, sheet: Worksheet, row: int, report: dict[str, Any]) -> None:
        """Write what the formulas' shape depends on: a change of it needs another workbook."""
        sheet.write_string(row, 0, "fixed: to change these, ask for another workbook", self.bold)
        fixed = {name: value for name, value in report["inputs"].items() if name not in REQUEST}
        fixed |= self.model.settings
        for place, (name, value) in enumerate(fixed.items(), row + 1):
            self.text(sheet, place, 0, name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                sheet.write_number(place, 1, float(value))
            else:
                self.text(sheet, place, 1, value)

    def _phase(self, phase: PhaseSheet) -> None:
        sheet = self.sheets[phase.name]
        self.heading(sheet, (*WORDS, *OPERATOR_CELLS, *_DERIVED), (26, 12, 18, 12, 10, 10, 14))
        for place, row in enumerate(phase.operators):
            at = FIRST_ROW - 1 + place
            for column, word in enumerate((row.name, row.part, row.kind, row.dtype, row.behind)):
                self.text(sheet, at, column, word)
            sheet.write_number(at, len(WORDS) - 1, row.repeat)
            self._derived(sheet, phase, at)
        sheet.write_string(step_row(phase, 0) - 2, 0, f"the {phase.what}"[:200], self.bold)
        for place, name in enumerate(phase.step):
            sheet.write_string(step_row(phase, place) - 1, 0, name)
        for (letters, row), node in phase_cells(phase):
            text = self.plan.formula_at(node, phase.name, letters, row)
            column = _place(letters)
            self.formula(sheet, row - 1, column, text, self.plan.value(node), self.number)
        charts.add_operators(self.book, sheet, phase)

    def _derived(self, sheet: Worksheet, phase: PhaseSheet, at: int) -> None:
        """Write what follows from the cells of an operator's row."""
        operator = phase.operators[at - FIRST_ROW + 1]
        cell = {name: f"{column_letters(len(WORDS) + i)}{at + 1}" for i, name in enumerate(OPERATOR_CELLS)}
        letters = cell["expected_s"].rstrip("0123456789")
        rows = f"{letters}${FIRST_ROW}:{letters}${FIRST_ROW + len(phase.operators) - 1}"
        value = {name: self._known(node) for name, node in operator.cells.items()}
        total = sum(self._known(row.cells["expected_s"]) for row in phase.operators)
        first = len(WORDS) + len(OPERATOR_CELLS)
        expected = value["expected_s"]
        share, reach = (expected / total if total else 0.0), (value["bound_s"] / expected if expected else 0.0)
        self.formula(sheet, at, first, f"IF(SUM({rows})>0,{cell['expected_s']}/SUM({rows}),0)", share, self.percent)
        text = f"IF({cell['expected_s']}>0,{cell['bound_s']}/{cell['expected_s']},0)"
        self.formula(sheet, at, first + 1, text, reach, self.percent)
        parts = [cell["compute_s"], cell["memory_s"], cell["link_s"]]
        if "memory_main_bandwidth" in self.plan.used_names:
            # activations may stay in a cache, which the bound grants, but their bytes are what limits
            parts[1] = f"MAX({parts[1]},{cell['bytes']}/memory_main_bandwidth)"
        rest = f'IF({parts[1]}>={parts[2]},"memory","link")'
        told = f'IF(AND({parts[0]}>={parts[1]},{parts[0]}>={parts[2]}),"compute",{rest})'
        sheet.write_formula(at, first + 2, f"={told}", None, self._bottleneck(value))

    def _known(self, node: Node) -> float:
        """Return a value as asked; zero for one that is none."""
        found = self.plan.value(node)
        return 0.0 if isinstance(found, str) else float(found)

    def _bottleneck(self, value: Mapping[str, float]) -> Any:
        bandwidth = self.model.inputs.get("memory_main_bandwidth")
        traffic = value["bytes"] / bandwidth.value if bandwidth else 0.0
        parts = {"compute": value["compute_s"], "memory": max(value["memory_s"], traffic), "link": value["link_s"]}
        return max(parts, key=lambda name: parts[name])

    def _helpers(self, lines: Lines, sheets: Sequence[str], columns: Sequence[int]) -> None:
        """Write helper rows: what they are for, a value for each column, and the numbers of a candidate."""
        first = 1 + len(columns)
        swept = columns != [0]
        words = [f"batch {BATCHES[c - 1]}" if swept else "value" for c in columns]
        if swept:
            self._batches()
        for name in sheets:
            if not (swept and name == SWEEP_HELPERS[0]):
                self.heading(self.sheets[name], ["for", *words, "candidate"], (60, 16))
        for line in lines.lines:
            sheet = self.sheets[line.sheet]
            sheet.write_string(line.row - 1, 0, line.title)
            for place, column in enumerate(columns):
                text = line.in_column(column_letters(1 + place), first)
                value = self.plan.value(line.node, column, line.environment)
                self.formula(sheet, line.row - 1, 1 + place, text, value, self.number)
            for place, (_, value) in enumerate(line.environment):
                sheet.write_number(line.row - 1, first + place, value)

    def _batches(self) -> None:
        """Write the batches of the sweep's columns, which stand on its sheet."""
        sheet = self.sheets[SWEEP_HELPERS[0]]
        sheet.set_column(0, 0, 60)
        sheet.set_column(1, len(BATCHES), 16)
        sheet.write_string(FIRST_ROW - 2, 0, "batch", self.bold)
        for column in batch_cells():
            sheet.write_formula(
                FIRST_ROW - 2, 1 + column, f"=sweep!$A${FIRST_ROW + column}", self.bold, BATCHES[column]
            )

    def _sweep(self) -> None:
        sheet = self.sheets["sweep"]
        shown: list[tuple[str, Node]] = [
            (f"{metric.name} {name}".strip(), node)
            for metric in self.model.metrics
            if metric.swept
            for name, node in metric.cells.items()
        ]
        self.heading(sheet, ("batch", *(name for name, _ in shown)), (10, 20))
        for column, batch in enumerate(BATCHES):
            at = FIRST_ROW - 1 + column
            sheet.write_number(at, 0, batch, self.input)
            for place, (_, node) in enumerate(shown, 1):
                text, value = sweep_formula(self.plan, node, column), self.plan.value(node, 1 + column)
                self.formula(sheet, at, place, text, value, self.form(value))
        charts.add_sweep(self.book, sheet, [name for name, _ in shown])

    def _summary(self, report: dict[str, Any]) -> None:
        sheet = self.sheets["summary"]
        self.heading(sheet, ("answer", "unit", *BANDS), (40, 10, 18))
        for place, metric in enumerate(self.model.metrics):
            at = FIRST_ROW - 1 + place
            sheet.write_string(at, 0, metric.name)
            sheet.write_string(at, 1, metric.unit)
            for column, node in enumerate(metric.cells.values()):
                text, value = self.plan.once.reference(node), self.plan.value(node)
                self.formula(sheet, at, 2 + column, text, value, self.form(value))
        row = FIRST_ROW + len(self.model.metrics)
        hashes = {f"spec_hashes.{key}": value for key, value in (report.get("spec_hashes") or {}).items()}
        told = {key: report["inputs"][key] for key in ("model", "device")} | {
            key: report[key] for key in ("bottleneck", "schema", "version")
        }
        lines = [*told.items(), *hashes.items(), *(("note", note) for note in report.get("notes") or ())]
        for place, (key, value) in enumerate(lines, row):
            self.text(sheet, place, 0, f"{key} (as asked)" if key == "bottleneck" else key)
            self.text(sheet, place, 2, value)


def _place(letters: str) -> int:
    """Return the number of a column, 0 for A."""
    found = 0
    for letter in letters:
        found = found * 26 + ord(letter) - ord("A") + 1
    return found - 1
