"""The rules of a reproduction's file that other spec files do not need."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from perfmodel.specs.provenance import SOURCES_RULE
from perfmodel.specs.schema import Block, Either, Listing, Reading, Real, Table, Text, describe
from perfmodel.specs.yaml_strict import Node

REFERENCE = "$"
"""What an argument that is the value of an input starts with."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Value(NamedTuple):
    """An input: its value, a note, and the id of its source."""

    value: Any
    note: str
    source: str


class Given:
    """An input: a number, text, flag or list of them, or ``{value:, source:, note:}``; its source is recorded."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        note = ""
        if node.mapping is not None:
            for key, value in node.mapping.items():
                if key not in ("value", "source", "note"):
                    reading.fault(value, f"{path}.{key}", f"unknown key '{key}'; known here: value, source, note")
            if "value" not in node.mapping:
                return reading.fault(node, path, "must be a value, or a mapping with 'value'")
            note = str(node.mapping["note"].value) if "note" in node.mapping else ""
            if "source" in node.mapping:
                source = str(node.mapping["source"].value)
                if source not in reading.source_ids:
                    return reading.fault(node, path, f"'{source}' is not an id under 'sources'")
            node = node.mapping["value"]
        if node.value is None or node.mapping is not None:
            return reading.fault(node, path, f"must be a number, a text or a list, not {describe(node)}")
        reading.cite(node, path, source)
        return Value(node.plain(), note, source or "")


class Arguments:
    """The arguments of a part: texts and flags; a number must be an input (``$name``), for a number has a source."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        if node.mapping is None or "kind" not in node.mapping:
            return reading.fault(node, path, f"must be a mapping with 'kind', not {describe(node)}")
        found: dict[str, Any] = {}
        for key, value in node.mapping.items():
            plain = value.plain()
            if _has_number(plain):
                reading.fault(value, f"{path}.{key}", f"is a number; make it an input and write {REFERENCE}its-name")
            found[key] = plain
        return found


def _has_number(plain: Any) -> bool:
    if isinstance(plain, Mapping):
        return any(_has_number(item) for item in plain.values())
    if isinstance(plain, list):
        return any(_has_number(item) for item in plain)
    return isinstance(plain, int | float) and not isinstance(plain, bool)


class Plain:
    """A number that is a statement about ours, not a fact with a source: an expected ratio, a tolerance."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            return reading.fault(node, path, f"must be a number above 0, not {describe(node)}")
        return float(value)


class Named:
    """A mapping whose keys are names that an expression can use."""

    def __init__(self, item: Table) -> None:
        self.item = item

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        for key, value in (node.mapping or {}).items():
            if not _NAME.fullmatch(key):
                message = "is no name for an expression: small letters, digits and _"
                reading.fault(value, f"{path}.{key}", message, at_key=True)
        return self.item.read(node, path, reading, source)


_PUBLISHED = Either(Real(), Block({}, {"low": Real(), "high": Real()}))
_RESULT = Block(
    {"name": Text(), "quantity": Text(), "ours": Text()},
    {
        "unit": Text(), "published": _PUBLISHED, "conditions": Text(), "expected_ratio": Plain(), "reason": Text(),
        "published_note": Text(),
    },
)  # fmt: skip
REPRODUCTION_RULE = Block(
    {
        "schema": Text(), "name": Text(), "title": Text(), "conditions": Text(),
        "parts": Named(Table(Arguments(), sourced=False)), "results": Listing(_RESULT, least=1),
        "sources": SOURCES_RULE,
    },
    {
        "aliases": Listing(Text()), "paper": Named(Table(Given())), "ours": Named(Table(Given())),
        "let": Named(Table(Text(), sourced=False)), "assumptions": Listing(Text()),
    },
)  # fmt: skip
"""Every key of a reproduction's file: the required ones, then the optional ones."""
