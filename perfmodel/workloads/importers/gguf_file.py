"""The GGUF container: header, metadata and tensor descriptions, read without touching the tensors themselves.

Source: docs/gguf.md of ggml (versions 2 and 3, little endian). A file comes from strangers, so every length is held
against what is left of the file before it is believed, and every fault names the byte where it stands.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import SpecError
from perfmodel.workloads.families.fields import shown
from perfmodel.workloads.importers.ggml_types import GGML_TYPES, REMOVED_TYPES, GgmlType
from perfmodel.workloads.importers.json_config import reason

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_ALIGNMENT = 32
_MOST_ALIGNMENT = 2**20
_MOST_DIMENSIONS = 4
_MOST_TEXT = 2**26
_MOST_KEY = 2**16 - 1
_MOST_TENSOR_NAME = 1024
_MOST_ITEMS = 2**25
_DEEPEST = 4
_TEXT, _ARRAY, _BOOL = 8, 9, 7
_LEAST_VALUE, _LEAST_TENSOR = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
_SPLIT = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as its file describes it: ``dims`` innermost first, ``offset`` from the start of the file's data."""

    name: str
    dims: tuple[int, ...]
    type: GgmlType
    offset: int

    @property
    def elements(self) -> int:
        """Return the product of the dimensions."""
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        """Return ``elements / block * block_bytes``, without the padding after the tensor."""
        return self.elements // self.type.block * self.type.block_bytes


@dataclass(frozen=True)
class GgufFile:
    """A GGUF file as read, with the tensors of all parts where it is split; ``hash`` is that of the headers."""

    path: Path
    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[TensorInfo, ...]
    hash: str


def read_gguf_file(path: str | Path) -> GgufFile:
    """Return the metadata and tensor descriptions of a GGUF file, or of all parts of a split one given its first.

    Metadata values are whole numbers, floats, truth values, texts and (nested) lists.

    Errors: :class:`SpecError` with file and byte for anything that is not a whole, well-formed GGUF file.
    """
    file = Path(path)
    first = _read_part(file)
    others = [_read_part(other) for other in _other_parts(file, first)]
    if not others:
        return first
    _check_parts(file, [first, *others])
    hashes = hashlib.sha256("".join(part.hash for part in (first, *others)).encode()).hexdigest()[:16]
    tensors = tuple(tensor for part in (first, *others) for tensor in part.tensors)
    return GgufFile(file, first.version, first.metadata, tensors, hashes)


def base_name(path: Path) -> str:
    """Return a file's name without its ending and the number of its part."""
    split = _SPLIT.fullmatch(path.name)
    return split[1] if split else path.name.removesuffix(".gguf")


def _other_parts(path: Path, first: GgufFile) -> list[Path]:
    """Return the paths of parts 2 and on; the first part must be given, by its usual name."""
    count, number = _stated(first, "split.count", 1), _stated(first, "split.no", 0)
    split = _SPLIT.fullmatch(path.name)
    if split is None:
        if count > 1:
            raise SpecError(
                f"is part {number + 1} of {count}, but is not named ...-00001-of-{count:05}.gguf", str(path)
            )
        return []
    stem, place, places = split[1], int(split[2]), int(split[3])
    if place != 1:
        raise SpecError(f"is part {place} of {places}: give the first, {stem}-00001-of-{places:05}.gguf", str(path))
    if "split.count" in first.metadata and count != places:
        raise SpecError(f"says that it has {count} parts, its name {places}", str(path), field="split.count")
    others = [path.with_name(f"{stem}-{other:05}-of-{places:05}.gguf") for other in range(2, places + 1)]
    for other in others:
        if not other.is_file():
            raise SpecError(f"is split in {places} parts, and {other.name} is not beside it", str(path))
    return others


def _check_parts(path: Path, parts: list[GgufFile]) -> None:
    for index, part in enumerate(parts):
        if _stated(part, "split.no", index) != index:
            found = _stated(part, "split.no", index) + 1
            raise SpecError(f"says that it is part {found}, its name {index + 1}", str(part.path), field="split.no")
    names: set[str] = set()
    for part in parts:
        for tensor in part.tensors:
            if tensor.name in names:
                raise SpecError(f"tensor '{tensor.name[:60]}' is in an earlier part too", str(part.path))
            names.add(tensor.name)
    stated = _stated(parts[0], "split.tensors.count", len(names))
    if stated != len(names):
        raise SpecError(f"its parts have {len(names)} tensors, not {stated}", str(path), field="split.tensors.count")


