"""What a page of the gallery is: a question, numbers that are asked for, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.reports.text import plain
from perfmodel.reports.views.view import Drawing, Table, View

Rows = Sequence[Mapping[str, Any]]
"""Numbers as plain rows: a test gives others, and the words must turn round with them."""


@dataclass(frozen=True)
class Told:
    """What the numbers say: ``finding`` in a sentence or two, views, what was assumed, and commands that ask again."""

    finding: str
    views: Sequence[View]
    assumed: Sequence[str]
    commands: Sequence[str]


@dataclass(frozen=True)
class Story:
    """A page: ``name`` is its file, ``title`` the question; ``ask`` computes rows, ``tell`` turns rows into words."""

    name: str
    title: str
    ask: Callable[[], Rows]
    tell: Callable[[Rows], Told]


def view(anchor: str, title: str, finding: str, drawing: Drawing, headers: Sequence[str], rows: Sequence[Sequence[str]],
         texts: Sequence[int] = (0,), caption: str = "") -> View:  # fmt: skip
    """Return a section with one drawing and its data."""
    cells = [tuple(row) for row in rows]
    return View(anchor, title, finding, [], Table(tuple(headers), cells, frozenset(texts)), caption, (drawing,))


def times(ratio: float) -> str:
    """Return a ratio as ``"1.2 times"``."""
    return f"{plain(round(ratio, 2 if ratio < 10 else 0))} times"


def more(ratio: float) -> str:
    """Return how much more a ratio is: ``"12 % more"``, ``"8 % less"``, ``"as much"``."""
    change = 100.0 * (ratio - 1.0)
    return "as much" if abs(change) < 0.5 else f"{abs(change):.0f} % {'more' if change > 0 else 'less'}"


def grows(ratio: float) -> str:
    """Return what a ratio of two times says: ``"stays as it is"``, ``"becomes 3.2 times as long"``."""
    return "stays as it is" if abs(ratio - 1.0) < 0.02 else f"becomes {times(ratio)} as long"


def power_of_two(value: float) -> str:
    """Return a number of tokens as people say it: ``"128k"``, ``"1M"``."""
    for size, letter in ((2**20, "M"), (2**10, "k")):
        if value >= size and value % size == 0:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
