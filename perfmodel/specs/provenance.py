"""Where numbers come from: the ``sources`` of a spec file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perfmodel.specs.schema import Block, Date, Flag, Table, Text

SOURCES_RULE = Table(
    Block({"title": Text(), "verified": Flag()}, {"url": Text(), "date": Date(), "note": Text()}, sourced=False),
    sourced=False,
    least=1,
)
"""``sources:`` of every spec file: id -> title, url, date, and whether the numbers were read there."""


@dataclass(frozen=True)
class Source:
    """One source: ``verified`` says that the numbers were read in it, not only remembered or derived."""

    id: str
    title: str
    url: str = ""
    date: str = ""
    verified: bool = False
    note: str = ""

    def citation(self) -> str:
        """Return one line: title, date and address."""
        return ", ".join(part for part in (self.title, self.date, self.url) if part)


def sources_of(values: Mapping[str, Mapping[str, Any]]) -> tuple[Source, ...]:
    """Return the sources of a validated file, in its order."""
    return tuple(Source(id=name, **fields) for name, fields in values.items())