def _stated(part: GgufFile, key: str, default: int) -> int:
    value = part.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpecError(f"must be a whole number, not {shown(value)}", str(part.path), field=key)
    return value


def _read_part(path: Path) -> GgufFile:
    try:
        with path.open("rb") as stream:
            if not stream.seek(0, 2):
                raise SpecError("is empty", str(path))
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data, path).file()
    except (OSError, ValueError) as error:  # a folder, a pipe, no right to read, a name that cannot be
        raise SpecError(f"cannot be read: {reason(error)}", str(path)) from None


class _Reader:
    """Reads one file from front to back; ``at`` is the next byte."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data, self.path, self.size = data, path, len(data)
        self.at = 0
        self.items = 0

    def fault(self, at: int, message: str, field: str = "") -> SpecError:
        return SpecError(f"byte {at}: {message}", str(self.path), field=field)

    def file(self) -> GgufFile:
        version = self._version()
        tensors, values = self._count("tensors", _LEAST_TENSOR), self._count("metadata values", _LEAST_VALUE)
        metadata = self._metadata(values)
        infos = self._tensors(tensors)
        digest = hashlib.sha256(self.data[: self.at]).hexdigest()[:16]
        self._check_places(infos, self._alignment(metadata))
        return GgufFile(self.path, version, metadata, tuple(tensor for _, tensor in infos), digest)

    def _version(self) -> int:
        if self.data[:4] != MAGIC:
            raise self.fault(0, f"does not begin with GGUF but with {self.data[:4]!r}: this is no GGUF file")
        self.at = 4
        version = self._number("I", "the version")
        if version in VERSIONS:
            return version
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        if swapped in VERSIONS:
            raise self.fault(4, f"is a big-endian GGUF file (version {swapped}); only little-endian ones are read")
        raise self.fault(4, f"has GGUF version {version}; versions {' and '.join(map(str, VERSIONS))} are read")

    def _count(self, what: str, least_bytes: int) -> int:
        start = self.at
        count = self._number("Q", f"the number of {what}")
        if count * least_bytes > self.size - self.at:
            raise self.fault(start, f"says {count} {what}, more than the file can hold")
        return count

    def _number(self, form: str, what: str) -> Any:
        width = struct.calcsize(f"<{form}")
        self._need(width, what)
        (value,) = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += width
        return value

    def _need(self, width: int, what: str) -> None:
        if width > self.size - self.at:
            raise self.fault(self.at, f"the file ends inside {what} ({self.size} bytes)")

    def _text(self, what: str, most: int) -> str:
        start = self.at
        length = self._number("Q", f"the length of {what}")
        if length > most or length > self.size - self.at:
            limit = f"{most} are the most" if length > most else f"{self.size - self.at} are left in the file"
            raise self.fault(start, f"{what} says {length} bytes, and {limit}")
        raw = self.data[self.at : self.at + length]
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fault(self.at + error.start, f"{what} is not UTF-8") from None
        self.at += length
        return text

    def _metadata(self, count: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index in range(count):
            start = self.at
            key = self._text(f"the key of metadata value {index}", _MOST_KEY)
            if not key or key in found:
                raise self.fault(start, "duplicate key" if key else "empty key", key[:60])
            kind = self._number("I", f"the type of '{key[:60]}'")
            found[key] = self._value(kind, f"'{key[:60]}'", 0)
        return found

    def _value(self, kind: int, what: str, depth: int) -> Any:
        start = self.at
        if kind == _TEXT:
            return self._text(what, _MOST_TEXT)
        if kind == _ARRAY:
            return self._array(what, depth + 1)
        if kind not in _SCALARS:
            raise self.fault(start - 4, f"{what} has value type {kind}, which GGUF does not have")
        value = self._number(_SCALARS[kind], what)
        if kind != _BOOL:
            return value
        if value > 1:
            raise self.fault(start, f"{what} must be 0 or 1, not {value}")
        return bool(value)

    def _array(self, what: str, depth: int) -> list[Any]:
        start = self.at
        if depth > _DEEPEST:
            raise self.fault(start, f"{what} is nested deeper than {_DEEPEST} arrays")
        kind, count = self._number("I", what), self._number("Q", what)
        if kind not in (_TEXT, _ARRAY, *_SCALARS):
            raise self.fault(start, f"{what} is an array of value type {kind}, which GGUF does not have")
        form = _SCALARS.get(kind)
        width = struct.calcsize(form) if form else 8 if kind == _TEXT else 12
        self.items += count
        too_long = count * width > self.size - self.at
        if too_long or self.items > _MOST_ITEMS:
            limit = "more than the file can hold" if too_long else f"{_MOST_ITEMS} in all are the most"
            raise self.fault(start + 4, f"{what} says {count} items, {limit}")
        if kind == _TEXT:
            return self._texts(count, what)
        if form is None:
            return [self._array(what, depth + 1) for _ in range(count)]
        values = struct.unpack_from(f"<{count}{form}", self.data, self.at)
        self.at += count * width
        if kind != _BOOL:
            return list(values)
        if any(value > 1 for value in values):
            raise self.fault(start, f"{what} must have items of 0 or 1")
        return [bool(value) for value in values]

    def _texts(self, count: int, what: str) -> list[str]:
        """Return as many texts; a tokenizer has hundreds of thousands, so only a faulty one takes the careful way."""
        found: list[str] = []
        data, at, length_at = self.data, self.at, struct.Struct("<Q").unpack_from
        while len(found) < count and at + 8 <= self.size:
            end = at + 8 + length_at(data, at)[0]
            if end > self.size or end - at > _MOST_TEXT:
                break
            try:
                found.append(data[at + 8 : end].decode())
            except UnicodeDecodeError:
                break
            at = end
        self.at = at
        while len(found) < count:
            found.append(self._text(what, _MOST_TEXT))
        return found

    def _tensors(self, count: int) -> list[tuple[int, TensorInfo]]:
        """Return the tensors with the byte where each is described."""
        found: list[tuple[int, TensorInfo]] = []
        names: set[str] = set()
        for index in range(count):
            start = self.at
            tensor = self._tensor(index)
            if tensor.name in names:
                raise self.fault(start, f"a second tensor '{tensor.name[:60]}'")
            names.add(tensor.name)
            found.append((start, tensor))
        return found

    def _tensor(self, index: int) -> TensorInfo:
        start = self.at
        name = self._text(f"the name of tensor {index}", _MOST_TENSOR_NAME)
        what = f"tensor '{name[:60]}'"
        dimensions = self._number("I", what)
        if not name or not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise self.fault(start, f"{what} has {dimensions} dimensions" if name else f"tensor {index} has no name")
        dims = tuple(self._number("Q", what) for _ in range(dimensions))
        place = self.at
        kind = self._type(self._number("I", what), what, place)
        offset = self._number("Q", what)
        if math.prod(dims) >= 2**63 or 0 in dims:
            raise self.fault(start, f"{what} cannot have the shape {dims}")
        if dims[0] % kind.block:
            raise self.fault(place, f"{what} has rows of {dims[0]}, no multiple of the {kind.block} of a {kind.name}")
        return TensorInfo(name, dims, kind, offset)

    def _type(self, code: int, what: str, at: int) -> GgmlType:
        if code in GGML_TYPES:
            return GGML_TYPES[code]
        gone = f" ({REMOVED_TYPES[code]}, which ggml has removed)" if code in REMOVED_TYPES else ""
        raise self.fault(at, f"{what} has the unknown ggml type {code}{gone}")

    def _alignment(self, metadata: Mapping[str, Any]) -> int:
        value = metadata.get("general.alignment", _ALIGNMENT)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 1 <= value <= _MOST_ALIGNMENT or value & (value - 1):
            raise SpecError(f"must be a power of two, not {shown(value)}", str(self.path), field="general.alignment")
        return value

    def _check_places(self, infos: list[tuple[int, TensorInfo]], alignment: int) -> None:
        """Check that the tensors' data lie in the file and apart from each other."""
        start = -(-self.at // alignment) * alignment
        end, last = 0, ""
        for at, tensor in _by_offset(infos):
            what = f"tensor '{tensor.name[:60]}'"
            if tensor.offset % alignment:
                raise self.fault(at, f"{what} lies at offset {tensor.offset}, no multiple of {alignment}")
            if tensor.offset < end:
                raise self.fault(at, f"{what} overlaps tensor '{last[:60]}'")
            end, last = tensor.offset + tensor.bytes, tensor.name
            if start + end > self.size:
                raise self.fault(
                    at, f"{what} ends at byte {start + end}, but the file has {self.size}: it is cut off or damaged"
                )


def _by_offset(infos: list[tuple[int, TensorInfo]]) -> Iterator[tuple[int, TensorInfo]]:
    yield from sorted(infos, key=lambda item: item[1].offset)
