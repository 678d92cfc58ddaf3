"""An ONNX file without its weights: the protobuf walked field by field, and what shapes do not need left out.

The file comes from strangers: every length is held against what is left, and nodes, fields and depth are limited before
anything is built of them. Source: onnx.proto of ONNX (field numbers); the protobuf encoding of messages.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from perfmodel.errors import SpecError
from perfmodel.workloads.importers.json_config import reason

MOST_BYTES = 2**31 - 1
"""Of a protobuf message: what the format itself allows."""
MOST_LEFT = 64 * 2**20
MOST_NODES = 100_000
MOST_STORED = 500_000
MOST_DATA = 2048
"""Bytes of a tensor that are kept: enough for any computed shape."""
_MOST_FIELDS = 4_000_000
_DEEPEST = 40
_WHOLE = {"node": 512, "attribute": 4096, "tensor": MOST_DATA, "sparse": MOST_DATA}
"""Bytes up to which a message is kept as it is."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NAMES = {_VARINT: "number", _FIXED64: "number", _FIXED32: "number", _BYTES: "text"}

SCOPES = b"pkg.torch.onnx.name_scopes"
"""The one entry of a node's metadata that is kept: PyTorch's modules around it."""
_DECLARED = "declared tensor"

_KEPT: dict[str, dict[int, str]] = {
    # field number -> the message it holds; "" and "declared tensor" for what is copied as it is
    "model": {1: "", 2: "", 7: "graph", 8: "", 25: "function"},
    "graph": {1: "node", 2: "", 5: "tensor", 11: _DECLARED, 12: _DECLARED, 13: _DECLARED, 15: "sparse"},
    "node": {1: "", 2: "", 3: "", 4: "", 5: "attribute", 7: "", 8: "", 9: "metadata"},
    "attribute": {
        1: "", 2: "", 3: "", 4: "data", 5: "tensor", 6: "graph", 7: "", 8: "", 9: "data", 10: "tensor", 11: "graph",
        14: "", 15: "", 20: "", 21: "", 22: "sparse", 23: "sparse",
    },
    "tensor": {1: "", 2: "", 4: "data", 5: "data", 6: "data", 7: "data", 8: "", 9: "data", 10: "data", 11: "data"},
    "sparse": {1: "tensor", 3: ""},
    "function": {1: "", 4: "", 5: "", 6: "", 7: "node", 9: "", 10: "", 11: "attribute", 13: ""},
}  # fmt: skip
_LIMITS = {"node": MOST_NODES, "tensor": MOST_STORED, "function": MOST_NODES, _DECLARED: MOST_STORED}


def skeleton(path: Path) -> bytes:
    """Return an ONNX file's message without doc strings, metadata and the data of tensors beyond ``MOST_DATA`` bytes.

    Errors: :class:`SpecError` for what is no such file, is damaged or is larger than a network could be.
    """
    try:
        if path.exists() and not path.is_file():
            raise SpecError("is a folder or a device, not a file", str(path))
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            if not size:
                raise SpecError("is empty", str(path))
            if size > MOST_BYTES:
                raise SpecError(
                    f"has {size} bytes, more than an ONNX file can hold ({MOST_BYTES}): save it with its weights as "
                    "external data (onnx.save(..., save_as_external_data=True)); they are not needed here",
                    str(path),
                )  # fmt: skip
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Walk(data, path).message("model", 0, size, 0)
    except (OSError, ValueError) as error:  # a folder, a pipe, no right to read, a name that cannot be
        raise SpecError(f"cannot be read: {reason(error)}", str(path)) from None


class _Walk:
    """Walks one file; ``left`` counts what has been kept."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data, self.path = data, path
        self.fields = 0
        self.left = 0
        self.seen = dict.fromkeys(_LIMITS, 0)

    def fault(self, at: int, message: str) -> SpecError:
        return SpecError(f"byte {at}: {message}", str(self.path))

    def message(self, kind: str, start: int, end: int, depth: int) -> bytes:
        """Return a message without what is not needed."""
        if depth > _DEEPEST:
            raise self.fault(start, f"graphs are nested deeper than {_DEEPEST} messages")
        if end - start <= _WHOLE.get(kind, 0):
            return self._keep(start, end)
        kept, parts = _KEPT[kind], bytearray()
        for number, wire, tag, begin, stop in self._fields(start, end, kind):
            inner = kept.get(number)
            if inner is None:
                continue
            self._limit(inner, tag)
            if inner == "data" and stop - begin > MOST_DATA:
                continue
            if inner == "metadata" and SCOPES not in self.data[begin : min(stop, begin + 64)]:
                continue
            if inner not in _KEPT or wire != _BYTES:
                parts += self._keep(tag, stop)
            else:
                content = self.message(inner, begin, stop, depth + 1)
                parts += _varint(number << 3 | _BYTES) + _varint(len(content)) + content
        return bytes(parts)

    def _limit(self, kind: str, at: int) -> None:
        if kind in _LIMITS:
            self.seen[kind] += 1
            if self.seen[kind] > _LIMITS[kind]:
                raise self.fault(at, f"has more than {_LIMITS[kind]} {kind}s: no network that can be imported")

    def _keep(self, start: int, end: int) -> bytes:
        self.left += end - start
        if self.left > MOST_LEFT:
            raise self.fault(
                start, f"has more than {MOST_LEFT >> 20} MiB beside its weights: no network that can be imported"
            )
        return self.data[start:end]

    def _fields(self, start: int, end: int, kind: str) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield (number, wire type, where its tag, its content and it itself begin and end) of each field."""
        at = start
        while at < end:
            self.fields += 1
            if self.fields > _MOST_FIELDS:
                raise self.fault(at, f"has more than {_MOST_FIELDS} fields: no network that can be imported")
            tag = at
            key, at = self._number(at, end)
            number, wire = key >> 3, key & 7
            if not number or wire not in _NAMES:
                raise self.fault(tag, f"is no ONNX file, or is damaged: field {number} of type {wire} in the {kind}")
            begin = at
            if wire == _VARINT:
                _, at = self._number(at, end)
            elif wire == _BYTES:
                length, begin = self._number(at, end)
                at = begin + length
            else:
                at += 8 if wire == _FIXED64 else 4
            if at > end:
                raise self.fault(
                    tag,
                    f"field {number} of the {kind} ends {at - end} bytes behind it: the file is cut short or damaged",
                )
            yield number, wire, tag, begin, at

    def _number(self, at: int, end: int) -> tuple[int, int]:
        """Return a variable-length number and where it ends."""
        value = 0
        for place in range(10):
            if at + place >= end:
                raise self.fault(at, "the file ends inside a number: it is cut short or damaged")
            byte = self.data[at + place]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, at + place + 1
        raise self.fault(at, "is no ONNX file, or is damaged: a number has more than 10 bytes")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
