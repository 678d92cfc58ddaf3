"""A workbook recalculated in Python: the few functions that the formulas use, on the file as it was written."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from typing import Any

_REFERENCE = re.compile(r"(?<![\w.])(?:(\w+)!)?\$?([A-Z]{1,3})\$?(\d+)(?::\$?([A-Z]{1,3})\$?(\d+))?(?![\w(])")
_NAME = re.compile(r"(?<![\w.\"])[a-z_]\w*")


class Recalculated:
    """The values of a workbook's cells, its named cells set to other numbers."""

    def __init__(self, data: bytes, changes: Mapping[str, float]) -> None:
        import openpyxl

        self.book = openpyxl.load_workbook(io.BytesIO(data))
        self._known: dict[tuple[str, str], Any] = {}
        self._names: dict[str, tuple[str, str]] = {}
        for name, defined in self.book.defined_names.items():
            sheet, _, cell = defined.attr_text.partition("!")
            self._names[name] = sheet, cell.replace("$", "")
        for name, value in changes.items():
            self._known[self._names[name]] = value

    def cell(self, sheet: str, cell: str) -> Any:
        """Return the value of a cell; an error of arithmetic is not a number."""
        key = sheet, cell
        if key not in self._known:
            raw = self.book[sheet][cell].value
            is_formula = isinstance(raw, str) and raw.startswith("=")
            self._known[key] = self._evaluated(raw[1:], sheet) if is_formula else raw
        return self._known[key]

    def rows(self, sheet: str, first: int = 4) -> list[dict[str, Any]]:
        """Return the rows below the heading, up to the first one without a name."""
        from openpyxl.utils import get_column_letter

        cells: list[Any] = list(self.book[sheet][first - 1])
        heading = {str(get_column_letter(c.column)): str(c.value) for c in cells if c.value}
        found: list[dict[str, Any]] = []
        row = first
        while self.book[sheet][f"A{row}"].value not in (None, ""):
            found.append({name: self.cell(sheet, f"{letters}{row}") for letters, name in heading.items()})
            row += 1
        return found

    def _evaluated(self, formula: str, sheet: str) -> Any:
        def reference(found: re.Match[str]) -> str:
            where = found[1] or sheet
            if found[4]:
                assert found[2] == found[4]
                cells = (f"'{found[2]}{row}'" for row in range(int(found[3]), int(found[5]) + 1))
                return "[" + ", ".join(f"CELL('{where}', {cell})" for cell in cells) + "]"
            return f"CELL('{where}', '{found[2]}{found[3]}')"

        text = _NAME.sub(lambda found: f"NAME({found[0]!r})", formula)
        text = re.sub(r"NAME\('(\w+)'\)!", r"\1!", text)
        text = _REFERENCE.sub(reference, text)
        scope = {**_FUNCTIONS, "CELL": self.cell, "NAME": lambda name: self.cell(*self._names[name])}
        try:
            return eval(text, scope)  # formulas that the package has written
        except ZeroDivisionError:
            return math.nan


def _flat(values: tuple[Any, ...]) -> list[Any]:
    return [x for value in values for x in (value if isinstance(value, list) else [value])]


_FUNCTIONS: dict[str, Any] = {
    "MAX": lambda *a: max(_flat(a)), "MIN": lambda *a: min(_flat(a)), "SUM": lambda *a: sum(_flat(a)),
    "IF": lambda c, a, b: a if c else b, "AND": lambda *a: all(a), "POWER": lambda a, b: a**b, "SQRT": math.sqrt,
    "EXP": math.exp, "LN": math.log, "INT": math.floor,
}  # fmt: skip
