"""Validation of spec files by tables of rules: all faults of a file at once, each with its position.

A rule turns a :class:`Node` into a plain value in SI units. A number carries its source: its own (``{value: 700 W,
source: x}``), or that of the innermost block around it that has ``source``; the ids are the keys of the file's
top-level ``sources``. The rules are plain classes: a dataclass each would cost the command line 10 ms of start-up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from perfmodel.errors import Fault, InputError, SpecError, did_you_mean
from perfmodel.specs.yaml_strict import Node, fault_at
from perfmodel.units import parse_quantity


class Reading:
    """What is found while a file is read: its faults, and the source id of every number by its dotted path."""

    def __init__(self, source_ids: Iterable[str] = ()) -> None:
        self.source_ids = frozenset(source_ids)
        self.faults: list[Fault] = []
        self.sources: dict[str, str] = {}

    def fault(self, node: Node, path: str, message: str, *, at_key: bool = False) -> Any:
        self.faults.append(fault_at(node, path, message, at_key=at_key))
        return None

    def cite(self, node: Node, path: str, source: str | None) -> None:
        """Record the source of the number at ``path``; a number without one is a fault."""
        if source is None:
            self.fault(node, path, "has no source: add 'source: <id>' to it or to a block around it")
        else:
            self.sources[path] = source


class Rule(Protocol):
    """How one value is read: its plain value, or None after recording a fault."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any: ...


class Text:
    """A text, perhaps one of a closed set."""

    def __init__(self, choices: Sequence[str] = ()) -> None:
        self.choices = choices

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        if not isinstance(node.value, str) or not node.value.strip():
            return reading.fault(node, path, f"must be a text, not {describe(node)}")
        if self.choices and node.value not in self.choices:
            hint = did_you_mean(node.value, self.choices) or f"; use one of {', '.join(self.choices)}"
            return reading.fault(node, path, f"must not be '{node.value}'{hint}")
        return node.value


class Flag:
    """``true`` or ``false``."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        if not isinstance(node.value, bool):
            return reading.fault(node, path, f"must be true or false, not {describe(node)}")
        return node.value


class Date:
    """A year (2022), a month ("2022-03") or a day ("2022-03-22"), kept as text."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        parts = str(node.value).split("-")
        if len(parts) > 3 or len(parts[0]) != 4 or not all(part.isdigit() for part in parts):
            return reading.fault(node, path, f"must be a date such as 2022 or 2022-03, not {describe(node)}")
        return str(node.value)


class Whole:
    """A whole number, such as a count of cores, with a source."""

    def __init__(self, least: int = 1) -> None:
        self.least = least

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        node, source = _unwrap(node, path, reading, source)
        if isinstance(node.value, bool) or not isinstance(node.value, int | float) or node.value != _whole(node.value):
            return reading.fault(node, path, f"must be a whole number, not {describe(node)}")
        if node.value < self.least:
            return reading.fault(node, path, f"must be at least {self.least}, not {describe(node)}")
        reading.cite(node, path, source)
        return int(node.value)


class Real:
    """A plain number, such as a price or a ratio, of at least ``least``, with a source."""

    def __init__(self, least: float = 0.0) -> None:
        self.least = least

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        node, source = _unwrap(node, path, reading, source)
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return reading.fault(node, path, f"must be a number, not {describe(node)}")
        if value < self.least:
            return reading.fault(node, path, f"must be at least {self.least:g}, not {describe(node)}")
        reading.cite(node, path, source)
        return float(value)


class Quantity:
    """A number with a unit of ``dimension``, read to SI, with a source."""

    def __init__(self, dimension: str) -> None:
        self.dimension = dimension

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        node, source = _unwrap(node, path, reading, source)
        if isinstance(node.value, bool) or not isinstance(node.value, str | int | float):
            return reading.fault(node, path, f"must be a quantity with a unit, not {describe(node)}")
        try:
            value = parse_quantity(str(node.value), self.dimension)
        except InputError as error:
            return reading.fault(node, path, str(error))
        reading.cite(node, path, source)
        return value


class Listing:
    """A list whose items follow one rule; a fault names an item by its index."""

    def __init__(self, item: Rule, least: int = 0) -> None:
        self.item, self.least = item, least

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        items = node.items
        if items is None:
            return reading.fault(node, path, f"must be a list ('[a, b]' or lines of '- a'), not {describe(node)}")
        if len(items) < self.least:
            return reading.fault(node, path, f"must have at least {self.least} item(s)")
        return [self.item.read(item, f"{path}[{i}]", reading, source) for i, item in enumerate(items)]


class Table:
    """A mapping whose keys are names (of a closed set, if given) and whose values follow one rule."""

    def __init__(self, value: Rule, keys: Sequence[str] = (), *, sourced: bool = True, least: int = 0) -> None:
        self.value, self.keys, self.sourced, self.least = value, keys, sourced, least

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        if node.mapping is None:
            return reading.fault(node, path, f"must be a mapping of names to values, not {describe(node)}")
        if self.sourced:
            source = _source_of(node.mapping, path, reading, source)
        found: dict[str, Any] = {}
        for key, value in node.mapping.items():
            if self.sourced and key == "source":
                continue
            if self.keys and key not in self.keys:
                reading.fault(value, _join(path, key), _unknown(key, self.keys), at_key=True)
            else:
                found[key] = self.value.read(value, _join(path, key), reading, source)
        if len(found) < self.least:
            reading.fault(node, path, f"must have at least {self.least} entry")
        return found


