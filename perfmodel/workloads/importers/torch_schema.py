"""Reading records of a graph: their JSON, checked before anything is built of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import SpecError
from perfmodel.workloads.importers.graphs.tensors import Malformed, Shape, checked, plain_name
from perfmodel.workloads.importers.json_config import reason

SCHEMA = "perfmodel/graph/1"
MOST_BYTES = 256 * 2**20
MOST_NODES = 100_000
_DEEPEST = 12
_MOST_ARGUMENTS = 10_000


@dataclass(frozen=True)
class Described:
    """A tensor as records describe it."""

    shape: Shape
    dtype: str


@dataclass(frozen=True)
class Record:
    """One node: ``results`` are None where it is no tensor."""

    name: str
    op: str
    module: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: tuple[Described | None, ...]


@dataclass(frozen=True)
class Records:
    """The records of a graph; ``place`` is what errors call it, ``learned`` names the stored tensors that are."""

    place: str
    name: str
    source: str
    batch: int
    inputs: Mapping[str, Described]
    stored: Mapping[str, Described]
    learned: frozenset[str]
    nodes: tuple[Record, ...]
    outputs: tuple[Any, ...]
    hash: str

    def fault(self, message: str, field: str = "") -> SpecError:
        """Return the error for something wrong in the records."""
        return SpecError(message, self.place, field=field)


def read_records(source: str | Path | Mapping[str, Any]) -> Records:
    """Return the records of a file, or of an object that was one.

    Errors: :class:`SpecError` for anything that is not of the schema.
    """
    if isinstance(source, Mapping):
        place, text = "records", json.dumps(source, default=str)
        values: Any = source
    else:
        place = str(source)
        text = _read(Path(source).expanduser())
        values = _parse(text, place)
    if not isinstance(values, Mapping):
        raise SpecError("must be a JSON object", place)
    return _Reader(place, values).records(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16])


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise SpecError("is a folder or a device, not a file", str(path))
        if path.stat().st_size > MOST_BYTES:
            raise SpecError(f"is larger than {MOST_BYTES >> 20} MiB: no records of a graph", str(path))
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"is not UTF-8 text (byte {error.start})", str(path)) from None
    except (OSError, ValueError) as error:
        raise SpecError(f"cannot be read: {reason(error)}", str(path)) from None


def _parse(text: str, place: str) -> Any:
    if not text.strip():
        raise SpecError("is empty", place)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise SpecError(f"is not JSON: {error.msg}", place, error.lineno, error.colno) from None
    except RecursionError:
        raise SpecError("is nested too deeply", place) from None
    except ValueError as error:  # a duplicate key, a number of thousands of digits
        raise SpecError(f"cannot be read: {error}", place) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


class _Reader:
    def __init__(self, place: str, values: Mapping[str, Any]) -> None:
        self.place, self.values = place, values

    def fault(self, field: str, message: str) -> SpecError:
        return SpecError(message, self.place, field=plain_name(field, 80))

    def records(self, digest: str) -> Records:
        schema = self.values.get("schema")
        if schema != SCHEMA:
            raise self.fault("schema", f"must be '{SCHEMA}', not {plain_name(repr(schema), 40)}")
        entries = self._of("inputs", list)
        inputs = {self._text(e, "name", f"inputs.{i}"): self._tensor(e, f"inputs.{i}") for i, e in enumerate(entries)}
        if len(inputs) != len(entries):
            raise self.fault("inputs", "two inputs have one name")
        kept = self._of("stored", dict)
        stored = {name: self._tensor(entry, f"stored.{name}") for name, entry in kept.items()}
        twice = inputs.keys() & stored.keys()
        if twice:
            raise self.fault("stored", f"'{plain_name(min(twice), 60)}' is an input too")
        batch = self.values.get("batch")
        if isinstance(batch, bool) or not isinstance(batch, int) or not 0 < batch < 2**31:
            raise self.fault("batch", "must be a whole number of at least 1")
        nodes = self._of("nodes", list)
        if not nodes or len(nodes) > MOST_NODES:
            raise self.fault("nodes", f"must be from 1 to {MOST_NODES} nodes, not {len(nodes)}")
        return Records(
            self.place, plain_name(self._text(self.values, "name", "")),
            plain_name(str(self.values.get("source", ""))), batch, inputs, stored,
            frozenset(name for name, entry in kept.items() if entry.get("learned") is True),
            tuple(self._node(entry, f"nodes.{i}") for i, entry in enumerate(nodes)),
            tuple(self._of("outputs", list)), digest,
        )  # fmt: skip

    def _of(self, key: str, kind: type) -> Any:
        found = self.values.get(key)
        if not isinstance(found, kind):
            raise self.fault(key, f"must be {'an object' if kind is dict else 'a list'}")
        return found

    def _text(self, entry: Any, key: str, field: str) -> str:
        found = entry.get(key) if isinstance(entry, Mapping) else None
        if not isinstance(found, str) or not found:
            raise self.fault(f"{field}.{key}".strip("."), "must be a text")
        return found

    def _tensor(self, entry: Any, field: str) -> Described:
        shape = entry.get("shape") if isinstance(entry, Mapping) else None
        if not isinstance(shape, list) or any(isinstance(n, bool) or not isinstance(n, int) for n in shape):
            raise self.fault(f"{field}.shape", "must be a list of whole numbers")
        try:
            return Described(checked(shape), self._text(entry, "dtype", field))
        except Malformed as error:
            raise self.fault(f"{field}.shape", str(error)) from None

    def _node(self, entry: Any, field: str) -> Record:
        name, op = self._text(entry, "name", field), self._text(entry, "op", field)
        args, kwargs, results = entry.get("args", []), entry.get("kwargs", {}), entry.get("results")
        if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(results, list):
            raise self.fault(field, "must have the lists 'args' and 'results' and the object 'kwargs'")
        if self._size([args, list(kwargs.values())], _DEEPEST) > _MOST_ARGUMENTS or len(results) > _MOST_ARGUMENTS:
            raise self.fault(field, f"has more than {_MOST_ARGUMENTS} arguments or results, or too deeply nested ones")
        described = tuple(None if r is None else self._tensor(r, f"{field}.results.{i}") for i, r in enumerate(results))
        module = entry.get("module", "")
        return Record(name, op, module if isinstance(module, str) else "", tuple(args), kwargs, described)

    def _size(self, value: Any, deepest: int) -> int:
        if isinstance(value, dict):
            value = list(value.values())
        if not isinstance(value, list):
            return 1
        if not deepest:
            return _MOST_ARGUMENTS + 1
        return 1 + sum(self._size(item, deepest - 1) for item in value)
