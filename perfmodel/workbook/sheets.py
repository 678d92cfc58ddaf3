"""Sheets of a live workbook and the kinds of their cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.files import defused
from perfmodel.workbook.cells import FIRST_ROW, HELPERS, SWEEP_HELPERS, CellPlan
from perfmodel.workbook.model import LiveModel

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

_ABOUT = {
    "summary": "Every number is a formula over the sheet 'inputs': change an input there and all of it follows.",
    "inputs": "Change the yellow cells. Each has a name (as in the first column) that formulas use.",
    "sweep": "The same formulas for each batch: change a batch here (yellow), all other inputs on the sheet 'inputs'.",
    "working": "Intermediate values of the phases and the summary, computed once.",
    "choices": "Tiles, splits and other choices that a library makes: a row for each candidate, the least is taken.",
    "sweep_working": "As 'working', a column for each batch of the sweep.",
    "sweep_choices": "As 'choices', a column for each batch of the sweep.",
}


class Sheets:
    """The sheets of a live workbook, each with its title and what it is; writes cells of every kind."""

    def __init__(self, book: Workbook, model: LiveModel, plan: CellPlan) -> None:
        self.book, self.model, self.plan = book, model, plan
        self.bold, self.grey = book.add_format({"bold": True}), book.add_format({"font_color": "#666666"})
        self.input = book.add_format({"bg_color": "#FFF8C5", "font_color": "#0A3069", "border": 1})
        self.number, self.percent = book.add_format({"num_format": "0.0000E+00"}), book.add_format({"num_format": "0%"})
        self.plain = book.add_format({"num_format": "[<1]0.000000;[<1000]#,##0.000;#,##0"})
        self.truth = book.add_format({"bold": True, "align": "right"})
        self.quoted = book.add_format({"quote_prefix": True})
        names = ("summary", "inputs", *(phase.name for phase in model.phases), "sweep", *HELPERS, *SWEEP_HELPERS)
        self.sheets: dict[str, Worksheet] = {name: book.add_worksheet(name) for name in names}
        about = {phase.name: f"The operators of the {phase.what}, and its own numbers." for phase in model.phases}
        for name, sheet in self.sheets.items():
            sheet.write_string(0, 0, name, self.bold)
            sheet.write_string(1, 0, _ABOUT.get(name) or about[name], self.grey)
            sheet.freeze_panes(FIRST_ROW - 1, 1)

    def heading(self, sheet: Worksheet, words: Sequence[str], widths: Sequence[int]) -> None:
        """Write a sheet's heading; further columns are as wide as the last width."""
        for column, word in enumerate(words):
            sheet.write_string(FIRST_ROW - 2, column, word, self.bold)
            sheet.set_column(column, column, widths[min(column, len(widths) - 1)])

    def text(self, sheet: Worksheet, row: int, column: int, text: object, form: Format | None = None) -> None:
        """Write a text that stays one, also when somebody edits the cell."""
        said = "" if text is None else str(text)
        sheet.write_string(row, column, said, self.quoted if defused(said) != said else form)

    def formula(self, sheet: Worksheet, row: int, column: int, text: str, value: Any, form: Format) -> None:
        """Write a formula with its value, or the number itself where the formula is one; rows count from 0 here."""
        try:
            sheet.write_number(row, column, float(text.strip("()")), form)
        except ValueError:
            sheet.write_formula(row, column, f"={text}", form, value)

    def form(self, value: float | bool | str) -> Format:
        """Return the format of an answer."""
        return self.truth if isinstance(value, bool) else self.plain
