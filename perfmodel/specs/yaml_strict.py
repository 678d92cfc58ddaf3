"""Strict YAML: the 1.2 core schema, no anchors, tags or duplicate keys, and the position of everything.

PyYAML alone reads ``1e9`` as a string, ``2:4`` as 124, ``no`` as a bool and ``010`` as 8, and lets the last of two
equal keys win; so only its scanner is used (in C where the library has it), and scalars are resolved here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from perfmodel.errors import Fault, SpecError
from perfmodel.specs.used import note_used

Scalar = str | int | float | bool | None

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DEEPEST = 50


class Node:
    """A value of a YAML file with its position (from 1; 0 if it came from no file) and that of its key."""

    __slots__ = ("column", "key_column", "key_line", "line", "value")

    def __init__(self, value: Any, line: int = 0, column: int = 0) -> None:
        self.value, self.line, self.column = value, line, column
        self.key_line = self.key_column = 0

    @property
    def mapping(self) -> dict[str, Node] | None:
        """The named values, if it is a mapping."""
        return cast("dict[str, Node]", self.value) if isinstance(self.value, dict) else None

    @property
    def items(self) -> list[Node] | None:
        """The values, if it is a list."""
        return cast("list[Node]", self.value) if isinstance(self.value, list) else None

    def plain(self) -> Any:
        """Return the value without positions: dicts, lists and scalars."""
        if self.mapping is not None:
            return {key: node.plain() for key, node in self.mapping.items()}
        return self.value if self.items is None else [node.plain() for node in self.items]

    @classmethod
    def of(cls, plain: Any) -> Node:
        """Return a node tree, without positions, of a value made of mappings, sequences and scalars."""
        if isinstance(plain, Mapping):
            named = cast("Mapping[Any, Any]", plain)
            return cls({str(key): cls.of(value) for key, value in named.items()})
        if isinstance(plain, list | tuple):
            return cls([cls.of(value) for value in cast("list[Any]", plain)])
        return cls(plain)


def resolve_scalar(text: str) -> Scalar:
    """Return what a plain (unquoted) scalar is in the YAML 1.2 core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return float("nan") if text in (".nan", ".NaN", ".NAN") else text


class _Reader:
    """Builds the node tree of one document from the scanner's events; raises :class:`SpecError` at the first fault."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        parse: Any = yaml.parse  # pyright: ignore[reportUnknownMemberType]
        self.events: Iterator[Any] = parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def document(self) -> Node:
        self._next()
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            raise SpecError("is empty", self.file, 1, 1)
        node = self._node(self._next(), 0)
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._fault(after, "holds a second document ('---'); one file is one spec")
        return node

    def _next(self) -> Any:
        try:
            return next(self.events)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise SpecError(f"is not YAML: {error.problem or error.context}", self.file, line, column) from None
        except yaml.YAMLError as error:
            raise SpecError(f"is not YAML: {str(error).splitlines()[0]}", self.file, 1, 1) from None

    def _fault(self, event: Any, message: str, field: str = "") -> SpecError:
        return SpecError(message, self.file, event.start_mark.line + 1, event.start_mark.column + 1, field)

    def _node(self, event: Any, depth: int) -> Node:
        self._refuse(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            quoted = event.style not in (None, "", "\x00")
            value: Any = event.value if quoted else resolve_scalar(event.value)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(depth + 1)
        else:
            value = self._sequence(depth + 1)
        return Node(value, event.start_mark.line + 1, event.start_mark.column + 1)

    def _refuse(self, event: Any, depth: int) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self._fault(event, f"alias '*{event.anchor}': write the value out; anchors are not read")
        if event.anchor:
            raise self._fault(event, f"anchor '&{event.anchor}': write the value out; anchors are not read")
        if event.tag:
            raise self._fault(event, f"tag '{event.tag}': tags are not read; quote a text instead")
        if depth > _DEEPEST:
            raise self._fault(event, f"is nested deeper than {_DEEPEST} levels")

    def _sequence(self, depth: int) -> list[Node]:
        found: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            found.append(self._node(event, depth))
        return found

    def _mapping(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            self._refuse(event, depth)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._fault(event, "a key must be a name, not a list or mapping")
            if event.value in found:
                first = found[event.value].key_line
                raise self._fault(event, f"duplicate key '{event.value}' (first on line {first})", event.value)
            node = self._node(self._next(), depth)
            node.key_line, node.key_column = event.start_mark.line + 1, event.start_mark.column + 1
            found[event.value] = node
        return found


def parse_yaml(text: str, file: str = "<text>") -> Node:
    """Return the node tree of a YAML text; :class:`SpecError` with ``file:line:column`` if it is not strict YAML."""
    return _Reader(text, file).document()


def load_yaml(path: str | Path) -> Node:
    """Return the node tree of a UTF-8 YAML file; :class:`SpecError` if it cannot be read or is not strict YAML."""
    return parse_yaml(read_text(path), str(path))


def read_text(path: str | Path) -> str:
    """Return a spec file's text; :class:`SpecError` if there is no such file or it is not UTF-8."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"is not UTF-8 text (byte {error.start})", str(path), 1, 1) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", str(path)) from None
    note_used(path, text)
    return text


def fault_at(node: Node, field: str, message: str, *, at_key: bool = False) -> Fault:
    """Return a fault at a node's value, or at its key."""
    line, column = (node.key_line, node.key_column) if at_key and node.key_line else (node.line, node.column)
    return Fault(line, column, field, message)