class Block:
    """A mapping with known keys; ``required`` ones must be there, and ``source`` may be if ``sourced``."""

    def __init__(
        self, required: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None, *, sourced: bool = True
    ) -> None:
        self.required, self.rules = required, {**required, **(optional or {})}
        self.sourced = sourced

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        if node.mapping is None:
            return reading.fault(node, path, f"must be a mapping with {', '.join(self.required)}, not {describe(node)}")
        if self.sourced:
            source = _source_of(node.mapping, path, reading, source)
        rules = self.rules
        found: dict[str, Any] = {}
        for key, value in node.mapping.items():
            if key in rules:
                found[key] = rules[key].read(value, _join(path, key), reading, source)
            elif not (self.sourced and key == "source"):
                missing = [name for name in rules if name not in node.mapping]
                reading.fault(value, _join(path, key), _unknown(key, missing or list(rules)), at_key=True)
        for key in self.required:
            if key not in node.mapping:
                reading.fault(node, _join(path, key), f"missing required key '{key}'")
        return found


class Open:
    """A mapping with known keys and others, whose rules are elsewhere: it is kept with its positions.

    Of the other keys only the numbers' sources are read: what starts like a number must have one.
    """

    def __init__(self, known: Mapping[str, Rule]) -> None:
        self.known = known

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        if node.mapping is None:
            return reading.fault(node, path, f"must be a mapping with {', '.join(self.known)}, not {describe(node)}")
        found: dict[str, Any] = {"": node}
        for key, rule in self.known.items():
            if key in node.mapping:
                found[key] = rule.read(node.mapping[key], _join(path, key), reading, source)
            else:
                reading.fault(node, _join(path, key), f"missing required key '{key}'")
        _cite_numbers(node, path, reading, source)
        return found


def _cite_numbers(node: Node, path: str, reading: Reading, source: str | None) -> None:
    """Record the sources of all that looks like a number in a tree of unknown keys."""
    if node.mapping is not None:
        source = _source_of(node.mapping, path, reading, source)
        for key, value in node.mapping.items():
            if key not in ("source", "note"):
                _cite_numbers(value, path if key == "value" else _join(path, key), reading, source)
        return
    for i, item in enumerate(node.items or ()):
        _cite_numbers(item, f"{path}[{i}]", reading, source)
    value = node.value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number or (isinstance(value, str) and value[:1].isdigit()):
        reading.cite(node, path, source)


class Either:
    """A scalar (or ``{value: ..}``) read by one rule, or a mapping read by another."""

    def __init__(self, scalar: Rule, mapping: Rule) -> None:
        self.scalar, self.mapping = scalar, mapping

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        nested = node.mapping is not None and "value" not in node.mapping
        return (self.mapping if nested else self.scalar).read(node, path, reading, source)


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _unknown(key: str, choices: Sequence[str]) -> str:
    return f"unknown key '{key}'" + (did_you_mean(key, choices) or f"; known here: {', '.join(choices)}")


def describe(node: Node) -> str:
    """Return a short text of a node's value, for a message."""
    if node.mapping is not None:
        return "a mapping"
    if node.items is not None:
        return "a list"
    return "nothing" if node.value is None else f"'{node.value}'"


def _source_of(mapping: Mapping[str, Node], path: str, reading: Reading, outer: str | None) -> str | None:
    """Return the source id that holds inside a block: its own, if it names one that exists."""
    node = mapping.get("source")
    if node is None:
        return outer
    known = reading.source_ids
    if not isinstance(node.value, str) or node.value not in known:
        hint = did_you_mean(str(node.value), known) or f"; known: {', '.join(sorted(known)) or 'none'}"
        reading.fault(node, _join(path, "source"), f"{describe(node)} is not an id under 'sources'{hint}")
        return outer or ""
    return node.value


def _unwrap(node: Node, path: str, reading: Reading, source: str | None) -> tuple[Node, str | None]:
    """Return the value node and source of a number that is written ``{value: .., source: ..}`` or plainly."""
    if node.mapping is None or "value" not in node.mapping:
        return node, source
    for key, value in node.mapping.items():
        if key not in ("value", "source", "note"):
            reading.fault(value, _join(path, key), _unknown(key, ("value", "source", "note")), at_key=True)
    return node.mapping["value"], _source_of(node.mapping, path, reading, source)


def read_spec(rule: Block, node: Node, file: str, schema: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a file's plain values and the source id of every number; one :class:`SpecError` for all its faults.

    ``schema`` is the version that the file must name, such as ``device/1``.
    """
    if node.mapping is None:
        raise SpecError(f"must be a mapping of keys to values, not {describe(node)}", file, node.line, node.column)
    _check_version(node, file, schema)
    listed = node.mapping.get("sources")
    reading = Reading((listed.mapping or {}) if listed else ())
    values = rule.read(node, "", reading, None)
    if reading.faults:
        raise SpecError.of(file, reading.faults)
    return values, reading.sources


def _check_version(node: Node, file: str, schema: str) -> None:
    """Refuse a file of another schema at once: its other faults would only mislead."""
    found = (node.mapping or {}).get("schema")
    if found is not None and found.value != schema:
        message = f"is {describe(found)}, but this version reads '{schema}'"
        raise SpecError(message, file, found.line, found.column, "schema")
