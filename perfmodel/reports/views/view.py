"""What a view is: a finding in words, figures, and the table of their data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Table:
    """A table of texts; the columns in ``texts`` (the first, unless told) are aligned left, the others right."""

    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    texts: frozenset[int] = frozenset({0})


class Key(NamedTuple):
    """One entry of a legend: a shape (circle, diamond, square, bar, frame), its colour (empty: the ink), what it is."""

    shape: str
    colour: str
    text: str


@dataclass(frozen=True)
class Plot:
    """One plotly figure as plain data: its element's id, a heading (or none), a spoken name, and its height.

    A ``zoomable`` one has buttons to zoom and to save it as an image.
    """

    div_id: str
    heading: str
    label: str
    height_px: int
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    legend: tuple[Key, ...] = ()
    zoomable: bool = False


@dataclass(frozen=True)
class Drawing:
    """A chart as SVG, for wide pages and for phones: its heading (or none), a spoken name, and its legend."""

    heading: str
    label: str
    wide: str
    narrow: str
    legend: tuple[Key, ...] = ()


@dataclass(frozen=True)
class View:
    """A section of a page: ``finding`` is one sentence from the data; without charts it says why there are none.

    ``drawings`` come below ``plots``: they need no script, and weigh kilobytes.
    """

    anchor: str
    title: str
    finding: str
    plots: list[Plot]
    table: Table
    caption: str = ""
    drawings: Sequence[Drawing] = ()
