"""The spreadsheet reading: a traced formula becomes formulas of cells that Excel and LibreOffice both compute.

Values used more than once, and what would make a formula long, get cells of their own; each candidate of a choice gets
one too, and the choice is the least of them. Formulas know cells by references that may name a column later, so that
one text serves many columns: :meth:`Line.in_column`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfmodel.readings.cell_text import Text, compose, constant
from perfmodel.readings.cell_values import Environment, free_indices
from perfmodel.readings.trace import Node
from perfmodel.readings.writer import reachable

COLUMN = "\x01"
"""What stands in a reference for the letters of a column that is not chosen yet."""

LONGEST_PART = 240
"""Longest text that stands inside another; of at most three parts a formula then has fewer than 1,000 characters."""

_WORTH_A_CELL = 30
_LEAVES = ("const", "input", "index")


@dataclass(frozen=True)
class Line:
    """One row of a sheet: a formula that holds in every column, what it is the value of, and a name for readers.

    ``environment`` are the numbers of a choice's candidate that the row shows beside its values.
    """

    sheet: str
    row: int
    title: str
    formula: str
    node: Node
    environment: Environment = ()

    def in_column(self, column: str, first_candidate: int) -> str:
        """Return the formula in a column; a row's candidate numbers stand from column ``first_candidate`` (0 is A) on.

        A reference to the line's own sheet does not name the sheet.
        """
        text = self.formula.replace(COLUMN, column)
        text = _INDEX.sub(lambda found: f"${column_letters(first_candidate + int(found[1]))}{self.row}", text)
        return re.sub(rf"\b{self.sheet}!", "", text)


_INDEX = re.compile("\x02(\\d+)\x02")


def column_letters(place: int) -> str:
    """Return the letters of a column: A for 0, AA for 26."""
    return (column_letters(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


class Lines:
    """Rows that hold a graph's values, on a sheet for values and a sheet for candidates.

    ``references`` gives cells that are there already (names of inputs, results on other sheets) by their nodes'
    serials; ``column`` the column of references to the rows made here. What does not ``vary`` (serials) is looked up
    in ``fixed``, which must have all of it; without ``vary`` everything is made here. ``stored`` are nodes that get
    rows even if used once.
    """

    def __init__(
        self, sheets: tuple[str, str], first_row: int, references: Mapping[int, str], column: str,
        fixed: Lines | None = None, vary: frozenset[int] | None = None, stored: frozenset[int] = frozenset(),
    ) -> None:  # fmt: skip
        self.sheets, self.column, self.fixed, self.vary, self.stored = sheets, column, fixed, vary, stored
        self.lines: list[Line] = []
        self._next = dict.fromkeys(sheets, first_row)
        self._cells = dict(references)
        self._texts: dict[int, Text] = {}
        self._definitions: dict[int, Text] = {}
        self._free: dict[int, frozenset[int]] = {}
        self._uses: dict[int, int] = {}

    def count(self, roots: Sequence[Node]) -> None:
        """Learn how often each value is used, before anything is added."""
        order = reachable(roots)
        free_indices(order, self._free)
        for node in order:
            for child in node.below:
                crosses = self._free[child.serial] != self._free[node.serial]
                self._uses[child.serial] = self._uses.get(child.serial, 0) + (2 if crosses else 1)

    def add(self, title: str, root: Node) -> None:
        """Make the rows that a value needs; ``title`` says what they are for."""
        for node in reachable((root,), self._texts):
            if not self._free[node.serial]:
                self._settle(title, node)

    def definition(self, node: Node) -> str:
        """Return the formula of an added value itself, even where a cell has it."""
        return self._definitions[node.serial].formula

    def reference(self, node: Node) -> str:
        """Return the text that stands for an added value: its cell, a constant, or a short formula."""
        return self.text(node).formula

    def text(self, node: Node) -> Text:
        """Return the text that stands for a value that depends on no index."""
        if node.serial not in self._texts and self.fixed is not None and not self._varies(node):
            return self.fixed.text(node)
        return self._texts[node.serial]

    def _varies(self, node: Node) -> bool:
        return self.vary is None or node.serial in self.vary

    def _settle(self, title: str, node: Node) -> None:
        if self.fixed is not None and not self._varies(node):
            self._texts[node.serial] = self.fixed.text(node)
            return
        found = self._choice(title, node, ()) if node.op == "best_of" else self._composed(node, {})
        self._definitions[node.serial] = found
        cell = self._cells.get(node.serial)
        if cell is None and self._deserves_a_cell(node, found):
            cell = self._cell(self._line(self.sheets[0], title, found, node, ()))
        self._texts[node.serial] = found if cell is None else Text(cell)

    def _deserves_a_cell(self, node: Node, text: Text) -> bool:
        if node.op in _LEAVES:
            return False
        shared = self._uses.get(node.serial, 0) > 1 and len(text.formula) > _WORTH_A_CELL
        return shared or node.serial in self.stored or len(text.formula) > LONGEST_PART

    def _line(self, sheet: str, title: str, text: Text, node: Node, environment: Environment) -> Line:
        line = Line(sheet, self._next[sheet], title, text.formula, node, environment)
        self._next[sheet] += 1
        self.lines.append(line)
        return line

    def _cell(self, line: Line) -> str:
        return f"{line.sheet}!{self.column}${line.row}"

    def _composed(self, node: Node, inside: Mapping[int, Text]) -> Text:
        if node.op == "const":
            return constant(node.args[0])
        if node.op == "input":
            return Text(self._cells[node.serial])
        return compose(node, [inside[c.serial] if c.serial in inside else self.text(c) for c in node.below])

    def _choice(self, title: str, choice: Node, outer: Environment, inside: Mapping[int, Text] | None = None) -> Text:
        """Make the rows of all candidates and return the cell of the least of them."""
        body, indices, candidates = choice.args
        places = {i.serial: Text(f"\x02{len(outer) + place}\x02") for place, i in enumerate(indices)}
        bodies: list[tuple[str, Text, Environment]] = []
        for candidate in candidates:
            said = " ".join(f"{i.args[0]}={value:g}" for i, value in zip(indices, candidate, strict=True))
            environment = (*outer, *((i.serial, value) for i, value in zip(indices, candidate, strict=True)))
            text = self._body(f"{title}, {said}", body, environment, {**(inside or {}), **places})
            bodies.append((f"{title}, {said}", text, environment))
        cells = [self._cell(self._line(self.sheets[1], said, text, body, where)) for said, text, where in bodies]
        least = Text(f"MIN({cells[0]}:{cells[-1].partition('!')[2]})")
        return Text(self._cell(self._line(self.sheets[1], f"{title}, least of these", least, choice, outer)))

    def _body(self, title: str, body: Node, environment: Environment, inside: dict[int, Text]) -> Text:
        """Return the text of a candidate, giving rows to what is long or used again in it."""
        for node in _dependent(body, self._free):
            if node.serial in inside:
                continue
            if node.op == "best_of":
                inside[node.serial] = self._choice(title, node, environment, inside)
                continue
            text = self._composed(node, inside)
            if node is not body and self._deserves_a_cell(node, text):
                text = Text(self._cell(self._line(self.sheets[1], f"{title}: part", text, node, environment)))
            inside[node.serial] = text
        return inside[body.serial] if body.serial in inside else self.text(body)


def _dependent(body: Node, free: Mapping[int, frozenset[int]]) -> list[Node]:
    """Return what depends on the indices of a body, each after what it needs, not going into choices inside it."""
    seen: set[int] = set()
    found: list[Node] = []
    stack = [(body, False)]
    while stack:
        node, done = stack.pop()
        if done:
            found.append(node)
        elif node.serial not in seen and free[node.serial]:
            seen.add(node.serial)
            stack.append((node, True))
            stack.extend((child, False) for child in node.below if node.op != "best_of")
    return found
